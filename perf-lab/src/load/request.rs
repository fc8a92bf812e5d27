//! The bytes of one request, built once.

use super::Load;
use crate::pattern;

/// Data bytes of one chunk.
const CHUNK: u64 = 8 * 1024;

pub(super) fn build(load: &Load) -> Vec<u8> {
    let method = if load.body.is_some() { "POST" } else { "GET" };
    let mut head = format!("{method} {} HTTP/1.1\r\nHost: {}\r\n", load.path, load.host);
    for field in &load.fields {
        head.push_str(field);
        head.push_str("\r\n");
    }
    if !load.keep_alive {
        head.push_str("Connection: close\r\n");
    }
    if let Some(length) = load.body {
        head.push_str("X-Pattern: 1\r\n");
        head.push_str(&match load.chunked {
            true => "Transfer-Encoding: chunked\r\n".to_owned(),
            false => format!("Content-Length: {length}\r\n"),
        });
    }
    let mut bytes = format!("{head}\r\n").into_bytes();
    match load.body {
        Some(length) if load.chunked => chunks(&mut bytes, length),
        Some(length) => pattern::append(&mut bytes, 0, length as usize),
        None => {}
    }
    bytes
}

fn chunks(bytes: &mut Vec<u8>, length: u64) {
    let mut offset = 0;
    while offset < length {
        let count = CHUNK.min(length - offset);
        bytes.extend_from_slice(format!("{count:x}\r\n").as_bytes());
        pattern::append(bytes, offset, count as usize);
        bytes.extend_from_slice(b"\r\n");
        offset += count;
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
}
