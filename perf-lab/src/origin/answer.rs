//! The head of an answer, and its body as far as it is not the pattern.

use super::request::Request;
use crate::outgoing::Outgoing;

/// Numbers that an answer shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    pub(super) connection: u64,
    pub(super) request: u64,
    pub(super) body: u64,
}

/// The answer to `request`; `head` is memory to write the head into.
pub(super) fn build(
    request: &Request,
    status: u16,
    label: &str,
    numbers: Numbers,
    mut head: Vec<u8>,
) -> Outgoing {
    head.clear();
    let text = request.wish.size.is_none().then(|| {
        let (connection, number) = (numbers.connection, numbers.request);
        format!(
            "origin {label}, connection {connection}, request {number}\n\n{}\n",
            request.text
        )
    });
    let length = match &text {
        Some(text) => text.len() as u64,
        None => request.wish.size.unwrap_or(0),
    };
    let chunked = request.wish.chunked || request.wish.trailers;
    fields(&mut head, status, label, numbers);
    match chunked {
        true => head.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        false => number(&mut head, "content-length: ", length),
    }
    if request.wish.close || !request.keep_alive {
        head.extend_from_slice(b"connection: close\r\n");
    }
    head.extend_from_slice(b"\r\n");
    let closing: &[u8] = match request.wish.trailers {
        true => b"0\r\nx-checked: yes\r\n\r\n",
        false => b"0\r\n\r\n",
    };
    match text {
        _ if request.is_head => Outgoing::plain(head, 0),
        Some(text) if chunked => {
            number_hex(&mut head, length);
            head.extend_from_slice(text.as_bytes());
            head.extend_from_slice(b"\r\n");
            head.extend_from_slice(closing);
            Outgoing::plain(head, 0)
        }
        Some(text) => {
            head.extend_from_slice(text.as_bytes());
            Outgoing::plain(head, 0)
        }
        None if chunked => Outgoing::chunked(head, length, closing),
        None => Outgoing::plain(head, length),
    }
}

fn fields(head: &mut Vec<u8>, status: u16, label: &str, numbers: Numbers) {
    if status == 200 {
        head.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    } else {
        head.extend_from_slice(format!("HTTP/1.1 {status} {}\r\n", reason(status)).as_bytes());
    }
    head.extend_from_slice(b"content-type: text/plain\r\nx-origin: ");
    head.extend_from_slice(label.as_bytes());
    head.extend_from_slice(b"\r\n");
    number(head, "x-origin-connection: ", numbers.connection);
    number(head, "x-origin-request: ", numbers.request);
    number(head, "x-request-bytes: ", numbers.body);
}

/// A field whose value is a number. By hand: formatting would cost more than all the rest.
fn number(head: &mut Vec<u8>, name: &str, value: u64) {
    head.extend_from_slice(name.as_bytes());
    let (mut digits, mut at, mut left) = ([0; 20], 20, value);
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    head.extend_from_slice(&digits[at..]);
    head.extend_from_slice(b"\r\n");
}

/// The size line of a chunk.
fn number_hex(head: &mut Vec<u8>, value: u64) {
    head.extend_from_slice(format!("{value:x}\r\n").as_bytes());
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        422 => "Unprocessable Content",
        503 => "Service Unavailable",
        _ => "Answer",
    }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_written_in_decimal() {
        for value in [0, 9, 10, 1234567890, u64::MAX] {
            let mut head = Vec::new();
            number(&mut head, "n: ", value);
            assert_eq!(head, format!("n: {value}\r\n").into_bytes());
        }
    }
}
