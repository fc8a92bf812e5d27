//! Every file of `examples/` starts, and does what its comments say.

use std::io::{Read, Write};
use std::net::Shutdown;

use perf_lab::origin::{Behaviour, Origin};

use crate::process::{ANY, Gateway, drivers};
use crate::wire::{ask, connect, get};

/// An example between three origins, on free ports.
struct Example {
    gateway: Gateway,
    _origins: [Origin; 3],
}

impl Example {
    fn start(driver: &str, text: &str) -> Self {
        let origins = ["one", "two", "three"]
            .map(|label| Origin::start(label, Behaviour::Fast, ANY).unwrap());
        let mut text = text.to_owned();
        for (port, origin) in [9001, 9002, 9003].iter().zip(&origins) {
            let actual = format!("port_value: {} ", origin.address().port());
            text = text.replace(&format!("port_value: {port} "), &actual);
        }
        for port in ["port_value: 8080", "port_value: 9901"] {
            text = text.replace(port, "port_value: 0");
        }
        Self {
            gateway: Gateway::start(driver, &text),
            _origins: origins,
        }
    }

    #[track_caller]
    fn check(&self, path: &str, lines: &[&str], status: u16, field: Option<(&str, &str)>) {
        let reply = ask(self.gateway.address, &format!("GET {path}"), lines);
        assert_eq!(reply.status, status, "{path} {lines:?}: {}", reply.text);
        if let Some((name, value)) = field {
            assert_eq!(reply.field(name), Some(value), "{path}: {}", reply.text);
        }
    }
}

#[test]
fn demo() {
    for driver in drivers() {
        let example = Example::start(driver, include_str!("../../../examples/demo.yaml"));
        example.check("/hello", &[], 200, Some(("x-served-by", "penstock")));
        example.check("/fast/x", &[], 200, Some(("x-origin", "one")));
        example.check("/slow", &[], 200, Some(("x-origin", "two")));
        example.check(
            "/",
            &["Host: slow.localhost:8080"],
            200,
            Some(("x-origin", "two")),
        );
        example.check(
            "/old",
            &[],
            308,
            Some(("location", "http://localhost/fast")),
        );
        example.check("/", &["x_y: 1"], 400, None);
    }
}

#[test]
fn edge() {
    for driver in drivers() {
        let example = Example::start(driver, include_str!("../../../examples/edge.yaml"));
        let shop = "Host: shop.example.com";
        example.check(
            "/healthz",
            &[shop],
            200,
            Some(("x-content-type-options", "nosniff")),
        );
        let moved = ("location", "http://shop.example.com/products/12");
        example.check("/articles/12", &[shop], 301, Some(moved));
        example.check(
            "/",
            &[shop, "x-canary: always"],
            200,
            Some(("x-origin", "three")),
        );
        example.check(
            "/",
            &["Host: www.shop.example.com:80"],
            200,
            Some(("server", "edge")),
        );
        example.check("/a%2Fb", &[shop], 400, None);
        let api = "Host: eu.api.example.com";
        example.check("/v1/things", &[api], 200, Some(("x-origin", "one")));
        example.check("/search", &[api], 404, None);
        example.check("/search?q=1", &[api], 200, None);
        let users = ask(example.gateway.address, "GET /v2/users/7", &[api]);
        assert!(
            users.text.contains("GET /users/7 HTTP/1.1"),
            "{}",
            users.text
        );
        let elsewhere = ("location", "http://shop.example.com/a?b");
        example.check("/a?b", &["Host: other"], 302, Some(elsewhere));
        let stats = get(example.gateway.admin, "/stats/prometheus");
        assert!(
            stats.text.contains("penstock_http_requests_total"),
            "{}",
            stats.text
        );
    }
}

#[test]
fn websocket() {
    for driver in drivers() {
        let example = Example::start(driver, include_str!("../../../examples/websocket.yaml"));
        let upgrade = |path: &str| {
            let mut stream = connect(example.gateway.address);
            let head = format!(
                "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
                 Upgrade: websocket\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream
        };
        let mut stream = upgrade("/socket/1");
        stream.write_all(b"there and back").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 101 "), "{driver}: {text}");
        assert!(text.ends_with("\r\n\r\nthere and back"), "{driver}: {text}");
        // Where none is allowed the offer is refused (C10), as in Envoy.
        let mut refused = upgrade("/page");
        let mut status = [0; 12];
        refused.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 403", "{driver}");
        let reply = ask(example.gateway.address, "GET /", &[]);
        assert!(reply.field("x-request-id").is_some(), "{}", reply.text);
        assert!(reply.field("server").is_none(), "{}", reply.text);
    }
}

#[test]
fn clusters() {
    for driver in drivers() {
        let example = Example::start(driver, include_str!("../../../examples/clusters.yaml"));
        for path in ["/orders/1", "/batch/orders"] {
            let reply = ask(example.gateway.address, &format!("GET {path}"), &[]);
            // Priority 0 is healthy, so the second site sees nothing.
            let origin = reply.field("x-origin");
            assert!(matches!(origin, Some("one" | "two")), "{}", reply.text);
        }
        let files = ask(example.gateway.address, "GET /files/a", &[]);
        assert!(
            files.text.to_lowercase().contains("host: localhost"),
            "{}",
            files.text
        );
        example.check(
            "/",
            &["x-cluster: reports"],
            200,
            Some(("x-origin", "three")),
        );
        example.check("/", &["x-cluster: nothing"], 404, None);
        example.check("/", &[], 404, None);
    }
}
