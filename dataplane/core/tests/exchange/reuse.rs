//! What becomes of connections to origins, and of requests that wait for one.

use std::sync::Arc;

use penstock_core::cluster::{Breakers, Thresholds};
use penstock_core::event::ConnId;

use crate::world::World;
use crate::{GET, OK};

/// One request at a time.
fn one_request() -> World {
    World::edited(|_, cluster| {
        let thresholds = Thresholds {
            requests: 1,
            ..Thresholds::default()
        };
        cluster.breakers = Arc::new(Breakers::new(thresholds, Thresholds::default()));
    })
}

fn asks(world: &mut World) -> ConnId {
    let client = world.accept();
    world.client_sends(client, GET);
    client
}

#[test]
fn at_max_requests_a_connection_that_was_not_needed_is_kept() {
    let mut world = one_request();
    let served = asks(&mut world);
    let busy = world.connected();
    world.sent_to(busy);
    // The connection is made, and then the request is one too many.
    let refused = asks(&mut world);
    let spare = world.connected();
    assert!(world.sent_to(refused).starts_with("HTTP/1.1 503"));
    assert!(world.closed().is_empty());
    // A pooled connection is there, and the request is one too many.
    for _ in 0..3 {
        let refused = asks(&mut world);
        assert!(world.sent_to(refused).starts_with("HTTP/1.1 503"));
    }
    assert!(world.closed().is_empty());
    assert!(world.connects().is_empty());
    assert_eq!(world.cluster_counters().reused.value(), 0);
    assert_eq!(world.cluster_counters().connections_idle.value(), 1);
    world.origin_sends(busy, OK);
    assert!(world.sent_to(served).ends_with("hi"));
    assert_eq!(world.sent_to(spare), "");
    asks(&mut world);
    assert_eq!(world.cluster_counters().reused.value(), 1);
    assert!(world.connects().is_empty());
}

#[test]
fn a_cluster_that_left_serves_the_requests_that_began_before() {
    let mut world = World::edited(|_, cluster| {
        let thresholds = Thresholds {
            connections: 1,
            ..Thresholds::default()
        };
        cluster.breakers = Arc::new(Breakers::new(thresholds, Thresholds::default()));
    });
    let (first, second, third) = (world.accept(), world.accept(), world.accept());
    world.client_sends(first, GET);
    let busy = world.connected();
    world.client_sends(second, GET);
    assert!(world.connects().is_empty(), "the second one waits");
    world.client_sends(third, "GET /a HTTP/1.1\r\n");
    world.remove_cluster();
    world.client_sends(third, "Host: a\r\n\r\n");
    world.origin_sends(busy, OK);
    assert!(world.sent_to(first).ends_with("hi"));
    for client in [second, third] {
        assert_eq!(world.sent_to(client), "");
        let origin = world.connected();
        world.origin_sends(origin, OK);
        assert!(world.sent_to(client).ends_with("hi"));
    }
    assert!(!world.holds_first());
    world.client_sends(first, GET);
    assert!(world.sent_to(first).starts_with("HTTP/1.1 503"));
}
