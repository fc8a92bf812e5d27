//! Ceilings over workers: never passed, exact where small, nothing lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;

use proptest::prelude::*;

use super::{Kind, Leases, block};
use crate::chance::Chance;
use crate::cluster::breaker::{Breakers, Thresholds};

fn breakers(requests: u32) -> Arc<Breakers> {
    let thresholds = Thresholds {
        requests,
        ..Thresholds::default()
    };
    Arc::new(Breakers::new(thresholds, Thresholds::default()))
}

fn workers(breakers: &Arc<Breakers>, count: u32) -> Vec<Leases> {
    (0..count)
        .map(|_| Leases::new(Arc::clone(breakers), count))
        .collect()
}

fn used(workers: &[Leases]) -> u32 {
    workers
        .iter()
        .map(|leases| leases.used(Kind::Requests))
        .sum()
}

#[test]
fn a_ceiling_of_one_lets_one_through_whoever_asks() {
    let breakers = breakers(1);
    let mut workers = workers(&breakers, 8);
    for holder in 0..8 {
        assert!(workers[holder].take(Kind::Requests, false));
        for leases in &mut workers {
            assert!(!leases.take(Kind::Requests, false));
        }
        workers[holder].give(Kind::Requests, false);
    }
    assert_eq!(breakers.default.requests.taken(), 0);
}

#[test]
fn small_ceilings_are_exact_and_zero_lets_nothing_through() {
    for ceiling in [0, 1, 2, 7, 63, 127] {
        let breakers = breakers(ceiling);
        let mut workers = workers(&breakers, 8);
        let mut granted = 0;
        for turn in 0..1000 {
            granted += u32::from(workers[turn % 8].take(Kind::Requests, false));
        }
        assert_eq!(granted, ceiling);
    }
}

#[test]
fn one_busy_worker_reaches_a_large_ceiling_while_the_others_use_nothing() {
    let breakers = breakers(1024);
    let mut workers = workers(&breakers, 8);
    for leases in &mut workers {
        assert!(leases.take(Kind::Requests, false));
        leases.give(Kind::Requests, false);
    }
    let granted = (0..2000)
        .filter(|_| workers[3].take(Kind::Requests, false))
        .count();
    assert_eq!(granted, 1024);
}

#[test]
fn reserves_of_busy_workers_come_back_once_somebody_was_refused() {
    let breakers = breakers(1024);
    let mut workers = workers(&breakers, 2);
    for _ in 0..10 {
        assert!(workers[0].take(Kind::Requests, false));
    }
    let granted = (0..2000)
        .filter(|_| workers[1].take(Kind::Requests, false))
        .count();
    assert!((1024 - 10 - 64..=1024 - 10).contains(&granted), "{granted}");
    workers[0].give(Kind::Requests, false);
    let more = (0..2000)
        .filter(|_| workers[1].take(Kind::Requests, false))
        .count();
    assert_eq!(granted + more, 1024 - 9);
}

#[test]
fn priorities_have_ceilings_of_their_own() {
    let breakers = breakers(1);
    let mut leases = Leases::new(Arc::clone(&breakers), 1);
    assert!(leases.take(Kind::Requests, false));
    assert!(!leases.take(Kind::Requests, false));
    assert!(leases.take(Kind::Requests, true));
    assert!(leases.take(Kind::Pending, false));
}

#[test]
fn an_unlimited_ceiling_is_taken_in_large_blocks() {
    let breakers = breakers(u32::MAX);
    let mut leases = Leases::new(Arc::clone(&breakers), 4);
    for _ in 0..10_000 {
        assert!(leases.take(Kind::Requests, false));
    }
    assert_eq!(
        breakers.default.requests.taken(),
        block(&breakers.default.requests, 4)
    );
}

#[test]
fn new_thresholds_count_what_is_in_use() {
    let (old, new) = (breakers(100), breakers(2));
    let mut leases = Leases::new(Arc::clone(&old), 1);
    for _ in 0..3 {
        assert!(leases.take(Kind::Requests, false));
    }
    leases.replace(&new);
    assert_eq!(old.default.requests.taken(), 0);
    assert_eq!(new.default.requests.taken(), 3);
    leases.give(Kind::Requests, false);
    assert!(!leases.take(Kind::Requests, false), "two are in use");
    leases.give(Kind::Requests, false);
    assert!(leases.take(Kind::Requests, false));
    drop(leases);
    assert_eq!(new.default.requests.taken(), 0);
}

#[test]
fn threads_never_pass_the_ceiling_together_and_lose_nothing() {
    for ceiling in [1, 3, 100, 1000] {
        let breakers = breakers(ceiling);
        let in_use = AtomicU32::new(0);
        thread::scope(|scope| {
            for (seed, mut leases) in workers(&breakers, 8).into_iter().enumerate() {
                let in_use = &in_use;
                scope.spawn(move || hammer(&mut leases, seed as u64, in_use, ceiling));
            }
        });
        assert_eq!(in_use.load(SeqCst), 0);
        assert_eq!(breakers.default.requests.taken(), 0);
    }
}

fn hammer(leases: &mut Leases, seed: u64, in_use: &AtomicU32, ceiling: u32) {
    let mut chance = Chance::new(seed);
    let mut mine = 0;
    for _ in 0..20_000 {
        if chance.below(2) == 0 && leases.take(Kind::Requests, false) {
            mine += 1;
            let now = in_use.fetch_add(1, SeqCst) + 1;
            assert!(now <= ceiling, "{now} above {ceiling}");
        } else if mine > 0 {
            mine -= 1;
            in_use.fetch_sub(1, SeqCst);
            leases.give(Kind::Requests, false);
        }
    }
    for _ in 0..mine {
        in_use.fetch_sub(1, SeqCst);
        leases.give(Kind::Requests, false);
    }
}

proptest! {
    /// Whatever workers do: the uses stay below the ceiling, the budget knows every use, a refusal
    /// means that the ceiling is near, and nothing stays when all is given back.
    #[test]
    fn uses_stay_below_the_ceiling_and_nothing_is_lost(
        ceiling in 0_u32..3000,
        count in 1_u32..9,
        steps in prop::collection::vec((0_usize..8, any::<bool>(), 1_u32..200), 0..200),
    ) {
        let breakers = breakers(ceiling);
        let budget = &breakers.default.requests;
        let mut workers = workers(&breakers, count);
        for (worker, take, times) in steps {
            let worker = worker % workers.len();
            for _ in 0..times {
                let leases = &mut workers[worker];
                if !take {
                    if leases.used(Kind::Requests) > 0 {
                        leases.give(Kind::Requests, false);
                    }
                } else if !leases.take(Kind::Requests, false) {
                    let reserves = (count - 1) * block(budget, count);
                    prop_assert!(used(&workers) + reserves >= ceiling || block(budget, count) == 1);
                    prop_assert!(block(budget, count) > 1 || used(&workers) == ceiling);
                }
                prop_assert!(used(&workers) <= budget.taken());
                prop_assert!(budget.taken() <= ceiling);
            }
        }
        for leases in &mut workers {
            while leases.used(Kind::Requests) > 0 {
                leases.give(Kind::Requests, false);
            }
        }
        prop_assert_eq!(budget.taken(), 0);
    }
}
