//! The inputs: heads as gateways see them, and heads that only an attacker sends. All of them are
//! accepted, unless their name says otherwise, so that the whole way is measured.

use penstock_core::limits::{HEAD_BYTES_MAX, HEAD_FIELDS_MAX};

/// What the load generator sends: the least that a client can say.
pub(crate) const REQUEST_SHORT: &[u8] = b"GET /?size=1024 HTTP/1.1\r\n\
    Host: 127.0.0.1:8080\r\n\
    User-Agent: perf-lab/0.1\r\n\
    Accept: */*\r\n\r\n";

/// The same for a client that wants one answer only.
pub(crate) const REQUEST_CLOSE: &[u8] = b"GET /?size=1024 HTTP/1.1\r\n\
    Host: 127.0.0.1:8080\r\n\
    User-Agent: perf-lab/0.1\r\n\
    Accept: */*\r\n\
    Connection: close\r\n\r\n";

/// A call of one service by another.
pub(crate) const REQUEST_TYPICAL: &[u8] = b"GET /service-00042/items/42?page=3 HTTP/1.1\r\n\
    Host: shop.example.com\r\n\
    User-Agent: shop-frontend/4.2 (linux; x86_64)\r\n\
    Accept: application/json\r\n\
    Accept-Encoding: gzip, br\r\n\
    Authorization: Bearer q4Zt9uTn2s0vYkBnCw7mRj5eXa8dLh1f\r\n\
    Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\
    X-Request-Id: 6f1f0b4e-0a53-4a52-9d6b-8b5f6f0f3c11\r\n\
    X-Tenant: tenant-00042\r\n\r\n";

/// What an origin of the load generator answers.
pub(crate) const RESPONSE_SHORT: &[u8] = b"HTTP/1.1 200 OK\r\n\
    x-origin: origin\r\n\
    content-type: application/octet-stream\r\n\
    content-length: 1024\r\n\r\n";

/// An answer with what caches and browsers want to know.
pub(crate) const RESPONSE_TYPICAL: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    Server: items/7\r\n\
    Content-Type: application/json; charset=utf-8\r\n\
    Content-Length: 1024\r\n\
    Cache-Control: private, max-age=60\r\n\
    ETag: \"5d8c72a5edda8d6a\"\r\n\
    Vary: accept-encoding\r\n\
    X-Request-Id: 6f1f0b4e-0a53-4a52-9d6b-8b5f6f0f3c11\r\n\
    X-Upstream-Time: 12\r\n\r\n";

/// A browser's request: 20 fields, one of them a cookie of 1 KiB.
pub(crate) fn request_twenty() -> Vec<u8> {
    let cookie = format!("session={}; theme=dark", letters(1000));
    head(
        "GET /assets/app.js?v=20261121 HTTP/1.1",
        &[
            ("Host", "shop.example.com"),
            ("Connection", "keep-alive"),
            ("Cache-Control", "max-age=0"),
            (
                "Sec-Ch-Ua",
                "\"Chromium\";v=\"142\", \"Not=A?Brand\";v=\"24\"",
            ),
            ("Sec-Ch-Ua-Mobile", "?0"),
            ("Sec-Ch-Ua-Platform", "\"Linux\""),
            ("Upgrade-Insecure-Requests", "1"),
            (
                "User-Agent",
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
            ),
            ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
            ("Sec-Fetch-Site", "same-origin"),
            ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-User", "?1"),
            ("Sec-Fetch-Dest", "document"),
            ("Referer", "https://shop.example.com/items/42"),
            ("Accept-Encoding", "gzip, deflate, br, zstd"),
            ("Accept-Language", "de-DE,de;q=0.9,en;q=0.8"),
            ("If-None-Match", "\"5d8c72a5edda8d6a\""),
            ("X-Requested-With", "XMLHttpRequest"),
            ("X-Forwarded-For", "203.0.113.9"),
            ("Cookie", &cookie),
        ],
    )
}

/// An answer with 20 fields.
pub(crate) fn response_twenty() -> Vec<u8> {
    let names: Vec<String> = (0..18)
        .map(|index| format!("X-Policy-{index:02}"))
        .collect();
    let value = letters(40);
    let mut fields: Vec<(&str, &str)> = names.iter().map(|name| (&**name, &*value)).collect();
    fields.push(("Content-Type", "text/html"));
    fields.push(("Content-Length", "1024"));
    head("HTTP/1.1 200 OK", &fields)
}

/// Hostile: as many fields and nearly as many bytes as a head may have, all of it acceptable.
pub(crate) fn request_longest() -> Vec<u8> {
    longest(&[])
}

/// Hostile: the same, but the last two fields contradict each other, so that it is refused only
/// after everything was looked at.
pub(crate) fn request_refused() -> Vec<u8> {
    longest(&[("Content-Length", "5"), ("Transfer-Encoding", "chunked")])
}

fn longest(last: &[(&str, &str)]) -> Vec<u8> {
    let count = HEAD_FIELDS_MAX - 1 - last.len();
    let value = letters(HEAD_BYTES_MAX / HEAD_FIELDS_MAX - 32);
    let names: Vec<String> = (0..count)
        .map(|index| format!("X_wEiRd-{index:02}"))
        .collect();
    let mut fields = vec![("Host", "shop.example.com")];
    fields.extend(names.iter().map(|name| (&**name, &*value)));
    fields.extend(last);
    let head = head("POST /upload HTTP/1.1", &fields);
    assert!(head.len() <= HEAD_BYTES_MAX);
    head
}

/// `body` in chunks of `size` bytes, each with `extension` behind its size, and the last chunk.
pub(crate) fn chunked(body: &[u8], size: usize, extension: &str) -> Vec<u8> {
    let mut framed = Vec::new();
    for chunk in body.chunks(size) {
        framed.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
        framed.extend_from_slice(chunk);
        framed.extend_from_slice(b"\r\n");
    }
    framed.extend_from_slice(b"0\r\n\r\n");
    framed
}

/// A head and a body of `size` bytes.
pub(crate) fn response_with_body(size: usize) -> Vec<u8> {
    let length = size.to_string();
    let fields = [
        ("x-origin", "origin"),
        ("content-type", "application/octet-stream"),
        ("content-length", &*length),
    ];
    let mut response = head("HTTP/1.1 200 OK", &fields);
    response.extend_from_slice(letters(size).as_bytes());
    response
}

/// Letters without a short period.
pub(crate) fn letters(count: usize) -> String {
    (0..count)
        .map(|index| char::from(b'a' + (index * index % 26) as u8))
        .collect()
}

fn head(first_line: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let fields = fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"));
    format!("{first_line}\r\n{}\r\n", fields.collect::<String>()).into_bytes()
}
