//! Whether a campaign is long enough to claim something, and whether it is as long as its
//! experiment says. What is shorter shows a direction.

use crate::experiment::Experiment;
use crate::record::Campaign;
use crate::report::page::words;

/// Fewest rounds behind a claim.
const ROUNDS: u32 = 5;
/// Shortest window behind a claim.
const WINDOW: u64 = 10_000_000_000;
/// Shortest warm-up behind a claim.
const WARM_UP: u64 = 3_000_000_000;

/// Why the figures of a campaign show a direction only; `None` if they may be claimed.
#[must_use]
pub fn of(campaign: &Campaign) -> Option<String> {
    let lengths = (campaign.rounds, campaign.window, campaign.warm_up);
    let own = Experiment::parse("experiment", &campaign.experiment).ok();
    let own = own.map(|own| {
        let (window, warm_up) = (own.window.as_nanos(), own.warm_up.as_nanos());
        (own.rounds, window as u64, warm_up as u64)
    });
    let of_its_own = own.map_or_else(Vec::new, |own| shorter(lengths, own));
    let (what, parts) = match of_its_own.is_empty() {
        false => ("shorter than the experiment’s own", of_its_own),
        true => (
            "shorter than a claim needs",
            shorter(lengths, (ROUNDS, WINDOW, WARM_UP)),
        ),
    };
    let parts = (!parts.is_empty()).then(|| parts.join(", "))?;
    Some(format!("{what} ({parts}): direction, not a claim"))
}

/// What is less: rounds, window, warm-up.
fn shorter(is: (u32, u64, u64), should: (u32, u64, u64)) -> Vec<String> {
    let mut parts = Vec::new();
    if is.0 < should.0 {
        let noun = if is.0 == 1 { "round" } else { "rounds" };
        parts.push(format!("{} {noun} for {}", is.0, should.0));
    }
    for (name, is, should) in [("a window", is.1, should.1), ("a warm-up", is.2, should.2)] {
        if is < should {
            let (is, should) = (words::length(is), words::length(should));
            parts.push(format!("{name} of {is} for {should}"));
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::experiment::Experiment;
    use crate::record::Campaign;

    #[track_caller]
    fn check(name: &str, change: impl FnOnce(&mut Campaign), expect: Option<&str>) {
        let own = Experiment::find(name).unwrap();
        let mut campaign = Campaign {
            experiment: own.text.clone(),
            rounds: own.rounds,
            window: own.window.as_nanos() as u64,
            warm_up: own.warm_up.as_nanos() as u64,
            ..Campaign::default()
        };
        change(&mut campaign);
        assert_eq!(of(&campaign).as_deref(), expect);
    }

    #[test]
    fn what_is_short_is_no_claim() {
        let second = 1_000_000_000;
        check("h1", |_| {}, None);
        check("h1", |campaign| campaign.rounds = 7, None);
        check(
            "h1",
            |campaign| (campaign.rounds, campaign.window) = (1, second),
            Some(
                "shorter than the experiment’s own (1 round for 5, a window of 1 s for 10 s): \
                 direction, not a claim",
            ),
        );
        check(
            "smoke",
            |campaign| (campaign.window, campaign.warm_up) = (10 * second, second),
            Some(
                "shorter than a claim needs (1 round for 5, a warm-up of 1 s for 3 s): direction, \
                 not a claim",
            ),
        );
    }
}
