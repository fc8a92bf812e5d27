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
