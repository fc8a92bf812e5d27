//! Writes heads anew from the model and frames bodies. No byte of a received head passes by it.

use super::reason;
use crate::buffer::Buffer;
use crate::digits::append_number;
use crate::http::{BodyLength, Fields, HeaderId, Method, RequestHead, ResponseHead};

/// The interim response that lets a client send its body.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The last chunk of a body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The Connection field of a response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnectionHeader {
    /// `keep-alive`, which a 1.0 client needs to hear.
    KeepAlive10,
    /// No field: the connection persists.
    None,
    /// `close`.
    Close,
    /// `upgrade`; Upgrade itself is among the fields.
    Upgrade,
}

/// Appends a request head to `out`. Host, Connection, Upgrade (to the protocol `upgrade`),
/// Content-Length and Transfer-Encoding are written from the model and the arguments, never from
/// the fields; other hop-by-hop fields must be stripped before.
pub fn encode_request(
    head: &RequestHead,
    body: BodyLength,
    keep_alive: bool,
    upgrade: Option<&[u8]>,
    out: &mut Vec<u8>,
) {
    out.reserve(head.fields.text_len() + 256);
    let target = match head.method {
        Method::Connect => head.authority(),
        _ => head.target(),
    };
    put(
        out,
        &[
            head.method_text(),
            b" ",
            target,
            b" HTTP/1.1\r\nhost: ",
            head.authority(),
            b"\r\n",
        ],
    );
    put_fields(&head.fields, out);
    match upgrade {
        Some(protocol) => put(
            out,
            &[b"connection: upgrade\r\nupgrade: ", protocol, b"\r\n"],
        ),
        None if !keep_alive => out.extend_from_slice(b"connection: close\r\n"),
        None => {}
    }
    debug_assert!(
        body != BodyLength::ToClose,
        "a request has no body that ends by close"
    );
    put_framing(body, out);
    out.extend_from_slice(b"\r\n");
}

/// Appends a response head to `out`. Hop-by-hop fields must be stripped from the fields (Upgrade
/// stays in a 101). With [`BodyLength::None`] the response must be one that cannot have a body,
/// or the client would wait for its end; an empty body is `Bytes(0)`.
pub fn encode_response(
    head: &ResponseHead,
    body: BodyLength,
    connection: ConnectionHeader,
    out: &mut Vec<u8>,
) {
    out.reserve(head.fields.text_len() + 256);
    put(out, &[b"HTTP/1.1 ", &status_digits(head.status), b" "]);
    put(out, &[reason::phrase(head.status), b"\r\n"]);
    put_fields(&head.fields, out);
    out.extend_from_slice(match connection {
        ConnectionHeader::KeepAlive10 => b"connection: keep-alive\r\n",
        ConnectionHeader::None => b"",
        ConnectionHeader::Close => b"connection: close\r\n",
        ConnectionHeader::Upgrade => b"connection: upgrade\r\n",
    });
    // RFC 9110 section 8.6: neither 1xx nor 204 may say a length.
    let framing = match (body, head.declared_length) {
        (_, _) if matches!(head.status, 100..=199 | 204) => BodyLength::None,
        (BodyLength::None, Some(length)) => BodyLength::Bytes(length),
        (body, _) => body,
    };
    put_framing(framing, out);
    out.extend_from_slice(b"\r\n");
}

/// Frames the window of `buffer` as one chunk, in its head- and tailroom. An empty window stays
/// empty, because an empty chunk would end the body. False, and nothing changed, if there is no
/// room.
pub fn encode_chunk(buffer: &mut Buffer) -> bool {
    if buffer.is_empty() {
        return true;
    }
    let (line, start) = size_line(buffer.len());
    let line = &line[start..];
    if line.len() > buffer.headroom() || buffer.tailroom() < 2 {
        return false;
    }
    buffer.prepend(line) && buffer.append(b"\r\n")
}

/// Appends the last chunk and the trailers to `out`.
pub fn encode_last_chunk(trailers: Option<&Fields>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    if let Some(trailers) = trailers {
        put_fields(trailers, out);
    }
    out.extend_from_slice(b"\r\n");
}

fn put_fields(fields: &Fields, out: &mut Vec<u8>) {
    for field in fields.list() {
        if is_written_anew(field.id) {
            continue;
        }
        let (name, value) = (fields.text(field.name), fields.text(field.value));
        put(out, &[name, b": ", value, b"\r\n"]);
    }
}

/// Fields that only the encoder writes: a second one, from wherever it came, would be an ambiguous
/// message.
fn is_written_anew(id: HeaderId) -> bool {
    matches!(
        id,
        HeaderId::Host
            | HeaderId::Connection
            | HeaderId::ContentLength
            | HeaderId::TransferEncoding
    )
}

fn put_framing(body: BodyLength, out: &mut Vec<u8>) {
    match body {
        BodyLength::None | BodyLength::ToClose => {}
        BodyLength::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        BodyLength::Bytes(length) => {
            out.extend_from_slice(b"content-length: ");
            append_number(length, out);
            out.extend_from_slice(b"\r\n");
        }
    }
}

#[inline]
fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

fn status_digits(status: u16) -> [u8; 3] {
    [status / 100 % 10, status / 10 % 10, status % 10].map(|digit| b'0' + digit as u8)
}

/// `1*HEXDIG CRLF` at the end of an array, and where it starts.
fn size_line(mut size: usize) -> ([u8; 18], usize) {
    let mut line = *b"0000000000000000\r\n";
    let mut start = 16;
    while size > 0 {
        start -= 1;
        line[start] = b"0123456789abcdef"[size & 15];
        size >>= 4;
    }
    (line, start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, declared_length: Option<u64>, body: BodyLength) -> String {
        let mut head = ResponseHead {
            status,
            declared_length,
            ..ResponseHead::default()
        };
        head.fields.push(b"A", b"1");
        let mut out = Vec::new();
        encode_response(&head, body, ConnectionHeader::None, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn responses_say_their_length_where_they_may() {
        for (status, declared, body, expect) in [
            (
                200,
                None,
                BodyLength::Bytes(0),
                "200 OK\r\na: 1\r\ncontent-length: 0\r\n",
            ),
            (
                200,
                None,
                BodyLength::Chunked,
                "200 OK\r\na: 1\r\ntransfer-encoding: chunked\r\n",
            ),
            (200, None, BodyLength::ToClose, "200 OK\r\na: 1\r\n"),
            (
                200,
                Some(7),
                BodyLength::None,
                "200 OK\r\na: 1\r\ncontent-length: 7\r\n",
            ),
            (304, None, BodyLength::None, "304 Not Modified\r\na: 1\r\n"),
            (
                204,
                Some(7),
                BodyLength::Bytes(0),
                "204 No Content\r\na: 1\r\n",
            ),
            (
                101,
                None,
                BodyLength::Bytes(0),
                "101 Switching Protocols\r\na: 1\r\n",
            ),
            (299, None, BodyLength::None, "299 \r\na: 1\r\n"),
        ] {
            let text = response(status, declared, body);
            assert_eq!(text, format!("HTTP/1.1 {expect}\r\n"));
        }
    }

    #[test]
    fn fields_that_frame_are_never_copied() {
        let mut head = RequestHead::default();
        head.method_text = head.fields.store(b"POST");
        head.set_target(b"/");
        head.set_authority(b"a");
        for name in [
            "host",
            "connection",
            "content-length",
            "transfer-encoding",
            "b",
        ] {
            head.fields.push(name.as_bytes(), b"evil");
        }
        let mut out = Vec::new();
        encode_request(&head, BodyLength::Bytes(5), false, None, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "POST / HTTP/1.1\r\nhost: a\r\nb: evil\r\n\
             connection: close\r\ncontent-length: 5\r\n\r\n"
        );
    }

    #[test]
    fn chunks_are_framed_in_place() {
        for len in [1, 9, 10, 15, 16, 255, 256, 4095, 65536] {
            let mut buffer = Buffer::with_payload(len);
            buffer.fill_from(&vec![b'x'; len]);
            assert!(encode_chunk(&mut buffer));
            let expect = format!("{len:x}\r\n{}\r\n", "x".repeat(len));
            assert_eq!(buffer.as_slice(), expect.as_bytes());
        }
    }

    #[test]
    fn an_empty_chunk_is_never_written() {
        let mut buffer = Buffer::with_payload(8);
        assert!(encode_chunk(&mut buffer));
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_chunk_without_room_is_left_alone() {
        let mut buffer = Buffer::from_parts(Box::new([b'x'; 8]), 2, 6);
        assert!(!encode_chunk(&mut buffer));
        assert_eq!(buffer.window(), 2..6);
        let mut buffer = Buffer::from_parts(Box::new([b'x'; 8]), 3, 7);
        assert!(!encode_chunk(&mut buffer));
        assert_eq!(buffer.window(), 3..7);
    }

    #[test]
    fn the_last_chunk_carries_trailers() {
        let mut out = Vec::new();
        encode_last_chunk(None, &mut out);
        assert_eq!(out, LAST_CHUNK);
        let mut fields = Fields::default();
        fields.push(b"A", b"1");
        out.clear();
        encode_last_chunk(Some(&fields), &mut out);
        assert_eq!(out, b"0\r\na: 1\r\n\r\n");
    }
}
