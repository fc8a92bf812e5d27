//! How much of the load each priority level takes, and whether it panics.
//!
//! Follows Envoy's documented algorithm ("Priority levels", "Degraded endpoints", "Panic threshold"):
//! integer percents, a level's availability is its share of healthy (or degraded) endpoints times the
//! overprovisioning factor, what is missing to 100 by rounding goes to the first level that has any.

/// What a level has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Level {
    pub(super) healthy: u64,
    pub(super) degraded: u64,
    pub(super) total: u64,
}

/// What a level gets, in percent of all picks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Load {
    pub(super) healthy: u64,
    pub(super) degraded: u64,
    /// All endpoints of the level are used, whatever their health.
    pub(super) panic: bool,
}

/// The load of every level. Sums to 100, or to 0 if there is nothing to pick.
pub(super) fn loads(
    levels: &[Level],
    overprovisioning_percent: u32,
    panic_percent: u32,
) -> Vec<Load> {
    let health = |count: u64, level: &Level| {
        (u64::from(overprovisioning_percent) * count)
            .checked_div(level.total)
            .map_or(0, |percent| percent.min(100))
    };
    let healthy: Vec<u64> = levels
        .iter()
        .map(|level| health(level.healthy, level))
        .collect();
    let degraded: Vec<u64> = levels
        .iter()
        .map(|level| health(level.degraded, level))
        .collect();
    let available = (healthy.iter().sum::<u64>() + degraded.iter().sum::<u64>()).min(100);

    let panics = |level: &Level| available < 100 && is_short(level, panic_percent);
    if panic_percent > 0 && (available == 0 || levels.iter().all(panics)) {
        return by_size(levels);
    }
    if available == 0 {
        return vec![Load::default(); levels.len()];
    }
    let mut loads = distribute(&healthy, &degraded, available);
    for (load, level) in loads.iter_mut().zip(levels) {
        load.panic = panics(level);
    }
    loads
}

/// True if less than `panic_percent` of the level can be used. An empty level is short of everything.
fn is_short(level: &Level, panic_percent: u32) -> bool {
    let usable = level.healthy + level.degraded;
    level.total == 0 && panic_percent > 0
        || usable * 100 < u64::from(panic_percent.min(100)) * level.total
}

/// Healthy ones first, by level, then degraded ones, by level.
fn distribute(healthy: &[u64], degraded: &[u64], available: u64) -> Vec<Load> {
    let mut loads = vec![Load::default(); healthy.len()];
    let mut rest = 100;
    for (load, health) in loads.iter_mut().zip(healthy) {
        load.healthy = (health * 100 / available).min(rest);
        rest -= load.healthy;
    }
    for (load, health) in loads.iter_mut().zip(degraded) {
        load.degraded = (health * 100 / available).min(rest);
        rest -= load.degraded;
    }
    if let Some(first) = healthy.iter().position(|&health| health > 0) {
        loads[first].healthy += rest;
    } else if let Some(first) = degraded.iter().position(|&health| health > 0) {
        loads[first].degraded += rest;
    }
    loads
}

/// Everything panics: the load follows the number of endpoints.
fn by_size(levels: &[Level]) -> Vec<Load> {
    let total: u64 = levels.iter().map(|level| level.total).sum();
    let mut rest = 100;
    let mut loads: Vec<Load> = levels
        .iter()
        .map(|level| {
            let healthy = (level.total * 100).checked_div(total).unwrap_or(0);
            rest -= healthy;
            Load {
                healthy,
                degraded: 0,
                panic: true,
            }
        })
        .collect();
    if let Some(first) = levels.iter().position(|level| level.total > 0) {
        loads[first].healthy += rest;
    } else {
        loads.iter_mut().for_each(|load| *load = Load::default());
    }
    loads
}
