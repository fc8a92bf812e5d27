//! Formats against one exchange whose every fact is known.

use core::net::SocketAddr;

use proptest::array::uniform8;
use proptest::collection::vec;
use proptest::prelude::any;

use super::*;
use crate::access_log::{Flags, Record};
use crate::event::Time;
use crate::http::{Fields, Method, RequestHead, ResponseHead, Version};

const MS: u64 = 1_000_000;

struct World {
    request: RequestHead,
    response: ResponseHead,
    trailers: Fields,
    record: Record,
}

impl World {
    fn facts(&self) -> Facts<'_> {
        Facts {
            request: &self.request,
            original_target: b"/before?q=1",
            response: Some(&self.response),
            trailers: Some(&self.trailers),
            record: &self.record,
            listener: "front",
            route: "route \"one\"",
            virtual_host: "shop",
            cluster: "backend",
            hostname: "gate-1",
        }
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn record() -> Record {
    Record {
        start_wall: 951_827_696_007 * MS,
        start: Time(1000 * MS),
        request_end: Time(1002 * MS),
        upstream_start: Time(1001 * MS),
        response_start: Time(1010 * MS),
        end: Time(1025 * MS),
        bytes_received: 12,
        bytes_sent: 3456,
        status: 200,
        flags: Flags::default(),
        details: "via upstream",
        attempts: 2,
        version: Version::Http11,
        downstream_direct: address("10.0.0.1:1111"),
        downstream_remote: address("203.0.113.9:2222"),
        downstream_local: address("[::1]:8080"),
        upstream_remote: Some(address("192.0.2.7:9000")),
        upstream_local: Some(address("192.0.2.1:3333")),
        connection: 77,
    }
}

fn world() -> World {
    let mut request = RequestHead::default();
    request.method = Method::Get;
    request.method_text = request.fields.store(b"GET");
    request.set_target(b"/after/path?q=1");
    request.set_authority(b"shop.example");
    request.fields.push(b"User-Agent", b"agent\"\r\n\x1b1");
    request.fields.push(b"X-Forwarded-For", b"203.0.113.9");
    request.fields.push(b"X-Forwarded-For", b"10.0.0.1");
    request.fields.push(b"X-Request-Id", b"id-1");
    request.fields.push(b"X-Own", b"one");
    request.fields.push(b"X-Own", b"two");
    request.fields.push(b"X-Wide", "gr\u{fc}n".as_bytes());
    let traceparent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.fields.push(b"traceparent", traceparent);
    let mut response = ResponseHead::default();
    response.fields.push(b"Content-Type", b"text/html");
    let mut trailers = Fields::default();
    trailers.push(b"grpc-status", b"0");
    World {
        request,
        response,
        trailers,
        record: record(),
    }
}

/// A request of which nothing could be read, answered with 400.
fn unreadable() -> World {
    World {
        request: RequestHead::default(),
        response: ResponseHead::default(),
        trailers: Fields::default(),
        record: Record {
            request_end: Time::NEVER,
            upstream_start: Time::NEVER,
            response_start: Time::NEVER,
            bytes_received: 0,
            status: 400,
            flags: Flags::DOWNSTREAM_PROTOCOL_ERROR,
            details: "",
            attempts: 0,
            upstream_remote: None,
            upstream_local: None,
            ..record()
        },
    }
}

fn written(format: &Format, world: &World) -> String {
    let mut out = Vec::new();
    format.write(&world.facts(), &mut out);
    String::from_utf8(out).unwrap()
}

fn check(format: &str, expect: &str) {
    let format = Format::parse(format).unwrap_or_else(|error| panic!("{format}: {error}"));
    assert_eq!(written(&format, &world()), expect);
}

#[test]
fn every_operator() {
    for (format, expect) in [
        ("", ""),
        ("plain %% text", "plain % text"),
        ("%START_TIME%", "2000-02-29T12:34:56.007Z"),
        ("%START_TIME(%s.%3f)%", "951827696.007"),
        ("%EMIT_TIME%", "2000-02-29T12:34:56.032Z"),
        (
            "%REQ(:METHOD)% %REQ(:path)% %REQ(:Authority)%",
            "GET /after/path?q=1 shop.example",
        ),
        ("%REQ(HOST)% %REQ(:SCHEME)%", "shop.example http"),
        ("%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/after/path?q=1"),
        ("%REQ(X-Own?:PATH)% %REQ(X-Nothing)%", "one -"),
        ("%REQ(X-FORWARDED-FOR)%", "203.0.113.9,10.0.0.1"),
        ("%REQ(X-FORWARDED-FOR):13%|", "203.0.113.9,1|"),
        ("%REQ(USER-AGENT)%", "agent\\\"\\r\\n\\x1b1"),
        ("%REQ(USER-AGENT):6%", "agent\\\""),
        (
            "%REQ(X-Wide):3%|%REQ(X-Wide):4%|%REQ(X-Wide):0%|",
            "gr|gr\u{fc}||",
        ),
        ("%REQ_WITHOUT_QUERY(:PATH)%", "/after/path"),
        (
            "%PATH%|%PATH(NQ)%|%PATH(NQ:PATH)%",
            "/before?q=1|/before|/after/path",
        ),
        ("%PATH(WQ:ORIG)%", "/before?q=1"),
        (
            "%RESP(content-type)% %RESP(x)% %RESP(:STATUS)%",
            "text/html - 200",
        ),
        ("%TRAILER(grpc-status)% %TRAILER(x)%", "0 -"),
        ("%PROTOCOL%", "HTTP/1.1"),
        (
            "%RESPONSE_CODE% %RESPONSE_CODE_DETAILS%",
            "200 via_upstream",
        ),
        ("%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%", "- -"),
        ("%BYTES_RECEIVED% %BYTES_SENT%", "12 3456"),
        (
            "%DURATION% %REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%",
            "25 2 10 15",
        ),
        ("%COMMON_DURATION(US_TX_BEG:US_RX_BEG:us)%", "9000"),
        (
            "%UPSTREAM_HOST% %UPSTREAM_CLUSTER%",
            "192.0.2.7:9000 backend",
        ),
        ("%UPSTREAM_CLUSTER_RAW%", "backend"),
        (
            "%UPSTREAM_LOCAL_ADDRESS% %UPSTREAM_LOCAL_PORT%",
            "192.0.2.1:3333 3333",
        ),
        ("%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", "192.0.2.1"),
        (
            "%UPSTREAM_REMOTE_ADDRESS% %UPSTREAM_REMOTE_PORT%",
            "192.0.2.7:9000 9000",
        ),
        ("%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "192.0.2.7"),
        ("%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "2"),
        (
            "%UPSTREAM_TRANSPORT_FAILURE_REASON% %CONNECTION_TERMINATION_DETAILS%",
            "- -",
        ),
        (
            "%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_PORT%",
            "203.0.113.9:2222 2222",
        ),
        ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "203.0.113.9"),
        ("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "10.0.0.1:1111"),
        (
            "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
            "10.0.0.1",
        ),
        ("%DOWNSTREAM_DIRECT_REMOTE_PORT%", "1111"),
        (
            "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_PORT%",
            "[::1]:8080 8080",
        ),
        ("%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", "::1"),
        ("%ROUTE_NAME% %VIRTUAL_HOST_NAME%", "route \\\"one\\\" shop"),
        ("%REQUESTED_SERVER_NAME% %VIRTUAL_CLUSTER_NAME%", "- -"),
        ("%CONNECTION_ID% %HOSTNAME% %STREAM_ID%", "77 gate-1 id-1"),
        (
            "%TRACE_ID% %TRACE_ID:4%",
            "0af7651916cd43dd8448eb211c80319c 0af7",
        ),
        ("%DOWNSTREAM_LOCAL_ADDRESS:4%", "[::1"),
    ] {
        check(format, expect);
    }
}

#[test]
fn the_default_of_envoy() {
    check(
        Format::DEFAULT,
        "[2000-02-29T12:34:56.007Z] \"GET /after/path?q=1 HTTP/1.1\" 200 - 12 3456 25 - \
         \"203.0.113.9,10.0.0.1\" \"agent\\\"\\r\\n\\x1b1\" \"id-1\" \"shop.example\" \
         \"192.0.2.7:9000\"\n",
    );
}

#[test]
fn a_request_that_could_not_be_read() {
    let format = Format::parse(Format::DEFAULT).unwrap();
    let expect = "[2000-02-29T12:34:56.007Z] \"- - -\" 400 DPE 0 3456 25 - \"-\" \"-\" \"-\" \"-\" \
                  \"-\"\n";
    assert_eq!(written(&format, &unreadable()), expect);
    let format = Format::parse("a%REQ(HOST)%b%REQ(:SCHEME)%c%REQUEST_DURATION%").unwrap();
    assert_eq!(
        written(&format.with_absent(Absent::Omitted), &unreadable()),
        "abc"
    );
}

#[test]
fn flags_are_joined() {
    let mut world = unreadable();
    world
        .record
        .flags
        .insert(Flags::UPSTREAM_CONNECTION_FAILURE);
    world.record.details = "connection refused";
    let format =
        Format::parse("%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG% %UPSTREAM_TRANSPORT_FAILURE_REASON%");
    assert_eq!(
        written(&format.unwrap(), &world),
        "UF,DPE UpstreamConnectionFailure,DownstreamProtocolError connection_refused"
    );
}

#[test]
fn header_values_are_never_more_than_a_value() {
    let format = Format::parse("<%REQ(USER-AGENT)%>\r\nx: %REQ(X-Nothing)%%RESPONSE_FLAGS%");
    let mut out = Vec::new();
    format
        .unwrap()
        .write_header_value(&world().facts(), &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), "<agent\"1>x: ");
}

#[test]
fn mistakes_have_a_place_and_a_reason() {
    for (format, expect) in [
        (
            "ab %RESPONSE_COD%",
            "byte 3: there is no operator RESPONSE_COD; did you mean RESPONSE_CODE?",
        ),
        ("%REQUEST(:PATH)%", "byte 0: there is no operator REQUEST"),
        (
            "%NOTHING_LIKE_IT%",
            "byte 0: there is no operator NOTHING_LIKE_IT",
        ),
        (
            "%DYNAMIC_METADATA(a:b)%",
            "byte 0: the operator DYNAMIC_METADATA is not served",
        ),
        (
            "%DOWNSTREAM_TLS_VERSION%",
            "byte 0: the operator DOWNSTREAM_TLS_VERSION is not served",
        ),
        (
            "%DURATION",
            "byte 0: the operator DURATION is not closed by a percent sign",
        ),
        (
            "%REQ(a",
            "byte 0: the argument of REQ is not closed by a parenthesis",
        ),
        (
            "%REQ(a):x%",
            "byte 0: the length after the colon, \"\", is no number",
        ),
        (
            "%REQ(a):99999999999%",
            "byte 0: the length after the colon, \"99999999999\", is no number",
        ),
        ("%REQ(:NOPE)%", "byte 0: there is no pseudo-header :NOPE"),
        (
            "%RESP(:PATH)%",
            "byte 0: :PATH is only in requests; use REQ(:PATH)",
        ),
        (
            "%REQ(a b)%",
            "byte 0: REQ needs the name of a header, or two with a question mark between them; \
            \"a b\" is none",
        ),
        (
            "%REQ(a?b?c)%",
            "byte 0: REQ needs the name of a header, or two with a question mark between them; \
            \"b?c\" is none",
        ),
        (
            "%PROTOCOL(x)%",
            "byte 0: PROTOCOL takes no argument, not \"x\"",
        ),
        (
            "%START_TIME(%Q)%",
            "byte 0: the time conversion %Q is not served",
        ),
        (
            "%PATH(XX)%",
            "byte 0: PATH takes WQ or NQ first, not \"XX\"",
        ),
        (
            "100% of it",
            "byte 3: an operator begins with a name in capital letters; a percent sign itself is \
            written %%",
        ),
        (
            "%",
            "byte 0: an operator begins with a name in capital letters; a percent sign itself is \
            written %%",
        ),
    ] {
        let found = Format::parse(format)
            .map(|_| ())
            .map_err(|error| error.to_string());
        assert_eq!(found, Err(expect.to_owned()), "{format}");
    }
    assert!(Format::parse(&"x".repeat(crate::limits::FORMAT_BYTES_MAX + 1)).is_err());
}

fn text(text: &str) -> JsonValue {
    JsonValue::Text(text.into())
}

fn fields(list: &[(&str, JsonValue)]) -> Vec<(String, JsonValue)> {
    list.iter()
        .map(|(key, value)| ((*key).into(), value.clone()))
        .collect()
}

fn example() -> Format {
    let format = Format::json(fields(&[
        ("status", text("%RESPONSE_CODE%")),
        ("flags", text("%RESPONSE_FLAGS%")),
        (
            "line",
            text("%REQ(:METHOD)% %REQ(X-Nothing)% \"%PROTOCOL%\""),
        ),
        ("agent", text("%REQ(USER-AGENT)%")),
        ("a \"key\"", text("fixed\n")),
        ("empty", text("")),
        ("number", JsonValue::Number(2.5)),
        ("whole", JsonValue::Number(3.0)),
        ("yes", JsonValue::Bool(true)),
        ("nothing", JsonValue::Null),
        (
            "inside",
            JsonValue::Object(fields(&[
                ("ms", text("%DURATION%")),
                ("x", text("%REQ(X-Nothing)%")),
            ])),
        ),
        (
            "list",
            JsonValue::List(vec![text("%BYTES_SENT%"), text("%TRAILER(x)%"), text("%%")]),
        ),
    ]));
    format.unwrap()
}

#[test]
fn json_keeps_types() {
    assert_eq!(
        written(&example(), &world()),
        "{\"status\":200,\"flags\":null,\"line\":\"GET - \\\"HTTP/1.1\\\"\",\
         \"agent\":\"agent\\\"\\r\\n\\u001b1\",\"a \\\"key\\\"\":\"fixed\\n\",\"empty\":\"\",\
         \"number\":2.5,\"whole\":3,\"yes\":true,\"nothing\":null,\
         \"inside\":{\"ms\":25,\"x\":null},\"list\":[3456,null,\"%\"]}\n"
    );
    assert_eq!(
        written(&example().with_absent(Absent::Omitted), &world()),
        "{\"status\":200,\"line\":\"GET  \\\"HTTP/1.1\\\"\",\
         \"agent\":\"agent\\\"\\r\\n\\u001b1\",\"a \\\"key\\\"\":\"fixed\\n\",\"empty\":\"\",\
         \"number\":2.5,\"whole\":3,\"yes\":true,\"nothing\":null,\
         \"inside\":{\"ms\":25},\"list\":[3456,\"%\"]}\n"
    );
}

#[test]
fn json_mistakes_name_the_field() {
    let wrong = JsonValue::Object(fields(&[("b", JsonValue::List(vec![text("x %NO%")]))]));
    let error = Format::json(fields(&[("a", wrong)])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a: b: [0]: byte 2: there is no operator NO"
    );
    assert!(Format::json(fields(&[("a", JsonValue::Number(f64::NAN))])).is_err());
    let deep = (0..100).fold(JsonValue::Null, |value, _| JsonValue::List(vec![value]));
    assert!(Format::json(fields(&[("a", deep)])).is_err());
}

/// Every kind of operator that shows client bytes.
const CLIENT_BYTES: &str = "%REQ(X-Own)%|%REQ(USER-AGENT):9%|%REQ(X-FORWARDED-FOR):5%|%REQ(:PATH)%|\
                            %REQ(:METHOD)%|%REQ(HOST)%|%PATH(NQ)%|%RESP(content-type):3%|\
                            %TRAILER(grpc-status)%|%STREAM_ID%|%TRACE_ID%";

fn hostile(parts: &[Vec<u8>; 8]) -> World {
    let [own, agent, forwarded, path, method, host, kind, trace] = parts;
    let mut request = RequestHead::default();
    request.method_text = request.fields.store(method);
    request.set_target(path);
    request.set_authority(host);
    request.fields.push(b"x-own", own);
    request.fields.push(b"user-agent", agent);
    request.fields.push(b"x-forwarded-for", forwarded);
    request.fields.push(b"x-forwarded-for", own);
    request.fields.push(b"x-request-id", host);
    request.fields.push(b"traceparent", trace);
    let mut world = World { request, ..world() };
    world.response.fields.clear();
    world.response.fields.push(b"content-type", kind);
    world.trailers.clear();
    world.trailers.push(b"grpc-status", agent);
    world
}

/// A quoted string must end where it is meant to end, and nowhere before.
fn strings_of(json: &str) -> usize {
    let (mut quotes, mut escaped) = (0, false);
    for character in json.chars() {
        quotes += usize::from(character == '"' && !escaped);
        escaped = character == '\\' && !escaped;
    }
    quotes / 2
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config {
        cases: 2000,
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        failure_persistence: None,
        ..proptest::test_runner::Config::default()
    })]

    /// O01: whatever bytes a client sends, one exchange is one line, one value, one object.
    #[test]
    fn no_client_byte_is_structure(
        parts in uniform8(vec(any::<u8>(), 0..60)),
    ) {
        let world = hostile(&parts);
        let format = Format::parse(&CLIENT_BYTES.replace('|', "\" \"")).unwrap();
        let line = written(&format, &world);
        assert!(!line.contains(char::is_control), "{line:?}");
        assert_eq!(strings_of(&format!("\"{line}\"")), 11, "{line:?}");
        let json = Format::json(fields(&[("a", text(CLIENT_BYTES)), ("b", text("%REQ(X-Own)%"))]));
        let json = written(&json.unwrap(), &world);
        assert!(!json.trim_end().contains(char::is_control), "{json:?}");
        assert!((3..=4).contains(&strings_of(&json)), "{json:?}");
        let mut value = Vec::new();
        Format::parse(CLIENT_BYTES).unwrap().write_header_value(&world.facts(), &mut value);
        assert!(value.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f)));
    }

    /// No text of a configuration makes the parser panic; what it takes can be written.
    #[test]
    fn any_text_is_parsed_or_refused(
        format in "([%():?]|REQ|RESP|START_TIME|PATH|DURATION|[a-zA-Z0-9 ]|%[YmdfsT39]|\\PC){0,20}",
    ) {
        if let Ok(format) = Format::parse(&format) {
            written(&format, &world());
            written(&format, &unreadable());
        }
    }
}
