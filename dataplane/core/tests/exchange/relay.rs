//! Bulk bodies that the driver moves by itself: what is offered, and that the count agrees whatever
//! the driver makes of the offer.

use crate::GET;
use crate::world::{RELAY_BYTES_MIN, World, WorldOptions};
use penstock_core::event::ConnId;

/// Bytes of the body, of which the first ten come with the head.
const BODY: u64 = RELAY_BYTES_MIN + 10;
const TEN: &str = "0123456789";

fn response_head() -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n{TEN}")
}

/// A response has begun and the driver was offered the rest.
fn downloading() -> (World, ConnId, ConnId) {
    let mut world = World::without_route_timeout();
    let client = world.accept();
    world.client_sends(client, GET);
    let origin = world.connected();
    world.sent_to(origin);
    world.origin_sends(origin, &response_head());
    assert!(world.sent_to(client).ends_with(TEN));
    assert_eq!(world.relays(), [(origin, client, RELAY_BYTES_MIN)]);
    (world, client, origin)
}

/// An upload has begun and the driver was offered the rest.
fn uploading() -> (World, ConnId, ConnId) {
    let mut world = World::new();
    let client = world.accept();
    let head = format!("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: {BODY}\r\n\r\n{TEN}");
    world.client_sends(client, &head);
    let origin = world.connected();
    assert!(world.sent_to(origin).ends_with(TEN));
    assert_eq!(world.relays(), [(client, origin, RELAY_BYTES_MIN)]);
    (world, client, origin)
}

/// The exchange is over and both connections serve the next.
fn check_goes_on(world: &mut World, client: ConnId, origin: ConnId) {
    assert!(world.closed().is_empty());
    world.client_sends(client, GET);
    assert!(world.sent_to(origin).starts_with("GET /a"));
}

#[test]
fn a_response_is_relayed() {
    let (mut world, client, origin) = downloading();
    let received = world.cluster_counters().bytes_received.value();
    let sent = world.counters().bytes_sent.value();
    world.relayed(origin, 60, 5);
    world.relayed(origin, 40, 0);
    assert_eq!(world.bytes_to(client), b"");
    assert_eq!(
        world.cluster_counters().bytes_received.value(),
        received + 100
    );
    assert_eq!(world.counters().bytes_sent.value(), sent + 100);
    check_goes_on(&mut world, client, origin);
}

#[test]
fn what_was_under_way_counts() {
    let (mut world, client, origin) = downloading();
    world.origin_sends(origin, TEN);
    assert_eq!(world.sent_to(client), TEN);
    world.relayed(origin, 80, 0);
    world.origin_sends(origin, TEN);
    assert_eq!(world.sent_to(client), TEN);
    assert_eq!(world.relays().len(), 1);
    check_goes_on(&mut world, client, origin);
}

#[test]
fn a_driver_may_ignore_the_offer() {
    let (mut world, client, origin) = downloading();
    for _ in 0..10 {
        world.origin_sends(origin, TEN);
    }
    assert_eq!(world.sent_to(client).len(), 100);
    assert_eq!(world.relays().len(), 1);
    check_goes_on(&mut world, client, origin);
}

#[test]
fn every_body_is_offered_anew() {
    let (mut world, client, origin) = downloading();
    world.relayed(origin, RELAY_BYTES_MIN, 0);
    world.client_sends(client, GET);
    world.origin_sends(origin, &response_head());
    assert_eq!(world.relays().len(), 2);
}

#[test]
fn small_and_chunked_bodies_are_not_offered() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n12c\r\n0";
    let small = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n0",
        RELAY_BYTES_MIN
    );
    for head in [chunked, small.as_str()] {
        let mut world = World::new();
        let client = world.accept();
        world.client_sends(client, GET);
        let origin = world.connected();
        world.origin_sends(origin, head);
        assert!(world.sent_to(client).contains("200 OK"));
        assert_eq!(world.relays(), []);
    }
}

#[test]
fn a_client_that_is_behind_is_not_relayed_to() {
    let mut world = World::with(WorldOptions {
        keep_sent: true,
        ..WorldOptions::default()
    });
    let client = world.accept();
    world.client_sends(client, GET);
    let origin = world.connected();
    let mut head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n".to_vec();
    head.extend(format!("X-Long: {}\r\n\r\n", "x".repeat(40_000)).bytes());
    world.arrive(origin, &head);
    assert_eq!(world.receiving(origin), Some(false));
    assert_eq!(world.relays(), []);
}

#[test]
fn an_origin_that_ends_in_mid_relay_cuts_the_response() {
    let (mut world, client, origin) = downloading();
    world.relayed(origin, 60, 0);
    world.origin_ends(origin);
    assert_eq!(world.closed(), [origin]);
    assert_eq!(world.shut(), [client]);
    assert_eq!(world.buffers_in_use(), 0);
}

#[test]
fn a_client_that_breaks_in_mid_relay_costs_the_origin_connection() {
    let (mut world, client, origin) = downloading();
    world.relayed(origin, 60, 40);
    world.breaks(client);
    assert_eq!(world.closed(), [client, origin]);
    // Too late to matter.
    world.relayed(origin, 40, 0);
    assert_eq!(world.buffers_in_use(), 0);
}

#[test]
fn a_client_that_takes_nothing_of_a_relay_is_cut() {
    let (mut world, client, origin) = downloading();
    world.relayed(origin, 0, 50);
    world.wait_seconds(59);
    world.relayed(origin, 1, 49);
    world.wait_seconds(59);
    assert!(world.closed().is_empty(), "it took a byte meanwhile");
    world.wait_seconds(2);
    assert_eq!(world.closed(), [client, origin]);
    assert_eq!(world.counters().timeouts_flush.value(), 1);
}

#[test]
fn a_slow_origin_is_not_the_clients_fault() {
    let (mut world, _, origin) = downloading();
    world.relayed(origin, 10, 50);
    world.relayed(origin, 50, 0);
    world.wait_seconds(200);
    assert!(world.closed().is_empty());
}

#[test]
fn a_request_is_relayed() {
    let (mut world, client, origin) = uploading();
    world.relayed(client, 60, 0);
    world.client_sends(client, TEN);
    assert_eq!(world.sent_to(origin), TEN);
    world.relayed(client, 30, 0);
    world.origin_sends(origin, crate::OK);
    assert!(world.sent_to(client).ends_with("hi"));
    check_goes_on(&mut world, client, origin);
}

#[test]
fn an_early_answer_ends_the_relay_of_the_request() {
    let (mut world, client, origin) = uploading();
    world.relayed(client, 60, 0);
    world.origin_sends(origin, crate::OK);
    assert!(world.sent_to(client).ends_with("hi"));
    assert_eq!(world.closed(), [origin]);
    world.relayed(client, 40, 0);
    world.client_sends(client, TEN);
    world.client_ends(client);
    assert_eq!(world.closed(), [origin, client]);
}

#[test]
fn an_upload_that_the_origin_holds_up_is_not_too_slow() {
    let (mut world, client, _) = uploading();
    world.relayed(client, 1, 30);
    world.wait_seconds(100);
    assert!(world.closed().is_empty(), "the origin does not read");
    world.relayed(client, 30, 0);
    world.wait_seconds(100);
    assert!(!world.closed().is_empty(), "the client sends nothing");
}
