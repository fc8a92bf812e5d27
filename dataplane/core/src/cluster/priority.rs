//! How much of the load each priority level takes, and whether it panics.
//!
//! Follows Envoy's documented algorithm ("Priority levels", "Degraded endpoints", "Panic
//! threshold"): integer percents, a level's availability is its share of healthy (or degraded)
//! endpoints times the overprovisioning factor, what is missing to 100 by rounding goes to the
//! first level that has any.

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

/// True if less than `panic_percent` of the level can be used. An empty level is short of
/// everything.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Levels of 100 endpoints by (healthy, degraded) percent, and the expected
    /// (healthy load, degraded load, panic).
    fn check(levels: &[(u64, u64)], expect: &[(u64, u64, bool)]) {
        let levels: Vec<Level> = levels
            .iter()
            .map(|&(healthy, degraded)| Level {
                healthy,
                degraded,
                total: 100,
            })
            .collect();
        let found: Vec<_> = loads(&levels, 140, 50)
            .iter()
            .map(|load| (load.healthy, load.degraded, load.panic))
            .collect();
        assert_eq!(found, expect, "{levels:?}");
    }

    #[test]
    fn spills_to_the_next_level_as_envoy_documents() {
        for (first, second, expect) in [
            (100, 100, (100, 0)),
            (72, 72, (100, 0)),
            (71, 71, (99, 1)),
            (50, 50, (70, 30)),
            (50, 60, (70, 30)),
            (25, 100, (35, 65)),
            (0, 100, (0, 100)),
        ] {
            check(
                &[(first, 0), (second, 0)],
                &[(expect.0, 0, false), (expect.1, 0, false)],
            );
        }
    }

    #[test]
    fn three_levels_take_what_is_left_or_their_part_of_what_there_is() {
        for (levels, expect) in [
            ([100, 100, 100], [100, 0, 0]),
            ([72, 72, 100], [100, 0, 0]),
            ([71, 71, 100], [99, 1, 0]),
            ([50, 50, 100], [70, 30, 0]),
            ([25, 100, 100], [35, 65, 0]),
            ([25, 25, 100], [35, 35, 30]),
        ] {
            check(
                &levels.map(|healthy| (healthy, 0)),
                &expect.map(|load| (load, 0, false)),
            );
        }
    }

    #[test]
    fn the_rest_of_rounding_goes_to_the_first_level_that_has_any() {
        // 35 + 35 + 28 = 98 percent: 35.7, 35.7 and 28.6 are cut to 35, 35 and 28.
        let all_short = [(25, 0), (25, 0), (20, 0)];
        let levels = all_short.map(|(healthy, degraded)| Level {
            healthy,
            degraded,
            total: 100,
        });
        let found: Vec<_> = loads(&levels, 140, 0)
            .iter()
            .map(|load| load.healthy)
            .collect();
        assert_eq!(found, [37, 35, 28]);
        // 7 and 91 of 98 percent: only the first is below the threshold.
        check(&[(5, 0), (65, 0)], &[(8, 0, true), (92, 0, false)]);
    }

    #[test]
    fn degraded_endpoints_take_what_the_healthy_ones_cannot() {
        check(&[(100, 0)], &[(100, 0, false)]);
        check(&[(71, 0)], &[(100, 0, false)]);
        check(&[(71, 29)], &[(99, 1, false)]);
        check(&[(25, 65)], &[(35, 65, false)]);
        // Healthy endpoints of a lower level come before degraded ones of a higher.
        check(&[(50, 50), (100, 0)], &[(70, 0, false), (30, 0, false)]);
        check(&[(0, 100), (50, 0)], &[(0, 30, false), (70, 0, false)]);
    }

    #[test]
    fn panics_only_while_the_levels_together_are_short() {
        check(&[(40, 0)], &[(100, 0, true)]);
        check(&[(0, 40)], &[(100, 0, true)]);
        check(&[(30, 30)], &[(50, 50, false)]);
        check(&[(40, 0), (50, 0)], &[(56, 0, false), (44, 0, false)]);
        // Every level panics: the load follows the number of endpoints.
        check(&[(25, 0), (25, 0)], &[(50, 0, true), (50, 0, true)]);
        check(&[(0, 0), (0, 0)], &[(50, 0, true), (50, 0, true)]);
    }

    #[test]
    fn total_panic_follows_the_number_of_endpoints() {
        let level = |total| Level {
            healthy: 0,
            degraded: 0,
            total,
        };
        let found = loads(&[level(0), level(1), level(2)], 140, 50);
        let found: Vec<_> = found.iter().map(|load| load.healthy).collect();
        assert_eq!(found, [0, 34, 66]);
    }

    #[test]
    fn nothing_is_offered_where_nothing_is_usable_and_panic_is_off() {
        let level = Level {
            healthy: 0,
            degraded: 0,
            total: 9,
        };
        assert_eq!(loads(&[level], 140, 0), [Load::default()]);
        assert_eq!(loads(&[Level::default()], 140, 50), [Load::default()]);
        assert_eq!(loads(&[], 140, 50), []);
        // A threshold of 0 never panics, however little is left.
        let poor = Level {
            healthy: 1,
            degraded: 0,
            total: 100,
        };
        assert_eq!(
            loads(&[poor], 140, 0),
            [Load {
                healthy: 100,
                degraded: 0,
                panic: false
            }]
        );
    }

    #[test]
    fn loads_sum_to_one_hundred() {
        for healthy in 0..=10 {
            for degraded in 0..=10 - healthy {
                for other in 0..=10 {
                    let levels = [
                        Level {
                            healthy,
                            degraded,
                            total: 10,
                        },
                        Level {
                            healthy: other,
                            degraded: 0,
                            total: 10,
                        },
                        Level {
                            healthy: 1,
                            degraded: 2,
                            total: 7,
                        },
                    ];
                    for panic in [0, 50, 100] {
                        let sum: u64 = loads(&levels, 140, panic)
                            .iter()
                            .map(|load| load.healthy + load.degraded)
                            .sum();
                        assert_eq!(sum, 100, "{levels:?}");
                    }
                }
            }
        }
    }
}
