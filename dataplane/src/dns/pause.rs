//! How long until a name is looked up again.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use penstock_core::chance::Chance;

use crate::translate::names::Name;

use super::lookup::Lifetime;

/// A pause is never shorter, whatever the configuration says.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// The pauses of one name.
#[derive(Debug)]
pub(super) struct Pause {
    refresh: Duration,
    respect_ttl: bool,
    retry_first: Duration,
    retry_max: Duration,
    /// The longest that the next pause after a failure may be.
    retry_next: Duration,
    chance: Chance,
}

impl Pause {
    pub(super) fn new(name: &Name) -> Self {
        let seed = RandomState::new().hash_one(&name.key);
        Self {
            refresh: name.refresh.max(PAUSE_MIN),
            respect_ttl: name.respect_ttl,
            retry_first: name.retry_first.max(PAUSE_MIN),
            retry_max: name.retry_max.max(name.retry_first).max(PAUSE_MIN),
            retry_next: name.retry_first.max(PAUSE_MIN),
            chance: Chance::new(seed),
        }
    }

    /// By the lifetime if it is respected and not zero, else by the refresh rate; `None` for ever.
    pub(super) fn after_answer(&mut self, lifetime: Lifetime) -> Option<Duration> {
        self.retry_next = self.retry_first;
        match lifetime {
            Lifetime::Eternal => None,
            Lifetime::Seconds(seconds) if self.respect_ttl && seconds > 0 => {
                Some(Duration::from_secs(seconds.into()))
            }
            Lifetime::Seconds(_) | Lifetime::Unknown => Some(self.refresh),
        }
    }

    /// Doubles from the first to the longest. Between half of it and all of it, by chance, so that
    /// names that failed together are not tried together.
    pub(super) fn after_failure(&mut self) -> Duration {
        let longest = self.retry_next;
        self.retry_next = longest.saturating_mul(2).min(self.retry_max);
        let half = longest / 2;
        let spread = u64::try_from((longest - half).as_nanos()).unwrap_or(u64::MAX);
        half + Duration::from_nanos(self.chance.below(spread.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::names::{Family, NameKey};

    fn pause(respect_ttl: bool) -> Pause {
        Pause::new(&Name {
            key: NameKey {
                name: "a.test".into(),
                port: 80,
                family: Family::Auto,
            },
            refresh: Duration::from_secs(5),
            respect_ttl,
            retry_first: Duration::from_secs(2),
            retry_max: Duration::from_secs(20),
        })
    }

    #[test]
    fn lifetimes_count_only_where_they_are_respected() {
        let seconds = Duration::from_secs;
        let cases = [
            (true, Lifetime::Seconds(30), Some(seconds(30))),
            (true, Lifetime::Seconds(0), Some(seconds(5))),
            (false, Lifetime::Seconds(30), Some(seconds(5))),
            (true, Lifetime::Unknown, Some(seconds(5))),
            (true, Lifetime::Eternal, None),
        ];
        for (respect, lifetime, expect) in cases {
            assert_eq!(
                pause(respect).after_answer(lifetime),
                expect,
                "{lifetime:?}"
            );
        }
    }

    #[test]
    fn failures_double_the_pause_until_an_answer() {
        let mut pause = pause(true);
        for longest in [2, 4, 8, 16, 20, 20] {
            let found = pause.after_failure();
            assert!(found >= Duration::from_secs(longest) / 2, "{found:?}");
            assert!(found <= Duration::from_secs(longest), "{found:?}");
        }
        pause.after_answer(Lifetime::Unknown);
        assert!(pause.after_failure() <= Duration::from_secs(2));
    }
}
