//! The attack table against the whole engine: what the client is told, what the origin sees, which
//! connections end. The bytes come whole, and byte by byte.

#[path = "../../testdata/cases.rs"]
mod cases;

use cases::Case;
use penstock_core::buffer::Buffer;
use penstock_core::config::listener::{HostOptions, Http, StripPort};
use penstock_core::config::route::{
    Action, DirectResponse, HeaderMatch, PathMatch, Pattern, RouteConfig, StringMatch, ValueTest,
    VirtualHost,
};
use penstock_core::event::ConnId;
use penstock_core::http::h1::{
    BodyDecoder, HeadLimits, HeadScanner, RequestOptions, Underscores, decode_request,
    decode_response, encode_chunk, encode_last_chunk,
};
use penstock_core::http::path::EscapedSlashes;
use penstock_core::http::{BodyLength, Method, RequestHead, ResponseHead};
use penstock_core::route::RouteTable;

use crate::world::{World, WorldOptions, route, to_origin};

const USUAL: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[test]
fn rows_hold_for_bytes_at_once() {
    cases::all().iter().for_each(|case| check(case, usize::MAX));
}

#[test]
fn rows_hold_byte_by_byte() {
    let short = |case: &&Case| case.client.len() < 20_000;
    let cases = cases::all();
    cases.iter().filter(short).for_each(|case| check(case, 1));
}

/// One client, the origins that the engine connects to, and what all of them received.
struct Stage {
    world: World,
    client: ConnId,
    origins: Vec<Origin>,
    answered: usize,
    received: Vec<u8>,
    piece: usize,
}

struct Origin {
    conn: ConnId,
    /// All bytes, and how many of them are requests that were answered.
    received: Vec<u8>,
    answered: usize,
}

fn check(case: &Case, piece: usize) {
    let mut world = World::serving(WorldOptions::default(), |http| {
        configure(http, &case.profile)
    });
    let client = world.accept();
    let (origins, received) = (Vec::new(), Vec::new());
    let mut stage = Stage {
        world,
        client,
        origins,
        answered: 0,
        received,
        piece,
    };
    stage.client_sends(&case.client, case);
    if case.client_ends {
        stage.world.client_ends(client);
        stage.settle(case);
    }
    if let (Some(first), false) = (stage.origins.first(), case.origin_late.is_empty()) {
        let conn = first.conn;
        stage.world.arrive(conn, &case.origin_late);
        stage.settle(case);
    }
    stage.client_sends(&case.client_then, case);
    stage.verify(case);
}

impl Stage {
    fn client_sends(&mut self, bytes: &[u8], case: &Case) {
        for piece in bytes.chunks(self.piece) {
            if self.world.closed().contains(&self.client) {
                return;
            }
            self.world.arrive(self.client, piece);
            self.settle_complete(case);
        }
        self.settle(case);
    }

    /// Lets everything happen that can, answers without a complete request included.
    fn settle(&mut self, case: &Case) {
        self.settle_complete(case);
        let waits = |origin: &Origin| origin.received.len() > origin.answered;
        if let Some(index) = self.origins.iter().position(waits)
            && case.origin.is_some()
            && self.answered == 0
        {
            self.origins[index].answered = self.origins[index].received.len();
            self.answer(index, case);
            self.settle_complete(case);
        }
    }

    /// Connects what asks for it and answers what is complete, until nothing moves.
    fn settle_complete(&mut self, case: &Case) {
        loop {
            while let Some(conn) = self.world.try_connected() {
                self.origins.push(Origin {
                    conn,
                    received: Vec::new(),
                    answered: 0,
                });
            }
            let mut moved = false;
            for index in 0..self.origins.len() {
                let origin = &mut self.origins[index];
                origin.received.extend(self.world.bytes_to(origin.conn));
                if self.answered > 0 && switches(case) {
                    continue;
                }
                if let Some(len) = complete_request(&origin.received[origin.answered..]) {
                    origin.answered += len;
                    moved = true;
                    self.answer(index, case);
                }
            }
            self.received.extend(self.world.bytes_to(self.client));
            if !moved {
                return;
            }
        }
    }

    fn answer(&mut self, index: usize, case: &Case) {
        let conn = self.origins[index].conn;
        let first = self.answered == 0;
        self.answered += 1;
        let bytes = case.origin.as_deref().filter(|_| first).unwrap_or(USUAL);
        for piece in bytes.chunks(self.piece) {
            if self.world.closed().contains(&conn) {
                return;
            }
            self.world.arrive(conn, piece);
        }
        if first && case.origin_ends && !self.world.closed().contains(&conn) {
            self.world.origin_ends(conn);
        }
    }

    fn verify(&mut self, case: &Case) {
        let name = format!("{} in pieces of {}", case.name, self.piece);
        let seen: Vec<u8> = self
            .origins
            .iter()
            .flat_map(|origin| plain(&origin.received, switches(case)))
            .collect();
        let text = format!(
            "{name}\n-- client\n{}\n-- origin\n{}",
            show(&self.received),
            show(&seen)
        );
        let (statuses, received) = answers(&self.received, &case.client);
        assert!(case.statuses.contains(&statuses), "{statuses:?} {text}");
        let ends = |conn| self.world.closed().contains(conn) || self.world.shut().contains(conn);
        let closed = ends(&self.client);
        assert!(
            case.closed.is_none_or(|expect| expect == closed),
            "closed: {closed} {text}"
        );
        assert!(!case.untouched || seen.is_empty(), "touched {text}");
        for marker in &case.seen {
            // The client of this world has another address than one on loopback.
            let marker = show(marker).replace("127.0.0.1", "192.0.2.1");
            assert!(show(&seen).contains(&marker), "not seen: {marker} {text}");
        }
        for marker in &case.unseen {
            assert!(
                !show(&seen).contains(&show(marker)),
                "seen: {} {text}",
                show(marker)
            );
        }
        for marker in &case.answer {
            assert!(
                show(&received).contains(&show(marker)),
                "no {} {text}",
                show(marker)
            );
        }
        for marker in &case.no_answer {
            assert!(
                !show(&received).contains(&show(marker)),
                "{} {text}",
                show(marker)
            );
        }
        let first_closed = self.origins.first().is_some_and(|first| ends(&first.conn));
        assert!(
            !case.origin_closed || first_closed,
            "the origin stays open {text}"
        );
    }
}

fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Does the origin open a tunnel? What follows is no request.
fn switches(case: &Case) -> bool {
    let origin = case.origin.as_deref().unwrap_or_default();
    origin.starts_with(b"HTTP/1.1 101 ") && case.statuses == [[101]]
}

/// The gateway adds fields of its own.
const LIMITS: HeadLimits = HeadLimits {
    bytes_max: 100_000,
    fields_max: 128,
};

/// Length of the request at the front, if it is there as a whole.
fn complete_request(bytes: &[u8]) -> Option<usize> {
    let (len, finished) = take_request(bytes, &mut Vec::new())?;
    finished.then_some(len)
}

/// Takes a request as far as it is there and writes it to `plain` with its chunks joined to one;
/// its length, and whether that is all of it.
fn take_request(bytes: &[u8], plain: &mut Vec<u8>) -> Option<(usize, bool)> {
    let end = HeadScanner::request().scan(bytes, &LIMITS);
    let len = end.expect("the gateway writes good heads")?;
    let options = RequestOptions {
        fields_max: LIMITS.fields_max,
        ..RequestOptions::default()
    };
    let mut head = RequestHead::default();
    let framing =
        decode_request(&bytes[..len], &options, &mut head).expect("the gateway writes good heads");
    plain.extend_from_slice(&bytes[..len]);
    let (used, finished) = join_body(framing.body, &bytes[len..], plain);
    Some((len + used, finished))
}

/// What an origin received with the chunks of each body joined, so that rows do not depend on
/// pieces.
fn plain(mut bytes: &[u8], tunnel: bool) -> Vec<u8> {
    let mut plain = Vec::new();
    while let Some((len, true)) = take_request(bytes, &mut plain) {
        bytes = &bytes[len..];
        if tunnel {
            plain.extend_from_slice(bytes);
            break;
        }
    }
    plain
}

/// The final statuses in what the client received, and all of it with the chunks of each body
/// joined.
fn answers(mut bytes: &[u8], requests: &[u8]) -> (Vec<u16>, Vec<u8>) {
    let mut method = Method::parse(
        requests
            .split(|&byte| byte == b' ')
            .next()
            .unwrap_or_default(),
    );
    let (mut statuses, mut plain) = (Vec::new(), Vec::new());
    while !bytes.is_empty() {
        let end = HeadScanner::response().scan(bytes, &LIMITS);
        let len = end
            .expect("the gateway writes good heads")
            .expect("a head is complete");
        let mut head = ResponseHead::default();
        let framing = decode_response(&bytes[..len], method, &mut head)
            .expect("the gateway writes good heads");
        plain.extend_from_slice(&bytes[..len]);
        bytes = &bytes[len..];
        if head.status >= 200 || head.status == 101 {
            statuses.push(head.status);
            method = Method::Get;
        }
        if head.status == 101 {
            plain.extend_from_slice(bytes);
            break;
        }
        let used = join_body(framing.body, bytes, &mut plain).0;
        bytes = &bytes[used..];
    }
    (statuses, plain)
}

/// Writes a body to `plain` with its chunks joined to one; how long it was, and whether it is
/// complete.
fn join_body(length: BodyLength, bytes: &[u8], plain: &mut Vec<u8>) -> (usize, bool) {
    let mut body = BodyDecoder::new(length);
    let mut payload = Buffer::with_payload(bytes.len());
    payload.fill_from(bytes);
    let decoded = body
        .decode(&mut payload)
        .expect("the gateway writes good bodies");
    let used = bytes.len() - decoded.rest.map_or(0, |(start, end)| end - start);
    let chunked = length == BodyLength::Chunked;
    assert!(!chunked || encode_chunk(&mut payload));
    plain.extend_from_slice(payload.as_slice());
    if chunked && body.is_finished() {
        encode_last_chunk(body.trailers(), plain);
    }
    (used, body.is_finished())
}

fn configure(http: &mut Http, profile: &str) {
    http.routes = std::sync::Arc::new(RouteTable::compile(routes()).expect("the table is valid"));
    http.forward_trailers = profile == "trailers";
    match profile {
        "default" | "trailers" => {}
        "http10" => {
            http.decode.accept_http10 = true;
            http.decode.default_host = "default.test".into();
        }
        "underscores_reject" => http.decode.underscores = Underscores::Reject,
        "underscores_drop" => http.decode.underscores = Underscores::Drop,
        "merge_slashes" => http.path.merge_slashes = true,
        "slashes_keep" => http.path.escaped_slashes = EscapedSlashes::Keep,
        "slashes_redirect" => http.path.escaped_slashes = EscapedSlashes::UnescapeAndRedirect,
        "slashes_forward" => http.path.escaped_slashes = EscapedSlashes::UnescapeAndForward,
        "host_strip" => {
            http.host = HostOptions {
                strip_port: StripPort::Any,
                strip_trailing_dot: true,
            };
        }
        _ => panic!("unknown profile {profile}"),
    }
}

/// The routes that the head of the table describes.
fn routes() -> RouteConfig {
    let direct = |body: &str| {
        let body = body.as_bytes().into();
        Action::Direct(Box::new(DirectResponse { status: 200, body }))
    };
    let host = |domain: &str, routes| VirtualHost {
        name: domain.into(),
        domains: vec![domain.into()],
        routes,
        ..VirtualHost::default()
    };
    let by_role = |path: &str, role: &str, invert, body| {
        let mut route = route(PathMatch::Exact(path.into()), direct(body));
        route.matcher.headers = vec![HeaderMatch {
            name: "x-role".into(),
            test: ValueTest::Text(StringMatch {
                pattern: Pattern::Exact(role.into()),
                ignore_case: false,
            }),
            invert,
            missing_is_empty: false,
        }];
        route
    };
    let any = vec![
        route(PathMatch::Exact("/direct".into()), direct("direct")),
        route(
            PathMatch::SegmentPrefix("/separated".into()),
            direct("separated"),
        ),
        by_role("/admin", "admin", false, "admin"),
        by_role("/list", "a,b", false, "list"),
        by_role("/guest", "evil", true, "guest"),
        to_origin(),
    ];
    let vhost = vec![route(PathMatch::Prefix("/".into()), direct("vhost"))];
    RouteConfig {
        name: "routes".into(),
        virtual_hosts: vec![host("vhost.test", vhost), host("*", any)],
        ..RouteConfig::default()
    }
}
