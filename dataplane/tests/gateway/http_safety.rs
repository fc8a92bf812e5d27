//! The attack table over real sockets: raw bytes in; status, close, and the bytes that the origin
//! saw out. One run per driver; the rows stand in the core's `testdata/http_safety.cases`.

#[path = "../../core/testdata/cases.rs"]
mod cases;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::process::{Gateway, drivers};
use crate::recorder::{Origin, Script};
use crate::wire::connect;
use cases::Case;

/// Profiles of the table, as lines of the connection manager.
const PROFILES: &[(&str, &[&str])] = &[
    ("default", &[]),
    (
        "http10",
        &["http_protocol_options: {accept_http_10: true, default_host_for_http_10: default.test}"],
    ),
    (
        "trailers",
        &["http_protocol_options: {enable_trailers: true}"],
    ),
    (
        "underscores_reject",
        &["common_http_protocol_options: {headers_with_underscores_action: REJECT_REQUEST}"],
    ),
    (
        "underscores_drop",
        &["common_http_protocol_options: {headers_with_underscores_action: DROP_HEADER}"],
    ),
    ("merge_slashes", &["merge_slashes: true"]),
    (
        "slashes_keep",
        &["path_with_escaped_slashes_action: KEEP_UNCHANGED"],
    ),
    (
        "slashes_redirect",
        &["path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT"],
    ),
    (
        "slashes_forward",
        &["path_with_escaped_slashes_action: UNESCAPE_AND_FORWARD"],
    ),
    (
        "host_strip",
        &["strip_any_host_port: true", "strip_trailing_host_dot: true"],
    ),
];

#[test]
fn every_row_holds_on_every_driver() {
    let table = cases::all();
    assert!(table.len() > 100, "the table has {} rows", table.len());
    let mut failures = Vec::new();
    for driver in drivers() {
        let origin = Origin::start();
        let gateway = Gateway::start(driver, &bootstrap(&origin));
        for case in &table {
            let report = run(&gateway, &origin, case);
            failures.extend(
                report
                    .into_iter()
                    .map(|line| format!("{driver} {}: {line}", case.name)),
            );
        }
    }
    assert!(
        failures.is_empty(),
        "{} findings:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn bootstrap(origin: &Origin) -> String {
    let listeners: Vec<String> = PROFILES
        .iter()
        .map(|(name, lines)| listener(name, lines))
        .collect();
    format!(
        r#"
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}
static_resources:
  listeners:
{}
  clusters:
  - name: origin
    connect_timeout: 5s
    load_assignment:
      cluster_name: origin
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {}}}}}}}
"#,
        listeners.join("\n"),
        origin.address.port()
    )
}

fn listener(name: &str, lines: &[&str]) -> String {
    let fields = lines.join("\n          ");
    format!(
        r#"  - name: {name}
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: {name}
          upgrade_configs: [{{upgrade_type: websocket}}]
          {fields}
          route_config:
            name: {name}
            virtual_hosts:
            - name: vhost
              domains: ["vhost.test"]
              routes:
              - match: {{prefix: /}}
                direct_response: {{status: 200, body: {{inline_string: vhost}}}}
            - name: any
              domains: ["*"]
              routes:
              - match: {{path: /direct}}
                direct_response: {{status: 200, body: {{inline_string: direct}}}}
              - match: {{path_separated_prefix: /separated}}
                direct_response: {{status: 200, body: {{inline_string: separated}}}}
              - match:
                  path: /admin
                  headers: [{{name: x-role, string_match: {{exact: admin}}}}]
                direct_response: {{status: 200, body: {{inline_string: admin}}}}
              - match:
                  path: /list
                  headers: [{{name: x-role, string_match: {{exact: "a,b"}}}}]
                direct_response: {{status: 200, body: {{inline_string: list}}}}
              - match:
                  path: /guest
                  headers: [{{name: x-role, string_match: {{exact: evil}}, invert_match: true}}]
                direct_response: {{status: 200, body: {{inline_string: guest}}}}
              - match: {{prefix: /}}
                route: {{cluster: origin}}
          http_filters:
          - name: router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"#
    )
}

/// Plays one row and says what is wrong.
fn run(gateway: &Gateway, origin: &Origin, case: &Case) -> Vec<String> {
    origin.play(Script {
        first: case.origin.clone(),
        late: case.origin_late.clone(),
        ends: case.origin_ends,
        overtakes: case.id() == "c03",
    });
    let mut client = connect(gateway.listeners[&case.profile]);
    let heads = request_methods(case);
    let mut answer = Answer::default();
    // The gateway may close before everything is written.
    let _ = client.write_all(&case.client);
    if !case.client_then.is_empty() {
        answer.read_due(&mut client, &heads);
        // Bytes on an idle connection cost it (C05); until then nobody can tell them from an
        // answer.
        if !case.origin_late.is_empty() && !origin.wait_closed() {
            return vec!["the origin's connection stays open after unasked bytes".to_owned()];
        }
        let _ = client.write_all(&case.client_then);
    }
    if case.client_ends {
        let _ = client.shutdown(Shutdown::Write);
    }
    judge(case, origin, &mut client, answer, &heads)
}

fn judge(
    case: &Case,
    origin: &Origin,
    client: &mut TcpStream,
    mut answer: Answer,
    heads: &[bool],
) -> Vec<String> {
    let mut wrong = Vec::new();
    let expected = case.statuses.iter().map(Vec::len).max().unwrap_or(0);
    let closes = case.closed == Some(true) || case.client_ends;
    if closes {
        answer.read_to_end(client);
    } else {
        while answer.statuses(heads).len() < expected && answer.read_some(client) {}
        answer.read_due(client, heads);
    }
    let statuses = answer.statuses(heads);
    if case.closed == Some(false) && !serves_on(client) {
        wrong.push("the connection does not serve on".to_owned());
    }
    if !case.statuses.is_empty() && !case.statuses.contains(&statuses) {
        wrong.push(format!(
            "statuses {statuses:?}, expected one of {:?}",
            case.statuses
        ));
    }
    if case.closed == Some(true) && !answer.ended {
        wrong.push("the connection stays open".to_owned());
    }
    if case.origin_closed && !origin.wait_closed() {
        wrong.push("the origin's connection stays open".to_owned());
    }
    let received = origin.received_with(&case.seen);
    drop(client.shutdown(Shutdown::Both));
    let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).escape_debug().to_string();
    for text in &case.seen {
        if !contains(&received, text) {
            wrong.push(format!(
                "the origin saw {:?}, not {:?}",
                show(&received),
                show(text)
            ));
        }
    }
    for text in &case.unseen {
        if contains(&received, text) {
            wrong.push(format!("the origin saw {:?}", show(text)));
        }
    }
    if case.untouched && !received.is_empty() {
        wrong.push(format!("the origin saw {:?}", show(&received)));
    }
    for text in &case.answer {
        if !contains(&answer.bytes, text) {
            wrong.push(format!(
                "the client got {:?}, not {:?}",
                show(&answer.bytes),
                show(text)
            ));
        }
    }
    for text in &case.no_answer {
        if contains(&answer.bytes, text) {
            wrong.push(format!("the client got {:?}", show(text)));
        }
    }
    wrong
}

/// Is a next request on the connection answered?
fn serves_on(client: &mut TcpStream) -> bool {
    // The gateway may have closed.
    let _ = client.write_all(b"GET /direct HTTP/1.1\r\nHost: probe.test\r\n\r\n");
    let mut answer = Answer::default();
    while answer.statuses(&[]).is_empty() && answer.read_some(client) {}
    answer.statuses(&[]) == [200]
}

/// For each request of the row, in order: is it HEAD?
fn request_methods(case: &Case) -> Vec<bool> {
    let all = [case.client.as_slice(), case.client_then.as_slice()].concat();
    let text = String::from_utf8_lossy(&all).into_owned();
    text.split("\r\n")
        .filter(|line| line.ends_with(" HTTP/1.1") || line.ends_with(" HTTP/1.0"))
        .map(|line| line.starts_with("HEAD "))
        .collect()
}

/// What the client has received.
#[derive(Default)]
struct Answer {
    bytes: Vec<u8>,
    ended: bool,
}

impl Answer {
    fn read_some(&mut self, client: &mut TcpStream) -> bool {
        let mut bytes = [0; 16 * 1024];
        match client.read(&mut bytes) {
            Ok(count @ 1..) => {
                self.bytes.extend_from_slice(&bytes[..count]);
                true
            }
            Ok(_) => {
                self.ended = true;
                false
            }
            Err(error) => {
                self.ended = error.kind() != std::io::ErrorKind::WouldBlock;
                false
            }
        }
    }

    fn read_to_end(&mut self, client: &mut TcpStream) {
        while self.read_some(client) {}
    }

    /// Reads until at least one final response is complete, or the connection ends.
    fn read_due(&mut self, client: &mut TcpStream, heads: &[bool]) {
        while self.statuses(heads).is_empty() && !self.interim() && self.read_some(client) {}
    }

    /// A 100 is all that is due for now.
    fn interim(&self) -> bool {
        self.bytes.starts_with(b"HTTP/1.1 100 ") && self.bytes.ends_with(b"\r\n\r\n")
    }

    /// Statuses of the complete final responses; 101 counts.
    fn statuses(&self, heads: &[bool]) -> Vec<u16> {
        let mut statuses = Vec::new();
        let mut rest = self.bytes.as_slice();
        while let Some((status, len)) =
            response(rest, heads.get(statuses.len()).copied(), self.ended)
        {
            rest = &rest[len..];
            if status >= 200 || status == 101 {
                statuses.push(status);
            }
            if status == 101 {
                break;
            }
        }
        statuses
    }
}

/// Status and length of the first response, if it is complete as far as it ever will be.
fn response(bytes: &[u8], head_request: Option<bool>, ended: bool) -> Option<(u16, usize)> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let status: u16 = text.get(9..12)?.parse().ok()?;
    let bodiless = status < 200 || matches!(status, 204 | 304) || head_request == Some(true);
    if bodiless {
        return Some((status, head));
    }
    let rest = &bytes[head..];
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let body = match length {
        Some(length) => {
            let length = length.parse::<usize>().ok()?;
            if rest.len() >= length {
                length
            } else {
                rest.len()
            }
        }
        None if text.contains("transfer-encoding: chunked") => {
            chunked_len(rest).unwrap_or(rest.len())
        }
        None => rest.len(),
    };
    let complete = match length {
        Some(length) => length.parse() == Ok(body),
        None if text.contains("transfer-encoding: chunked") => chunked_len(rest).is_some(),
        None => ended,
    };
    (complete || ended).then_some((status, head + body))
}

fn chunked_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = bytes
            .get(at..)?
            .windows(2)
            .position(|window| window == b"\r\n")?;
        let size =
            usize::from_str_radix(std::str::from_utf8(&bytes[at..at + line]).ok()?, 16).ok()?;
        at += line + 2;
        if size == 0 {
            let end = bytes
                .get(at - 2..)?
                .windows(4)
                .position(|window| window == b"\r\n\r\n")?;
            return Some(at + 2 + end);
        }
        at += size + 2;
    }
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    text.is_empty() || bytes.windows(text.len()).any(|window| window == text)
}
