//! What is believed of the way by which a request came (N08), and what upgrades may do to it.

use std::sync::Arc;

use penstock_core::config::listener::Http;
use penstock_core::config::route::{
    Action, PathMatch, Redirect, RedirectPath, RouteConfig, VirtualHost,
};
use penstock_core::http::path::EscapedSlashes;
use penstock_core::route::RouteTable;

use crate::world::{World, WorldOptions, route};

/// A world behind one trusted hop.
fn behind_one(edit: impl FnOnce(&mut Http)) -> World {
    World::serving(WorldOptions::default(), |http| {
        http.forwarded.trusted_hops = 1;
        edit(http);
    })
}

#[test]
fn n08_a_trusted_hop_does_not_vouch_for_what_its_client_says() {
    let mut world = behind_one(|_| {});
    let client = world.accept();
    world.client_sends(
        client,
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\n\
         X-Envoy-Internal: true\r\nX-Envoy-Retry-On: 5xx\r\nX-Envoy-External-Address: 1.1.1.1\r\n\
         X-Real-Ip: 1.1.1.1\r\nX-Penstock-A: 1\r\n\r\n",
    );
    let origin = world.connected();
    let request = world.sent_to(origin);
    for gone in ["internal", "retry-on", "x-real-ip", "x-penstock", "1.1.1.1"] {
        assert!(!request.contains(gone), "{gone}: {request}");
    }
    for there in [
        "x-forwarded-proto: https\r\n",
        "x-forwarded-for: 10.0.0.1,192.0.2.1\r\n",
        "x-envoy-external-address: 10.0.0.1\r\n",
        "x-envoy-expected-rq-timeout-ms: 15000\r\n",
    ] {
        assert!(request.contains(there), "{there}: {request}");
    }
}

#[test]
fn suppressed_fields_are_not_written() {
    let mut world = World::serving(WorldOptions::default(), |http| {
        http.suppress_envoy_headers = true;
    });
    let client = world.accept();
    world.client_sends(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let origin = world.connected();
    let request = world.sent_to(origin);
    assert!(!request.contains("expected-rq-timeout"), "{request}");
}

fn redirects(http: &mut Http) {
    let redirect = Redirect {
        status: 301,
        scheme: None,
        host: Some("b".into()),
        port: None,
        path: RedirectPath::Keep,
        strip_query: false,
    };
    let config = RouteConfig {
        name: "redirects".into(),
        virtual_hosts: vec![VirtualHost {
            name: "any".into(),
            domains: vec!["*".into()],
            routes: vec![route(
                PathMatch::Prefix("/".into()),
                Action::Redirect(Box::new(redirect)),
            )],
            ..VirtualHost::default()
        }],
        ..RouteConfig::default()
    };
    http.routes = Arc::new(RouteTable::compile(config).expect("the table is valid"));
}

#[test]
fn the_scheme_is_that_of_the_clients_side_of_a_trusted_balancer() {
    let asks = |mut world: World, proto: &str| {
        let client = world.accept();
        let get = format!("GET /x HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: {proto}\r\n\r\n");
        world.client_sends(client, &get);
        world.sent_to(client)
    };
    let https = "location: https://b/x\r\n";
    let http = "location: http://b/x\r\n";
    assert!(asks(behind_one(redirects), "https").contains(https));
    assert!(asks(behind_one(redirects), "http").contains(http));
    assert!(asks(behind_one(redirects), "https, http").contains(http));
    let edge = World::serving(WorldOptions::default(), redirects);
    assert!(asks(edge, "https").contains(http));
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

#[test]
fn an_upgrade_that_no_route_allows_is_403() {
    let mut world = World::serving(WorldOptions::default(), |http| http.upgrades.clear());
    let client = world.accept();
    let smuggled = "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{UPGRADE}{smuggled}");
    world.client_sends(client, &request);
    let answer = world.sent_to(client);
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1);
    assert!(world.connects().is_empty());
}

#[test]
fn c08_bytes_behind_an_upgrade_that_is_redirected_are_no_request() {
    let mut world = World::serving(WorldOptions::default(), |http| {
        http.path.escaped_slashes = EscapedSlashes::UnescapeAndRedirect;
    });
    let client = world.accept();
    let smuggled = "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
    let request = format!("GET /a%2fb HTTP/1.1\r\nHost: a\r\n{UPGRADE}{smuggled}");
    world.client_sends(client, &request);
    let answer = world.sent_to(client);
    assert!(answer.starts_with("HTTP/1.1 307 "), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1);
    assert!(world.connects().is_empty());
}
