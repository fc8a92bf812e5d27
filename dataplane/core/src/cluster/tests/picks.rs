//! Where picks go: orders and distributions with fixed seeds.

use std::collections::BTreeMap;

use super::*;

const PICKS: u32 = 100_000;

/// Picks per endpoint id.
fn picks(world: &mut World, count: u32) -> BTreeMap<u32, u32> {
    let mut found = BTreeMap::new();
    for _ in 0..count {
        *found.entry(world.pick_id()).or_default() += 1;
    }
    found
}

/// Shares in percent, each within one of what is expected.
fn check(policy: Policy, priorities: &[&[Row]], expect: &[(u32, u32)]) {
    let mut world = World::new(cluster(policy, priorities, Thresholds::default()));
    let found = picks(&mut world, PICKS);
    assert_eq!(found.len(), expect.len(), "{found:?}");
    for &(id, percent) in expect {
        let share = f64::from(found[&id]) * 100.0 / f64::from(PICKS);
        assert!(
            (share - f64::from(percent)).abs() < 1.0,
            "{policy:?} {id}: {share}"
        );
    }
}

const HEAVY: &[Row] = &[
    (0, 5, Health::Healthy),
    (1, 3, Health::Healthy),
    (2, 2, Health::Healthy),
];

#[test]
fn weights_are_honoured_by_every_policy() {
    for policy in [
        Policy::RoundRobin,
        Policy::Random,
        Policy::LeastRequest { choices: 2 },
    ] {
        check(policy, &[HEAVY], &[(0, 50), (1, 30), (2, 20)]);
        check(
            policy,
            &[&healthy(0..4)],
            &[(0, 25), (1, 25), (2, 25), (3, 25)],
        );
    }
}

#[test]
fn weighted_round_robin_is_exact_over_a_round_and_spreads_the_heavy_one() {
    let mut world = World::new(cluster(Policy::RoundRobin, &[HEAVY], Thresholds::default()));
    for _ in 0..50 {
        let round: Vec<_> = (0..10).map(|_| world.pick_id()).collect();
        for (id, count) in [(0, 5), (1, 3), (2, 2)] {
            assert_eq!(round.iter().filter(|&&found| found == id).count(), count);
        }
        assert!(
            !round.windows(3).any(|three| three == [0, 0, 0]),
            "{round:?}"
        );
    }
}

#[test]
fn weights_far_apart_neither_starve_nor_overflow() {
    let rows = [(0, u32::MAX, Health::Healthy), (1, 1, Health::Healthy)];
    let mut world = World::new(cluster(Policy::RoundRobin, &[&rows], Thresholds::default()));
    assert!(picks(&mut world, 10_000)[&0] >= 9_999);
    let rows = [(0, 1000, Health::Healthy), (1, 1, Health::Healthy)];
    let mut world = World::new(cluster(Policy::RoundRobin, &[&rows], Thresholds::default()));
    assert_eq!(picks(&mut world, 1001)[&1], 1);
}

#[test]
fn workers_start_at_different_places() {
    let mut first = BTreeMap::new();
    for seed in 0..1000 {
        let mut world = World::new(cluster(
            Policy::RoundRobin,
            &[&healthy(0..5)],
            Thresholds::default(),
        ));
        world.chance = Chance::new(seed);
        *first.entry(world.pick_id()).or_insert(0_u32) += 1;
    }
    assert!(
        first.values().all(|&count| (150..250).contains(&count)),
        "{first:?}"
    );
}

#[test]
fn weighted_places_survive_a_change() {
    let mut world = World::new(cluster(Policy::RoundRobin, &[HEAVY], Thresholds::default()));
    let mut found = BTreeMap::new();
    for _ in 0..1000 {
        *found.entry(world.pick_id()).or_insert(0_u32) += 1;
        world.change(&[HEAVY]);
    }
    assert_eq!(found, BTreeMap::from([(0, 500), (1, 300), (2, 200)]));
}

#[test]
fn round_robin_goes_on_with_the_next_one_that_is_still_there() {
    let mut world = World::new(cluster(
        Policy::RoundRobin,
        &[&healthy(0..4)],
        Thresholds::default(),
    ));
    while world.pick_id() != 1 {}
    world.change(&[&[healthy(0..2), healthy(3..4)].concat()]);
    assert_eq!(world.pick_id(), 3);
    assert_eq!(world.pick_id(), 0);
}

#[test]
fn least_request_prefers_the_idle_one_of_two() {
    let mut world = World::new(cluster(
        Policy::LeastRequest { choices: 2 },
        &[&healthy(0..2)],
        Thresholds::default(),
    ));
    let busy = world.pick().unwrap();
    world.clusters.started(busy);
    let busy_id = world.clusters.endpoint(busy).id.0;
    // Both choices fall on the busy one in a quarter of all picks.
    let share = f64::from(picks(&mut world, PICKS)[&busy_id]) / f64::from(PICKS);
    assert!((share - 0.25).abs() < 0.01, "{share}");
}

#[test]
fn least_request_keeps_the_load_level() {
    let mut world = World::new(cluster(
        Policy::LeastRequest { choices: 2 },
        &[&healthy(0..10)],
        Thresholds::default(),
    ));
    let keys: Vec<_> = (0..1000)
        .map(|_| {
            let key = world.pick().unwrap();
            world.clusters.started(key);
            key
        })
        .collect();
    for &key in &keys {
        let active = world.clusters.endpoint(key).active;
        assert!((97..=103).contains(&active), "{active}");
    }
}

#[test]
fn weighted_least_request_divides_the_weight_by_the_load() {
    let rows = [(0, 2, Health::Healthy), (1, 1, Health::Healthy)];
    let mut world = World::new(cluster(
        Policy::LeastRequest { choices: 2 },
        &[&rows],
        Thresholds::default(),
    ));
    let heavy = loop {
        let key = world.pick().unwrap();
        if world.clusters.endpoint(key).id.0 == 0 {
            break key;
        }
    };
    for _ in 0..3 {
        world.clusters.started(heavy);
    }
    // 2 / (3 + 1) against 1 / (0 + 1).
    let share = f64::from(picks(&mut world, PICKS)[&0]) / f64::from(PICKS);
    assert!((share - 1.0 / 3.0).abs() < 0.01, "{share}");
}

#[test]
fn unhealthy_endpoints_get_nothing_until_their_level_panics() {
    let rows = [
        (0, 1, Health::Healthy),
        (1, 1, Health::Healthy),
        (2, 1, Health::Unhealthy),
    ];
    check(Policy::RoundRobin, &[&rows], &[(0, 50), (1, 50)]);
    let rows = [
        (0, 1, Health::Healthy),
        (1, 1, Health::Unhealthy),
        (2, 1, Health::Unhealthy),
    ];
    check(Policy::RoundRobin, &[&rows], &[(0, 33), (1, 33), (2, 33)]);
}

#[test]
fn panic_is_counted_and_can_be_off() {
    let rows = [(0, 1, Health::Unhealthy), (1, 1, Health::Unhealthy)];
    let mut world = World::new(cluster(Policy::Random, &[&rows], Thresholds::default()));
    assert!(world.pick().is_some());
    assert_eq!(world.counters().panic.value(), 1);

    let calm = Cluster {
        panic_percent: 0,
        ..cluster(Policy::Random, &[&rows], Thresholds::default())
    };
    let mut world = World::new(calm);
    assert!(world.pick().is_none());
    assert_eq!(world.counters().no_endpoint.value(), 1);
    assert_eq!(world.counters().panic.value(), 0);
}

#[test]
fn load_spills_to_the_next_level_and_to_degraded_endpoints() {
    let first = [(0, 1, Health::Healthy), (1, 1, Health::Unhealthy)];
    check(
        Policy::Random,
        &[&first, &healthy(2..3)],
        &[(0, 70), (2, 30)],
    );
    let mixed = [(0, 1, Health::Healthy), (1, 1, Health::Degraded)];
    check(Policy::Random, &[&mixed], &[(0, 70), (1, 30)]);
}

#[test]
fn an_empty_cluster_offers_nothing() {
    for priorities in [&[][..], &[&[][..]][..]] {
        let mut world = World::new(cluster(
            Policy::LeastRequest { choices: 2 },
            priorities,
            Thresholds::default(),
        ));
        assert!(world.pick().is_none());
    }
}

#[test]
fn an_address_that_stands_twice_is_one_endpoint_with_two_turns() {
    let twice = [healthy(0..2), healthy(0..1)].concat();
    let mut world = World::new(cluster(
        Policy::RoundRobin,
        &[&twice],
        Thresholds::default(),
    ));
    assert_eq!(world.clusters.endpoints(), 2);
    assert_eq!(picks(&mut world, 300), BTreeMap::from([(0, 200), (1, 100)]));
    world.change(&[&healthy(2..3)]);
    assert_eq!(world.clusters.endpoints(), 1);
}
