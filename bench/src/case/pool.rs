//! Upstream connections and the leases around them.

use std::hint::black_box;

use penstock_core::chance::Chance;
use penstock_core::config::cluster::Policy;
use penstock_core::event::ConnId;

use super::Case;
use super::picks::reconciled;

/// Connections that idle meanwhile.
const IDLE: u32 = 256;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("pool/reuse", reuse),
        Case::new("pool/remove", remove),
        Case::new("pool/connection", connection),
        Case::new("pool/request-lease", request_lease),
    ]
}

/// Takes the connection that was used last and puts it back.
fn reuse() -> impl FnMut() {
    let (cluster, mut clusters) = reconciled(Policy::RoundRobin, 3);
    let key = clusters.pick(&cluster, &mut Chance::new(1));
    let key = key.expect("every endpoint is healthy");
    for slot in 0..IDLE {
        assert_eq!(clusters.put(key, idle(slot)), None);
    }
    move || {
        let conn = clusters.take(black_box(key)).expect("many are idle");
        black_box(clusters.put(key, conn));
    }
}

/// The origin closes one from the middle, and it comes back.
fn remove() -> impl FnMut() {
    let (cluster, mut clusters) = reconciled(Policy::RoundRobin, 3);
    let key = clusters.pick(&cluster, &mut Chance::new(1));
    let key = key.expect("every endpoint is healthy");
    for slot in 0..IDLE {
        assert_eq!(clusters.put(key, idle(slot)), None);
    }
    let mut slot = 0;
    move || {
        slot = (slot + 97) % IDLE;
        assert!(clusters.remove(black_box(key), idle(slot)));
        black_box(clusters.put(key, idle(slot)));
    }
}

fn idle(slot: u32) -> ConnId {
    ConnId {
        slot,
        generation: 1,
    }
}

/// A connection is allowed, made and closed.
fn connection() -> impl FnMut() {
    let (cluster, mut clusters) = reconciled(Policy::RoundRobin, 3);
    let key = clusters.pick(&cluster, &mut Chance::new(1));
    let key = key.expect("every endpoint is healthy");
    move || {
        assert!(clusters.try_connection(black_box(key), false));
        clusters.release_connection(key, false);
    }
}

/// A request is allowed and over.
fn request_lease() -> impl FnMut() {
    let (cluster, mut clusters) = reconciled(Policy::RoundRobin, 3);
    move || {
        assert!(clusters.try_request(black_box(&cluster), false));
        clusters.release_request(&cluster, false);
    }
}
