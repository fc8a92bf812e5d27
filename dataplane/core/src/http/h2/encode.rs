//! Writes heads and trailers as field blocks, from the model and never from received bytes.

use super::frame::{self, HEADER_LEN};
use super::hpack::Encoder;
use crate::digits::number_text;
use crate::http::{BodyLength, Fields, HeaderId, Method, RequestHead, ResponseHead};

/// Indexes in the static table (RFC 7541 appendix A).
mod index {
    pub(super) const AUTHORITY: u32 = 1;
    pub(super) const METHOD_GET: u32 = 2;
    pub(super) const METHOD_POST: u32 = 3;
    pub(super) const PATH_ROOT: u32 = 4;
    pub(super) const SCHEME_HTTP: u32 = 6;
    pub(super) const SCHEME_HTTPS: u32 = 7;
    pub(super) const STATUS_200: u32 = 8;
}

/// Where a block goes and how it is cut.
pub(crate) struct Frame<'a> {
    pub(crate) stream: u32,
    pub(crate) end_stream: bool,
    pub(crate) payload_max: u32,
    pub(crate) out: &'a mut Vec<u8>,
}

impl Frame<'_> {
    fn put(self, encoder: &mut Encoder, write: impl FnOnce(&mut Encoder, &mut Vec<u8>)) {
        let start = self.out.len();
        self.out.extend_from_slice(&[0; HEADER_LEN]);
        encoder.begin(self.out);
        write(encoder, self.out);
        frame::frame_block(
            self.stream,
            self.end_stream,
            start,
            self.payload_max,
            self.out,
        );
    }
}

/// A request; `body` is what content-length says.
pub(crate) fn put_request(
    head: &RequestHead,
    body: BodyLength,
    encoder: &mut Encoder,
    frame: Frame<'_>,
) {
    frame.put(encoder, |encoder, out| {
        match head.method {
            Method::Get => encoder.indexed(index::METHOD_GET, out),
            Method::Post => encoder.indexed(index::METHOD_POST, out),
            _ => encoder.pseudo(index::METHOD_GET, b":method", head.method_text(), out),
        }
        let extended = !head.protocol().is_empty();
        // RFC 9113 section 8.5: CONNECT has neither, unless it is extended.
        if head.method != Method::Connect || extended {
            put_target(head, encoder, out);
        }
        encoder.pseudo(index::AUTHORITY, b":authority", head.authority(), out);
        if extended {
            encoder.extended_protocol(head.protocol(), out);
        }
        put_fields(&head.fields, encoder, out);
        put_length(body, encoder, out);
    });
}

fn put_target(head: &RequestHead, encoder: &mut Encoder, out: &mut Vec<u8>) {
    encoder.indexed(
        match head.secure {
            true => index::SCHEME_HTTPS,
            false => index::SCHEME_HTTP,
        },
        out,
    );
    match head.target() {
        b"/" => encoder.indexed(index::PATH_ROOT, out),
        target => encoder.pseudo(index::PATH_ROOT, b":path", target, out),
    }
}

/// A response; `body` is what content-length says.
pub(crate) fn put_response(
    head: &ResponseHead,
    body: BodyLength,
    encoder: &mut Encoder,
    frame: Frame<'_>,
) {
    frame.put(encoder, |encoder, out| {
        put_status(head.status, encoder, out);
        put_fields(&head.fields, encoder, out);
        // RFC 9110 section 8.6: neither 1xx nor 204 may say a length.
        let length = match (body, head.declared_length) {
            _ if matches!(head.status, 100..=199 | 204) => BodyLength::None,
            (BodyLength::None, Some(length)) => BodyLength::Bytes(length),
            (body, _) => body,
        };
        put_length(length, encoder, out);
    });
}

fn put_status(status: u16, encoder: &mut Encoder, out: &mut Vec<u8>) {
    const KNOWN: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    if let Some(at) = KNOWN.iter().position(|&known| known == status) {
        return encoder.indexed(index::STATUS_200 + at as u32, out);
    }
    let digits = [status / 100 % 10, status / 10 % 10, status % 10].map(|digit| b'0' + digit as u8);
    encoder.pseudo(index::STATUS_200, b":status", &digits, out);
}

/// Trailers; there is at least one.
pub(crate) fn put_trailers(fields: &Fields, encoder: &mut Encoder, frame: Frame<'_>) {
    frame.put(encoder, |encoder, out| put_fields(fields, encoder, out));
}

fn put_fields(fields: &Fields, encoder: &mut Encoder, out: &mut Vec<u8>) {
    for field in fields.list() {
        let (name, value) = (fields.text(field.name), fields.text(field.value));
        if is_left_out(field.id, value) {
            continue;
        }
        match field.never_indexed {
            true => encoder.never_indexed(name, value, out),
            false => encoder.field(field.id, name, value, out),
        }
    }
}

/// D11: what concerns one HTTP/1 connection, and what is written from the model.
fn is_left_out(id: HeaderId, value: &[u8]) -> bool {
    match id {
        HeaderId::Te => !value.eq_ignore_ascii_case(b"trailers"),
        _ => matches!(
            id,
            HeaderId::Host
                | HeaderId::Connection
                | HeaderId::ContentLength
                | HeaderId::TransferEncoding
                | HeaderId::KeepAlive
                | HeaderId::ProxyConnection
                | HeaderId::Upgrade
                | HeaderId::Http2Settings
        ),
    }
}

fn put_length(body: BodyLength, encoder: &mut Encoder, out: &mut Vec<u8>) {
    let BodyLength::Bytes(length) = body else {
        return;
    };
    let mut digits = [0; 20];
    let digits = number_text(length, &mut digits);
    encoder.field(HeaderId::ContentLength, b"content-length", digits, out);
}
