//! `max_stream_duration`: an exchange ends after it, whatever it does.

use std::sync::Arc;
use std::time::Duration;

use penstock_core::config::route::{Action, RouteConfig, VirtualHost};
use penstock_core::route::RouteTable;

use crate::world::{World, WorldOptions, to_origin};
use crate::{GET, OK};

/// Ten seconds for every exchange; for those of the route, what is given.
fn world(route: Option<Option<Duration>>) -> World {
    let mut to_origin = to_origin();
    if let Action::Forward(forward) = &mut to_origin.action {
        forward.stream_duration_max = route;
        forward.timeout = None;
    }
    let routes = RouteConfig {
        virtual_hosts: vec![VirtualHost {
            domains: vec!["*".into()],
            routes: vec![to_origin],
            ..VirtualHost::default()
        }],
        ..RouteConfig::default()
    };
    World::serving(WorldOptions::default(), |http| {
        http.stream_duration_max = Some(Duration::from_secs(10));
        http.routes = Arc::new(RouteTable::compile(routes).expect("the table is valid"));
    })
}

#[test]
fn a_silent_origin_is_504_and_the_client_may_go_on() {
    let mut world = world(None);
    let client = world.accept();
    world.client_sends(client, GET);
    let origin = world.connected();
    world.wait_seconds(9);
    assert_eq!(world.sent_to(client), "");
    world.wait_seconds(2);
    let response = world.sent_to(client);
    assert!(response.starts_with("HTTP/1.1 504 "), "{response}");
    assert!(!response.contains("connection: close"), "{response}");
    assert_eq!(world.closed(), [origin]);
    assert_eq!(world.counters().timeouts_duration.value(), 1);
    world.client_sends(client, GET);
    let origin = world.connected();
    world.origin_sends(origin, OK);
    assert!(world.sent_to(client).starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_slow_request_is_408_and_the_end_of_its_connection() {
    let mut world = world(None);
    let client = world.accept();
    let head = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
    world.client_sends(client, head);
    world.connected();
    for _ in 0..11 {
        world.client_sends(client, &"x".repeat(10_000));
        world.wait_seconds(1);
    }
    let response = world.sent_to(client);
    assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
    assert!(response.contains("connection: close"), "{response}");
}

#[test]
fn a_response_that_takes_too_long_is_cut() {
    let mut world = world(None);
    let client = world.accept();
    world.client_sends(client, GET);
    let origin = world.connected();
    world.origin_sends(origin, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
    for _ in 0..9 {
        world.origin_sends(origin, "x");
        world.wait_seconds(1);
    }
    world.wait_seconds(2);
    assert!(world.sent_to(client).starts_with("HTTP/1.1 200 "));
    assert!(world.closed().contains(&origin));
    world.client_ends(client);
    assert!(world.closed().contains(&client));
}

#[test]
fn a_tunnel_is_an_exchange_too() {
    let mut world = world(None);
    let client = world.accept();
    world.client_sends(
        client,
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    let origin = world.connected();
    world.origin_sends(
        origin,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    world.wait_seconds(9);
    assert!(world.closed().is_empty());
    world.wait_seconds(2);
    assert!(world.closed().contains(&origin) && world.closed().contains(&client));
}

#[test]
fn the_route_has_its_own() {
    for (route, status) in [
        (Some(Some(Duration::from_secs(2))), "HTTP/1.1 504 "),
        (Some(None), ""),
    ] {
        let mut world = world(route);
        let client = world.accept();
        world.client_sends(client, GET);
        world.connected();
        world.wait_seconds(if status.is_empty() { 100 } else { 3 });
        let response = world.sent_to(client);
        assert_eq!(response.get(..13).unwrap_or_default(), status);
    }
}

#[test]
fn the_timeout_of_a_route_begins_with_the_end_of_the_request() {
    let mut world = World::new();
    let client = world.accept();
    world.client_sends(client, "GET /a HTTP/1.1\r\n");
    world.wait_seconds(9);
    world.client_sends(client, "Host: a\r\n\r\n");
    world.connected();
    world.wait_seconds(14);
    assert_eq!(world.sent_to(client), "", "15 s are not over");
    world.wait_seconds(2);
    assert!(world.sent_to(client).starts_with("HTTP/1.1 504"));
}
