//! The request and response decoders: what each framing field and connection option leads to.

use super::super::HeadScanner;
use super::*;

fn decode(head: &str) -> Result<(RequestFraming, String), Refusal> {
    let options = RequestOptions::default();
    let mut scanner = HeadScanner::request();
    let len = scanner
        .scan(head.as_bytes(), &options.limits())?
        .expect("the head is complete");
    let mut out = RequestHead::default();
    let framing = decode_request(&head.as_bytes()[..len], &options, &mut out)?;
    let mut bytes = Vec::new();
    super::super::encode_request(&out, framing.body, framing.keep_alive, None, &mut bytes);
    Ok((framing, String::from_utf8(bytes).unwrap()))
}

#[test]
fn a_plain_request_passes() {
    let (framing, text) = decode("GET /a?b HTTP/1.1\r\nHost: h:80\r\nX-A:  b \r\n\r\n").unwrap();
    assert_eq!(framing.body, BodyLength::None);
    assert!(framing.keep_alive);
    assert_eq!(text, "GET /a?b HTTP/1.1\r\nhost: h:80\r\nx-a: b\r\n\r\n");
}

fn framing(head: &str) -> RequestFraming {
    decode(head).expect("the head is good").0
}

#[test]
fn connections_persist_by_version_and_field() {
    let options = RequestOptions {
        accept_http10: true,
        ..RequestOptions::default()
    };
    for (version, fields, expect) in [
        ("1.1", "", true),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: x, CLOSE\r\n", false),
        (
            "1.1",
            "Connection: keep-alive\r\nConnection: close\r\n",
            false,
        ),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Proxy-Connection: Keep-Alive\r\n", false),
        ("1.0", "Connection: Keep-Alive, close\r\n", false),
    ] {
        let head = format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
        let framing = decode_request(head.as_bytes(), &options, &mut RequestHead::default());
        assert_eq!(
            framing.map(|framing| framing.keep_alive),
            Ok(expect),
            "{head}"
        );
    }
}

#[test]
fn c07_a_continue_is_awaited_only_with_a_body() {
    let head =
        |fields| format!("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n{fields}\r\n");
    assert!(framing(&head("Content-Length: 1\r\n")).expect_continue);
    assert!(framing(&head("Transfer-Encoding: chunked\r\n")).expect_continue);
    let (without, text) = decode(&head("Content-Length: 0\r\n")).unwrap();
    assert!(!without.expect_continue && !text.contains("expect"));
}

#[test]
fn c09_upgrades_that_are_offered() {
    let offered = |fields| framing(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).upgrade;
    assert!(offered("Connection: x, Upgrade\r\nUpgrade: websocket\r\n"));
    assert!(offered(
        "Upgrade: foo/2\r\nConnection: upgrade\r\nContent-Length: 0\r\n"
    ));
    assert!(!offered("Upgrade: websocket\r\n"));
    assert!(!offered("Connection: upgrade\r\n"));
    assert!(!offered("Connection: upgrade\r\nUpgrade: H2C\r\n"));
    assert!(!offered(
        "Connection: upgrade\r\nUpgrade: a\r\nUpgrade: a\r\n"
    ));
    assert!(!offered("Connection: upgrade\r\nUpgrade: a, b\r\n"));
    assert!(!offered("Connection: upgrade\r\nUpgrade:\r\n"));
    assert!(!offered(
        "Connection: upgrade\r\nUpgrade: a\r\nContent-Length: 1\r\n"
    ));
}

fn response(method: Method, head: &str) -> (ResponseFraming, Option<u64>) {
    let mut out = ResponseHead::default();
    let framing = decode_response(head.as_bytes(), method, &mut out).expect("the head is good");
    (framing, out.declared_length)
}

#[test]
fn r04_bodies_by_method_and_status() {
    let (get, head, connect) = (Method::Get, Method::Head, Method::Connect);
    let (none, close) = (BodyLength::None, BodyLength::ToClose);
    for (method, status, fields, body, declared) in [
        (get, 200, "", close, None),
        (
            get,
            200,
            "Content-Length: 7\r\n",
            BodyLength::Bytes(7),
            None,
        ),
        (
            get,
            200,
            "Transfer-Encoding: chunked\r\n",
            BodyLength::Chunked,
            None,
        ),
        (head, 200, "Content-Length: 7\r\n", none, Some(7)),
        (head, 200, "Transfer-Encoding: chunked\r\n", none, None),
        (head, 200, "", none, None),
        (get, 304, "Content-Length: 7\r\n", none, Some(7)),
        (get, 204, "Content-Length: 7\r\n", none, None),
        (get, 100, "", none, None),
        (get, 101, "Transfer-Encoding: chunked\r\n", none, None),
        (connect, 200, "Content-Length: 7\r\n", none, None),
        (
            connect,
            407,
            "Content-Length: 7\r\n",
            BodyLength::Bytes(7),
            None,
        ),
    ] {
        let text = format!("HTTP/1.1 {status} x\r\n{fields}\r\n");
        let (framing, length) = response(method, &text);
        assert_eq!(
            (framing.body, length),
            (body, declared),
            "{method:?} {text}"
        );
        assert_eq!(framing.keep_alive, body != close, "{text}");
    }
}

#[test]
fn responses_of_http10_persist_only_if_they_say_so() {
    let keep = |fields| {
        response(Method::Get, &format!("HTTP/1.0 200 OK\r\n{fields}\r\n"))
            .0
            .keep_alive
    };
    assert!(!keep("Content-Length: 1\r\n"));
    assert!(keep("Content-Length: 1\r\nConnection: keep-alive\r\n"));
    assert!(!keep("Connection: keep-alive\r\n"));
}

#[test]
fn memory_is_used_again() {
    let options = RequestOptions::default();
    let mut out = RequestHead::default();
    let head = b"GET /a HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\n\r\n";
    decode_request(head, &options, &mut out).unwrap();
    let memory = out.fields.memory();
    for _ in 0..100 {
        decode_request(head, &options, &mut out).unwrap();
        assert_eq!(out.fields.memory(), memory);
    }
}
