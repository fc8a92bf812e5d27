//! Section 7: which heads are heads, so that nothing ambiguous can leave as HTTP/1.

use penstock_core::http::BodyLength;
use penstock_core::http::h1::encode_request;
use penstock_core::http::h2::{Settings, StreamId};
use penstock_core::http::{RequestHead, hop};

use crate::wire::*;

/// Pseudo-headers of a GET, and more fields.
fn with<'a>(fields: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&GET[..], fields].concat()
}

/// A request without body: `head 1 end`, or why it is refused.
fn check(fields: &[(&str, &str)], expect: &str) -> String {
    let mut wire = Wire::server();
    let lines = wire.feed(&headers(1, END_STREAM, fields));
    let found = match lines.as_str() {
        "head 1 end" => "good",
        _ => lines
            .strip_prefix("rejected 1 ")
            .and_then(|rest| rest.strip_suffix(", RST 1 protocol"))
            .unwrap_or(&lines),
    };
    assert_eq!(found, expect, "{fields:?}");
    wire.head
}

#[test]
fn d01_names() {
    for name in [
        "X-A",
        "x a",
        "x:",
        "x\r\nb",
        "x\0",
        "",
        "\u{e9}",
        "x(",
        "transfer-encoding ",
    ] {
        check(&with(&[(name, "1")]), "field_name");
    }
    let head = check(&with(&[("x-a!#$%&'*+.^_`|~9", "1")]), "good");
    assert_eq!(head, "GET a.test / None\nx-a!#$%&'*+.^_`|~9: 1\n");
}

#[test]
fn d02_values() {
    for value in [
        "a\r\nb: c",
        "a\nb",
        "a\rb",
        "a\0",
        " a",
        "a ",
        "\ta",
        "a\t",
        "a\x7fb",
        "\x1b",
    ] {
        check(&with(&[("x-a", value)]), "field_value");
    }
    check(&with(&[("x-a", "a b\tc\u{e9}")]), "good");
    for pseudo in 0..4 {
        let mut fields = GET;
        fields[pseudo].1 = "a\r\nb";
        check(&fields, "field_value");
    }
}

#[test]
fn d03_connection_fields_h2_te() {
    for (name, value) in [
        ("connection", "close"),
        ("keep-alive", "1"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
        ("te", ""),
    ] {
        check(&with(&[(name, value)]), "connection_field");
    }
    check(&with(&[("te", "trailers")]), "good");
    check(&with(&[("http2-settings", "x")]), "good");
}

#[test]
fn d04_pseudo_headers() {
    for (index, &pseudo) in GET.iter().enumerate().take(3) {
        let mut without = GET.to_vec();
        without.remove(index);
        check(&without, "pseudo_header");
        check(&with(&[pseudo]), "pseudo_header");
        let twice = [&[pseudo][..], &GET].concat();
        check(&twice, "pseudo_header");
    }
    check(
        &with(&[("x-a", "b"), (":authority", "a.test")]),
        "pseudo_header",
    );
    check(&with(&[(":status", "200")]), "pseudo_header");
    check(&with(&[(":unknown", "1")]), "pseudo_header");
    check(&with(&[(":protocol", "websocket")]), "pseudo_header");
    check(&with(&[(":", "1")]), "pseudo_header");
    let late = [("x-a", "b"), GET[0], GET[1], GET[2], GET[3]];
    check(&late, "pseudo_header");
}

#[test]
fn d04_connect() {
    let connect =
        |fields: &[(&'static str, &'static str)]| [&[(":method", "CONNECT")], fields].concat();
    let mut wire = Wire::server();
    let lines = wire.feed(&headers(1, 0, &connect(&[(":authority", "a.test:443")])));
    assert_eq!(lines, "head 1");
    assert_eq!(wire.head, "CONNECT a.test:443  Chunked\n");
    check(&connect(&[(":authority", "a.test")]), "target_form");
    check(&connect(&[]), "host");
    check(&connect(&[("host", "a.test:443")]), "pseudo_header");
    let https = (":scheme", "https");
    check(
        &connect(&[(":authority", "a.test:443"), https]),
        "pseudo_header",
    );
    check(
        &connect(&[(":authority", "a.test:443"), (":path", "/")]),
        "pseudo_header",
    );
    check(
        &connect(&[(":authority", "a.test:443"), ("content-length", "1")]),
        "content_length",
    );
    check(
        &connect(&[(":authority", "a.test:443"), ("content-length", "0")]),
        "body",
    );
}

#[test]
fn d04_extended_connect_only_when_announced() {
    let fields = [
        (":method", "CONNECT"),
        (":scheme", "https"),
        (":path", "/chat"),
        (":authority", "a.test"),
        (":protocol", "websocket"),
        ("sec-websocket-version", "13"),
    ];
    check(&fields, "pseudo_header");
    let settings = Settings {
        extended_connect: true,
        ..Settings::default()
    };
    let mut wire = Wire::server_with(settings);
    assert_eq!(wire.feed(&headers(1, 0, &fields)), "head 1");
    assert_eq!(
        wire.head,
        "CONNECT a.test /chat Chunked\nwebsocketsec-websocket-version: 13\n"
    );
    let mut wire = Wire::server_with(settings);
    let mut get = fields;
    get[0].1 = "GET";
    let lines = wire.feed(&headers(1, 0, &get));
    assert_eq!(lines, "rejected 1 pseudo_header, RST 1 protocol");
}

#[test]
fn d05_path_method_scheme_cve_2023_35944() {
    let replaced = |index: usize, value: &'static str| {
        let mut fields = GET;
        fields[index].1 = value;
        fields
    };
    for path in [
        "",
        "a",
        "*",
        "http://a.test/",
        "//a b",
        "/a#b",
        "/\u{e9}",
        "/a\\b",
    ] {
        let lines = check_any(&replaced(2, path));
        assert!(
            ["target", "target_form"].contains(&&*lines),
            "{path} {lines}"
        );
    }
    check(&replaced(2, "/a?b\\c"), "good");
    let options = [(":method", "OPTIONS"), GET[1], (":path", "*"), GET[3]];
    check(&options, "good");
    check(&replaced(0, "G ET"), "method");
    check(&replaced(0, ""), "request_line");
    check(&replaced(1, "HTTPS"), "good");
    check(&replaced(1, "ftp"), "target_form");
    check(&replaced(1, ""), "target_form");
}

fn check_any(fields: &[(&str, &str)]) -> String {
    let lines = Wire::server().feed(&headers(1, END_STREAM, fields));
    lines
        .trim_start_matches("rejected 1 ")
        .trim_end_matches(", RST 1 protocol")
        .to_owned()
}

#[test]
fn d05_a_long_path_is_answered() {
    let path = format!("/{}", "a".repeat(8192));
    let mut fields = GET;
    fields[2].1 = &path;
    let lines = Wire::server().feed(&headers(1, END_STREAM, &fields));
    assert_eq!(lines, "refused 1 target_length end");
}

#[test]
fn d06_authority_and_host() {
    let without = &GET[..3];
    for bad in [
        "",
        "u@a.test",
        "a.test/",
        "a,b",
        "a b",
        "a.test:0",
        "a.test:99999",
        "a.test:",
    ] {
        check(&[without, &[(":authority", bad)]].concat(), "host");
        check(&[without, &[("host", bad)]].concat(), "host");
    }
    check(without, "host");
    check(&with(&[("host", "b.test")]), "target_form");
    check(&with(&[("host", "a.test"), ("host", "a.test")]), "host");
    let head = check(&with(&[("host", "A.test")]), "good");
    assert_eq!(head, "GET a.test / None\n");
    let head = check(&[without, &[("host", "b.test:81")]].concat(), "good");
    assert_eq!(head, "GET b.test:81 / None\n");
}

#[test]
fn d07_content_length_h2_cl() {
    for bad in [
        "+1",
        "-1",
        "0x1",
        "1,1",
        "",
        "9223372036854775808",
        "1 ",
        "1_0",
    ] {
        let found = check_any(&with(&[("content-length", bad)]));
        assert!(
            ["content_length", "field_value"].contains(&&*found),
            "{bad} {found}"
        );
    }
    check(
        &with(&[("content-length", "0"), ("content-length", "0")]),
        "content_length",
    );
    check(&with(&[("content-length", "1")]), "content_length");
    let head = check(&with(&[("content-length", "0")]), "good");
    assert_eq!(head, "GET a.test / Bytes(0)\n");

    let body = |length: &str, frames: &[Vec<u8>]| {
        let fields = [&POST[..], &[("content-length", length)]].concat();
        let mut wire = Wire::server();
        wire.feed(
            &[vec![headers(1, 0, &fields)], frames.to_vec()]
                .concat()
                .concat(),
        )
    };
    let data = |bytes: &[u8], flags| frame(DATA, flags, 1, bytes);
    let wrong = "reset 1 protocol content_length, RST 1 protocol";
    assert_eq!(
        body("03", &[data(b"ab", 0), data(b"c", END_STREAM)]),
        "head 1, data 1 2, data 1 1 end"
    );
    assert_eq!(body("3", &[data(b"abcd", 0)]), format!("head 1, {wrong}"));
    assert_eq!(
        body("3", &[data(b"ab", END_STREAM)]),
        format!("head 1, {wrong}")
    );
    assert_eq!(
        body("3", &[data(b"ab", 0), data(b"", END_STREAM)]),
        format!("head 1, data 1 2, {wrong}")
    );
    let trailers = headers(1, END_STREAM, &[("a", "b")]);
    assert_eq!(
        body("3", &[data(b"ab", 0), trailers]),
        format!("head 1, data 1 2, {wrong}")
    );
    assert_eq!(
        body("0", &[data(b"a", END_STREAM)]),
        format!("head 1, {wrong}")
    );
}

#[test]
fn d08_cookie_crumbs() {
    let head = check(
        &with(&[
            ("cookie", "a=1"),
            ("x-a", "b"),
            ("cookie", "b=2"),
            ("cookie", "c=3"),
        ]),
        "good",
    );
    assert_eq!(head, "GET a.test / None\nx-a: b\ncookie: a=1; b=2; c=3\n");
    let head = check(&with(&[("cookie", "a=1; b=2")]), "good");
    assert_eq!(head, "GET a.test / None\ncookie: a=1; b=2\n");
}

#[test]
fn d09_what_leaves_as_http1() {
    let mut wire = Wire::server();
    let fields = with(&[
        ("te", "trailers"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("x-a", "b"),
    ]);
    let mut at = 0;
    let bytes = headers(1, 0, &fields);
    wire.connection.next(wire.now, &bytes, &mut at).unwrap();
    let mut head = RequestHead::default();
    let framing = wire.connection.take_request(&mut head);
    assert_eq!(framing.body, BodyLength::Chunked);
    hop::strip_request(&mut head.fields);
    let mut out = Vec::new();
    encode_request(&head, framing.body, framing.keep_alive, None, &mut out);
    let expect = "GET / HTTP/1.1\r\nhost: a.test\r\nx-a: b\r\ncookie: a=1; b=2\r\n\
                  transfer-encoding: chunked\r\n\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), expect);
}

#[test]
fn d10_a_reset_in_mid_body_is_told() {
    let mut wire = Wire::server();
    let bytes = [
        post(1),
        frame(DATA, 0, 1, b"abc"),
        rst(1, penstock_core::http::h2::Code::CANCEL),
    ];
    assert_eq!(
        wire.feed(&bytes.concat()),
        "head 1, data 1 3, reset 1 cancel remote"
    );
}

#[test]
fn d11_fields_of_http1_never_leave() {
    let mut client = Wire::client();
    let mut server = Wire::server();
    let stream = client.connection.open().unwrap();
    let mut head = RequestHead::default();
    head.method_text = head.fields.store(b"GET");
    head.set_target(b"/");
    head.set_authority(b"a.test");
    for (name, value) in [
        ("Host", "evil"),
        ("Connection", "x"),
        ("Content-Length", "9"),
        ("Transfer-Encoding", "chunked"),
        ("Keep-Alive", "1"),
        ("Proxy-Connection", "1"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "x"),
        ("TE", "gzip"),
        ("TE", "trailers"),
        ("X-Upper", "Case"),
    ] {
        head.fields.push(name.as_bytes(), value.as_bytes());
    }
    assert!(
        client
            .connection
            .send_request(stream, &head, BodyLength::Bytes(3))
    );
    let mut bytes = Vec::new();
    client.connection.take_output(&mut bytes);
    // The other side did not see stream 1.
    assert_eq!(server.feed(&bytes), "head 3");
    assert_eq!(
        server.head,
        "GET a.test / Bytes(3)\nte: trailers\nx-upper: Case\n"
    );
}

#[test]
fn d12_101_is_malformed() {
    let mut wire = Wire::client();
    let lines = wire.feed(&headers(1, 0, &[(":status", "101")]));
    assert_eq!(
        lines,
        "reset 1 protocol switching_protocols, RST 1 protocol"
    );
}

#[test]
fn c07_expectations() {
    let expect = |value: &'static str, flags| {
        let mut wire = Wire::server();
        wire.feed(&headers(
            1,
            flags,
            &[&POST[..], &[("expect", value)]].concat(),
        ))
    };
    assert_eq!(expect("100-Continue", 0), "head 1");
    assert_eq!(expect("200-ok", 0), "refused 1 expect");
}

#[test]
fn r01_r04_responses() {
    let check = |method: &str,
                 flags: u8,
                 fields: &[(&str, &str)],
                 body: &[u8],
                 expect: &str,
                 head: &str| {
        let mut wire = Wire::client();
        let stream = wire.request(method);
        wire.replies();
        let mut bytes = headers(stream.0, flags, fields);
        if flags & END_STREAM == 0 {
            bytes.extend(frame(DATA, END_STREAM, stream.0, body));
        }
        assert_eq!(wire.feed(&bytes), expect, "{fields:?}");
        assert_eq!(wire.head, head, "{fields:?}");
        wire.connection.forget(StreamId(1));
    };
    let ok = (":status", "200");
    check(
        "GET",
        0,
        &[ok, ("content-length", "1"), ("content-length", "1")],
        b"a",
        "head 3, data 3 1 end",
        "200 Bytes(1)\n",
    );
    check(
        "GET",
        0,
        &[ok],
        b"",
        "head 3, data 3 0 end",
        "200 Chunked\n",
    );
    check(
        "GET",
        END_STREAM,
        &[ok],
        b"",
        "head 3 end",
        "200 Bytes(0)\n",
    );
    check(
        "HEAD",
        END_STREAM,
        &[ok, ("content-length", "9")],
        b"",
        "head 3 end",
        "200 None\n",
    );
    check(
        "GET",
        END_STREAM,
        &[(":status", "304"), ("content-length", "9")],
        b"",
        "head 3 end",
        "304 None\n",
    );
    check(
        "GET",
        END_STREAM,
        &[(":status", "204")],
        b"",
        "head 3 end",
        "204 None\n",
    );
    let wrong = "reset 3 protocol content_length, RST 3 protocol";
    check(
        "HEAD",
        0,
        &[ok],
        b"a",
        &format!("head 3, {wrong}"),
        "200 None\n",
    );
    check(
        "GET",
        END_STREAM,
        &[ok, ("content-length", "9")],
        b"",
        wrong,
        "",
    );
    check(
        "GET",
        END_STREAM,
        &[ok, ("content-length", "1"), ("content-length", "2")],
        b"",
        wrong,
        "",
    );
    check(
        "CONNECT",
        0,
        &[ok, ("content-length", "9")],
        b"tunnel",
        "head 3, data 3 6 end",
        "200 Chunked\n",
    );
    for status in ["", "20", "2000", "099", "600", "2x0", "+20"] {
        let bad = "reset 3 protocol status_line, RST 3 protocol";
        check("GET", END_STREAM, &[(":status", status)], b"", bad, "");
    }
    let bad = "reset 3 protocol pseudo_header, RST 3 protocol";
    check("GET", END_STREAM, &[ok, ok], b"", bad, "");
    check("GET", END_STREAM, &[ok, (":path", "/")], b"", bad, "");
    let bad = "reset 3 protocol connection_field, RST 3 protocol";
    check(
        "GET",
        END_STREAM,
        &[ok, ("transfer-encoding", "chunked")],
        b"",
        bad,
        "",
    );
}

#[test]
fn r07_interim_responses() {
    let mut wire = Wire::client();
    let bytes = [
        headers(1, 0, &[(":status", "103"), ("link", "x")]),
        headers(1, END_STREAM, &[(":status", "200")]),
    ];
    assert_eq!(wire.feed(&bytes[0]), "head 1");
    assert_eq!(wire.head, "103 None\nlink: x\n");
    assert_eq!(wire.feed(&bytes[1]), "head 1 end");
    let mut wire = Wire::client();
    let lines = wire.feed(&headers(1, END_STREAM, &[(":status", "100")]));
    assert_eq!(
        lines,
        "reset 1 protocol switching_protocols, RST 1 protocol"
    );
}
