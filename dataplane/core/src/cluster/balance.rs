//! The pick: which priority and health class, then which of its endpoints.
//!
//! Compiled from a cluster when it changes; a pick allocates nothing. It is O(1), or O(log n) where
//! weights differ.

use crate::chance::Chance;
use crate::config::Cluster;
use crate::config::cluster::{Health, Policy};

use super::endpoint::{EndpointKey, Endpoints};
use super::priority::{self, Level};
use super::schedule::Schedule;

/// Where the picks of a cluster go.
#[derive(Debug, Default)]
pub(super) struct Balance {
    shares: Vec<Share>,
}

/// A part of all picks and the endpoints that serve it.
#[derive(Debug)]
struct Share {
    percent: u64,
    level: usize,
    class: Class,
    group: Group,
}

/// Which endpoints of a level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    Healthy,
    Degraded,
    /// All of them: panic.
    All,
}

/// Endpoints and the order in which they are picked.
#[derive(Debug)]
struct Group {
    keys: Vec<EndpointKey>,
    order: Order,
    /// False until the first pick has put the order at a random place.
    started: bool,
}

#[derive(Debug)]
enum Order {
    /// Round robin, equal weights: the next index.
    Turn { next: usize },
    /// Random, equal weights.
    Uniform,
    /// Random by weight: running sums of the weights.
    Sums(Vec<u64>),
    /// Least request, equal weights: the best of some random ones.
    Best { choices: u32 },
    /// Round robin by weight.
    Weighted(Schedule),
    /// Least request by weight: as round robin, with each weight divided by active requests + 1.
    WeightedByLoad(Schedule),
}

/// What was picked and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pick {
    pub(super) key: EndpointKey,
    pub(super) panic: bool,
}

impl Balance {
    /// Compiles a cluster. `keys[level][position]` is the key of that endpoint, `None` if it has no
    /// slot. Groups that were in `previous` go on where they were.
    pub(super) fn new(
        cluster: &Cluster,
        keys: &[Vec<Option<EndpointKey>>],
        mut previous: Balance,
    ) -> Self {
        let levels: Vec<Level> = cluster
            .priorities
            .iter()
            .map(|level| count(level))
            .collect();
        let loads = priority::loads(
            &levels,
            cluster.overprovisioning_percent,
            cluster.panic_percent,
        );
        let mut shares = Vec::new();
        for (level, load) in loads.into_iter().enumerate() {
            let wanted = if load.panic {
                [(Class::All, load.healthy + load.degraded), (Class::All, 0)]
            } else {
                [
                    (Class::Healthy, load.healthy),
                    (Class::Degraded, load.degraded),
                ]
            };
            for (class, percent) in wanted.into_iter().filter(|&(_, percent)| percent > 0) {
                let members = members(cluster, &keys[level], level, class);
                let group = Group::new(cluster.policy, &members, previous.take(level, class));
                shares.push(Share {
                    percent,
                    level,
                    class,
                    group,
                });
            }
        }
        Self { shares }
    }

    /// Picks; `None` if there is no endpoint.
    #[inline]
    pub(super) fn pick(&mut self, endpoints: &Endpoints, chance: &mut Chance) -> Option<Pick> {
        let share = match &mut self.shares[..] {
            [only] => only,
            shares => by_percent(shares, chance)?,
        };
        let key = share.group.pick(endpoints, chance)?;
        Some(Pick {
            key,
            panic: share.class == Class::All,
        })
    }

    /// All endpoints that can be picked, some maybe more than once.
    pub(super) fn keys(&self) -> impl Iterator<Item = EndpointKey> {
        let groups = self.shares.iter().map(|share| &share.group);
        groups.flat_map(|group| group.keys.iter().copied())
    }

    fn take(&mut self, level: usize, class: Class) -> Option<Group> {
        let found = self
            .shares
            .iter()
            .position(|share| share.level == level && share.class == class)?;
        Some(self.shares.swap_remove(found).group)
    }
}

fn count(level: &[crate::config::Endpoint]) -> Level {
    let of = |health| {
        level
            .iter()
            .filter(|endpoint| endpoint.health == health)
            .count() as u64
    };
    Level {
        healthy: of(Health::Healthy),
        degraded: of(Health::Degraded),
        total: level.len() as u64,
    }
}

fn members(
    cluster: &Cluster,
    keys: &[Option<EndpointKey>],
    level: usize,
    class: Class,
) -> Vec<(EndpointKey, u32)> {
    let belongs = |health| match class {
        Class::Healthy => health == Health::Healthy,
        Class::Degraded => health == Health::Degraded,
        Class::All => true,
    };
    cluster.priorities[level]
        .iter()
        .zip(keys)
        .filter(|(endpoint, _)| belongs(endpoint.health))
        .filter_map(|(endpoint, &key)| Some((key?, endpoint.weight.max(1))))
        .collect()
}

/// The share that a random percent falls into.
#[inline]
fn by_percent<'a>(shares: &'a mut [Share], chance: &mut Chance) -> Option<&'a mut Share> {
    let mut percent = chance.below(100);
    shares.iter_mut().find(|share| {
        let here = percent < share.percent;
        percent = percent.saturating_sub(share.percent);
        here
    })
}

/// Endpoints of the old order that are tried as the place to go on from.
const CARRY_TRIES: usize = 8;

impl Group {
    fn new(policy: Policy, members: &[(EndpointKey, u32)], previous: Option<Group>) -> Self {
        let keys: Vec<_> = members.iter().map(|&(key, _)| key).collect();
        let equal = members.iter().all(|&(_, weight)| weight == members[0].1);
        let (order, started) = match (policy, equal) {
            (Policy::RoundRobin, true) => turn(&keys, previous),
            (Policy::RoundRobin, false) => (
                Order::Weighted(Schedule::new(members, schedule(previous))),
                false,
            ),
            (Policy::Random, true) => (Order::Uniform, true),
            (Policy::Random, false) => (Order::Sums(sums(members)), true),
            (Policy::LeastRequest { choices }, true) => (Order::Best { choices }, true),
            (Policy::LeastRequest { .. }, false) => (
                Order::WeightedByLoad(Schedule::new(members, schedule(previous))),
                false,
            ),
        };
        Self {
            keys,
            order,
            started,
        }
    }

    #[inline]
    fn pick(&mut self, endpoints: &Endpoints, chance: &mut Chance) -> Option<EndpointKey> {
        if !self.started {
            self.start(chance);
        }
        let keys = &self.keys[..];
        let any = |chance: &mut Chance| keys.get(chance.below(keys.len() as u64) as usize).copied();
        match &mut self.order {
            Order::Turn { next } => {
                let key = keys.get(*next).copied()?;
                *next = if *next + 1 == keys.len() {
                    0
                } else {
                    *next + 1
                };
                Some(key)
            }
            Order::Uniform => any(chance),
            Order::Sums(sums) => {
                let point = chance.below(*sums.last()?);
                keys.get(sums.partition_point(|&sum| sum <= point)).copied()
            }
            Order::Best { choices } => {
                let mut best = any(chance)?;
                for _ in 1..*choices {
                    let other = any(chance)?;
                    if endpoints.active(other) < endpoints.active(best) {
                        best = other;
                    }
                }
                Some(best)
            }
            Order::Weighted(schedule) => schedule.pick(|_| 1),
            Order::WeightedByLoad(schedule) => {
                schedule.pick(|key| u64::from(endpoints.active(key)) + 1)
            }
        }
    }

    #[cold]
    fn start(&mut self, chance: &mut Chance) {
        self.started = true;
        match &mut self.order {
            Order::Turn { next } => *next = chance.below(self.keys.len() as u64) as usize,
            Order::Weighted(schedule) | Order::WeightedByLoad(schedule) => schedule.start(chance),
            Order::Uniform | Order::Sums(_) | Order::Best { .. } => {}
        }
    }
}

/// Goes on with the endpoint whose turn it was, or with the next of the old order that is still
/// there.
fn turn(keys: &[EndpointKey], previous: Option<Group>) -> (Order, bool) {
    let place = previous.and_then(|group| match group {
        Group {
            keys: old,
            order: Order::Turn { next },
            started: true,
        } => old
            .iter()
            .cycle()
            .skip(next)
            .take(CARRY_TRIES.min(old.len()))
            .find_map(|key| keys.iter().position(|known| known == key)),
        _ => None,
    });
    (
        Order::Turn {
            next: place.unwrap_or(0),
        },
        place.is_some(),
    )
}

fn schedule(previous: Option<Group>) -> Option<Schedule> {
    match previous?.order {
        Order::Weighted(schedule) | Order::WeightedByLoad(schedule) => Some(schedule),
        _ => None,
    }
}

fn sums(members: &[(EndpointKey, u32)]) -> Vec<u64> {
    members
        .iter()
        .scan(0, |sum, &(_, weight)| {
            *sum += u64::from(weight);
            Some(*sum)
        })
        .collect()
}
