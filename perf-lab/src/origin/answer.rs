//! The answer to one request, written piece by piece so that a large body needs little memory.

use std::fmt::Write as _;

use super::request::Request;
use crate::pattern;

/// Bytes written ahead of the socket.
const AHEAD: usize = 256 * 1024;
/// Data bytes of one chunk.
const CHUNK: usize = 16 * 1024;

/// An answer on its way: what is left of the body.
#[derive(Debug)]
pub(super) struct Answer {
    content: Content,
    left: u64,
    offset: u64,
    framing: Framing,
    pub(super) close: bool,
}

#[derive(Debug)]
enum Content {
    Pattern,
    Text(Vec<u8>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Framing {
    Length,
    Chunked { trailers: bool },
    Done,
}

/// Numbers that an answer shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    pub(super) connection: u64,
    pub(super) request: u64,
    pub(super) body: u64,
}

impl Answer {
    /// Writes the head to `out` and keeps the body for [`Answer::write`].
    pub(super) fn begin(
        request: &Request,
        status: u16,
        label: &str,
        numbers: Numbers,
        out: &mut Vec<u8>,
    ) -> Self {
        let (content, length) = content(request, label, numbers);
        let chunked = request.wish.chunked || request.wish.trailers;
        let close = request.wish.close || !request.keep_alive;
        let framing = match (request.is_head, chunked) {
            (true, _) => Framing::Done,
            (_, true) => Framing::Chunked {
                trailers: request.wish.trailers,
            },
            _ => Framing::Length,
        };
        let mut head = format!(
            "HTTP/1.1 {status} {}\r\ncontent-type: text/plain\r\nx-origin: {label}\r\n\
             x-origin-connection: {}\r\nx-origin-request: {}\r\nx-request-bytes: {}\r\n",
            reason(status),
            numbers.connection,
            numbers.request,
            numbers.body,
        );
        // Writing to a String cannot fail.
        let _ = match chunked {
            true => write!(head, "transfer-encoding: chunked\r\n"),
            false => write!(head, "content-length: {length}\r\n"),
        };
        head.push_str(if close {
            "connection: close\r\n\r\n"
        } else {
            "\r\n"
        });
        out.extend_from_slice(head.as_bytes());
        Self {
            content,
            left: length,
            offset: 0,
            framing,
            close,
        }
    }

    /// Appends more of the body to `out`, which is bounded; true if that was all.
    pub(super) fn write(&mut self, out: &mut Vec<u8>) -> bool {
        while out.len() < AHEAD && self.framing != Framing::Done {
            self.piece(out);
        }
        self.framing == Framing::Done
    }

    fn piece(&mut self, out: &mut Vec<u8>) {
        let count = self.left.min(CHUNK as u64) as usize;
        match self.framing {
            Framing::Chunked { trailers } if count == 0 => {
                let field = if trailers { "x-checked: yes\r\n" } else { "" };
                out.extend_from_slice(format!("0\r\n{field}\r\n").as_bytes());
                self.framing = Framing::Done;
                return;
            }
            Framing::Chunked { .. } => {
                out.extend_from_slice(format!("{count:x}\r\n").as_bytes());
                self.data(count, out);
                out.extend_from_slice(b"\r\n");
            }
            _ => self.data(count, out),
        }
        if self.left == 0 && self.framing == Framing::Length {
            self.framing = Framing::Done;
        }
    }

    fn data(&mut self, count: usize, out: &mut Vec<u8>) {
        match &self.content {
            Content::Pattern => pattern::append(out, self.offset, count),
            Content::Text(text) => {
                let start = self.offset as usize;
                out.extend_from_slice(&text[start..start + count]);
            }
        }
        self.offset += count as u64;
        self.left -= count as u64;
    }
}

fn content(request: &Request, label: &str, numbers: Numbers) -> (Content, u64) {
    if let Some(size) = request.wish.size {
        return (Content::Pattern, size);
    }
    let text = format!(
        "origin {label}, connection {}, request {}\n\n{}\n",
        numbers.connection, numbers.request, request.text
    );
    let length = text.len() as u64;
    (Content::Text(text.into_bytes()), length)
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
