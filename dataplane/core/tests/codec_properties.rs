//! Properties of the codec on generated and damaged messages: rows of the attack table with bytes
//! changed, and messages put together from parts that are nearly right.

#[path = "../testdata/cases.rs"]
mod cases;
#[path = "../testdata/properties.rs"]
mod properties;

use proptest::prelude::*;
use proptest::sample::select;

/// Bytes that parsers care about.
const TELLING: &[u8] = b"\r\n\t :;,/.%?#\\@[]=\"_-+*\0\x0b\x7f\x80\xa0\xff0123456789abcdefxXzHTP";

/// A message with some bytes changed, put in or taken out.
fn damaged(messages: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), 0..3u8, select(TELLING));
    (select(messages), prop::collection::vec(change, 0..4)).prop_map(|(mut bytes, changes)| {
        for (index, kind, byte) in changes {
            let at = index.index(bytes.len() + 1);
            match kind {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => bytes[at] = byte,
                _ if at < bytes.len() => drop(bytes.remove(at)),
                _ => {}
            }
        }
        bytes
    })
}

fn short(messages: impl Iterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    messages.filter(|bytes| bytes.len() < 4096).collect()
}

fn requests() -> Vec<Vec<u8>> {
    short(cases::all().into_iter().map(|case| case.client))
}

fn responses() -> Vec<Vec<u8>> {
    short(cases::all().into_iter().filter_map(|case| case.origin))
}

fn bodies() -> Vec<Vec<u8>> {
    let bodies = requests().into_iter().filter_map(|bytes| {
        let at = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        Some(bytes[at + 4..].to_vec())
    });
    bodies.filter(|body| body.ends_with(b"\r\n\r\n")).collect()
}

fn joined(parts: &'static [&'static str], count: std::ops::Range<usize>) -> BoxedStrategy<Vec<u8>> {
    prop::collection::vec(select(parts), count)
        .prop_map(|parts| parts.concat().into_bytes())
        .boxed()
}

fn request_from_parts() -> impl Strategy<Value = Vec<u8>> {
    const LINES: &[&str] = &[
        "GET /a HTTP/1.1\r\n",
        "POST http://a/b?c HTTP/1.1\r\n",
        "OPTIONS http://a HTTP/1.0\r\n",
        "OPTIONS * HTTP/1.1\r\n",
        "CONNECT a:1 HTTP/1.1\r\n",
        "TRACE / HTTP/1.1\r\n",
    ];
    const FIELDS: &[&str] = &[
        "Host: a\r\n",
        "Host: a:1\r\n",
        "Content-Length: 5\r\n",
        "content-length: 05\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: upgrade\r\n",
        "Connection: close\r\n",
        "Connection: x-a, keep-alive\r\n",
        "Upgrade: websocket\r\n",
        "Upgrade: h2c\r\n",
        "HTTP2-Settings: x\r\n",
        "Expect: 100-continue\r\n",
        "Keep-Alive: 5\r\n",
        "TE: trailers\r\n",
        "X-A:  1 \r\n",
        "X-B:\r\n",
        "x_c: \u{85}\r\n",
    ];
    (joined(LINES, 1..2), joined(FIELDS, 0..7)).prop_map(|(mut line, fields)| {
        line.extend(b"Host: a\r\n".iter().filter(|_| fields.len() % 3 != 0));
        line.extend(fields);
        line.extend(b"\r\n");
        line
    })
}

fn response_from_parts() -> impl Strategy<Value = Vec<u8>> {
    const LINES: &[&str] = &[
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 200 OK\r\n",
        "HTTP/1.1 204\r\n",
        "HTTP/1.1 304 Not Modified\r\n",
        "HTTP/1.1 101 Switching\r\n",
        "HTTP/1.1 103 \r\n",
        "HTTP/1.1 599 ?\r\n",
    ];
    const FIELDS: &[&str] = &[
        "Content-Length: 5\r\n",
        "Content-Length: 05\r\n",
        "Transfer-Encoding: Chunked\r\n",
        "Connection: close\r\n",
        "Connection: keep-alive, x-a\r\n",
        "Upgrade: websocket\r\n",
        "Host: a\r\n",
        "X-A: 1\r\n",
        "Server: x\r\n",
    ];
    (joined(LINES, 1..2), joined(FIELDS, 0..5)).prop_map(|(mut line, fields)| {
        line.extend(fields);
        line.extend(b"\r\n");
        line
    })
}

fn chunks_from_parts() -> impl Strategy<Value = Vec<u8>> {
    const CHUNKS: &[&str] = &[
        "5\r\nhello\r\n",
        "00a\r\n0123456789\r\n",
        "1;a\r\nx\r\n",
        "2;a=\"b\\\"c\" ; d\r\nxy\r\n",
        "3\r\n\r\n\r\r\n",
    ];
    const ENDS: &[&str] = &[
        "0\r\n\r\n",
        "000\r\n\r\nGET /",
        "0\r\nX-A: 1\r\nCookie: b\r\n\r\n",
        "0;a\r\nX: 1\r\n\r\nrest",
        "",
    ];
    (joined(CHUNKS, 0..6), joined(ENDS, 1..2)).prop_map(|(mut chunks, end)| {
        chunks.extend(end);
        chunks
    })
}

fn target() -> impl Strategy<Value = Vec<u8>> {
    const PARTS: &[&str] = &[
        "/", "/", "//", ".", "..", "/..", "/.", "a", ";", "%2e", "%2E%2e", "%2f", "%5C", "%25",
        "%61", "%7e", "%c3%a9", "%c0", "%00", "%", "?", "2f",
    ];
    joined(PARTS, 0..10).prop_map(|parts| [&b"/"[..], &parts].concat())
}

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(2000)
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn damaged_requests(bytes in damaged(requests())) {
        properties::request_head(&bytes);
    }

    #[test]
    fn requests_from_parts(bytes in request_from_parts()) {
        properties::request_head(&bytes);
    }

    #[test]
    fn damaged_responses(bytes in damaged(responses())) {
        properties::response_head(&bytes);
    }

    #[test]
    fn responses_from_parts(bytes in response_from_parts()) {
        properties::response_head(&bytes);
    }

    #[test]
    fn damaged_chunks(bytes in damaged(bodies())) {
        properties::chunked(&bytes);
    }

    #[test]
    fn chunks_from_parts_survive(bytes in chunks_from_parts()) {
        properties::chunked(&bytes);
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(select(TELLING), 0..60)) {
        properties::request_head(&bytes);
        properties::response_head(&bytes);
        properties::chunked(&bytes);
        properties::path(&bytes);
    }

    #[test]
    fn targets(target in target()) {
        properties::path(&target);
    }
}

#[test]
fn rows_of_the_table() {
    for case in cases::all() {
        properties::request_head(&case.client);
        properties::response_head(case.origin.as_deref().unwrap_or_default());
    }
}
