//! What one connection may cost: tokens for frames without progress, for resets and for tiny
//! frames, and counters that hold one kind of frame against another (section 6 of the safety
//! rules).

use super::error::{Error, Reason};
use crate::event::Time;
use crate::limits;

/// Tokens that come back with time.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: u32,
    filled_at: Time,
}

/// Size and speed of a bucket.
struct Rate {
    burst: u32,
    per_second: u32,
}

const RESETS: Rate = Rate {
    burst: limits::H2_RESET_BURST,
    per_second: limits::H2_RESET_RATE,
};
const QUIET: Rate = Rate {
    burst: limits::H2_QUIET_BURST,
    per_second: limits::H2_QUIET_RATE,
};
const SMALL: Rate = Rate {
    burst: limits::H2_SMALL_DATA_BURST,
    per_second: limits::H2_SMALL_DATA_RATE,
};

impl Bucket {
    fn new(rate: &Rate, now: Time) -> Self {
        Self {
            tokens: rate.burst,
            filled_at: now,
        }
    }

    /// Takes a token; false if there is none.
    fn take(&mut self, rate: &Rate, now: Time) -> bool {
        self.fill(rate, now);
        let taken = self.tokens.checked_sub(1);
        self.tokens = taken.unwrap_or(0);
        taken.is_some()
    }

    /// Only whole tokens move the time, so that none is lost by asking often.
    fn fill(&mut self, rate: &Rate, now: Time) {
        let nanos_each = 1_000_000_000 / u64::from(rate.per_second);
        let due = now.since(self.filled_at) / nanos_each;
        if due == 0 {
            return;
        }
        let room = u64::from(rate.burst - self.tokens);
        self.tokens += due.min(room) as u32;
        self.filled_at = Time(self.filled_at.0 + due * nanos_each);
    }
}

/// The counters of one connection.
#[derive(Debug)]
pub(crate) struct Abuse {
    resets: Bucket,
    quiet: Bucket,
    small: Bucket,
    empty_in_a_row: u8,
    streams: u64,
    data_sent: u64,
    window_updates: u64,
    priorities: u64,
}

impl Abuse {
    pub(crate) fn new(now: Time) -> Self {
        Self {
            resets: Bucket::new(&RESETS, now),
            quiet: Bucket::new(&QUIET, now),
            small: Bucket::new(&SMALL, now),
            empty_in_a_row: 0,
            streams: 0,
            data_sent: 0,
            window_updates: 0,
            priorities: 0,
        }
    }

    /// A request within the limits was opened, by whichever side.
    pub(crate) fn stream_opened(&mut self) {
        self.streams += 1;
        self.progress();
    }

    /// We sent DATA.
    pub(crate) fn data_sent(&mut self) {
        self.data_sent += 1;
        self.progress();
    }

    /// DATA with bytes, or the end of a message, came.
    pub(crate) fn progress(&mut self) {
        self.empty_in_a_row = 0;
        self.quiet.tokens = (self.quiet.tokens + 1).min(QUIET.burst);
    }

    /// B01, B02: a stream was reset before it was over, by the other side or for its fault.
    pub(crate) fn reset(&mut self, now: Time) -> Result<(), Error> {
        granted(self.resets.take(&RESETS, now), Reason::Resets)
    }

    /// B08, B15, H13: a frame that moves nothing.
    pub(crate) fn quiet(&mut self, now: Time) -> Result<(), Error> {
        granted(self.quiet.take(&QUIET, now), Reason::Frames)
    }

    /// B10: HEADERS, CONTINUATION or DATA with nothing in it that ends nothing.
    pub(crate) fn empty(&mut self, now: Time) -> Result<(), Error> {
        self.empty_in_a_row = self.empty_in_a_row.saturating_add(1);
        granted(
            self.empty_in_a_row <= limits::H2_EMPTY_IN_A_ROW_MAX,
            Reason::Empty,
        )?;
        self.quiet(now)
    }

    /// B11.
    pub(crate) fn small_data(&mut self, now: Time) -> Result<(), Error> {
        self.empty_in_a_row = 0;
        granted(self.small.take(&SMALL, now), Reason::SmallData)
    }

    /// B13: 5 + 2 x (streams + 10 x DATA frames sent).
    pub(crate) fn window_update(&mut self) -> Result<(), Error> {
        self.window_updates += 1;
        let earned = self.streams + limits::H2_WINDOW_UPDATES_PER_DATA * self.data_sent;
        granted(self.window_updates <= 5 + 2 * earned, Reason::WindowUpdates)
    }

    /// B15.
    pub(crate) fn priority(&mut self, now: Time) -> Result<(), Error> {
        self.priorities += 1;
        let earned = limits::H2_PRIORITIES_PER_STREAM * (1 + self.streams);
        granted(self.priorities <= earned, Reason::Frames)?;
        self.quiet(now)
    }
}

fn granted(within: bool, reason: Reason) -> Result<(), Error> {
    if within {
        return Ok(());
    }
    Err(Error::calm(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// How many calls pass at one moment.
    fn passing(mut call: impl FnMut() -> Result<(), Error>) -> u32 {
        (0..1_000_000)
            .find(|_| call().is_err())
            .expect("there is a bound")
    }

    #[test]
    fn tokens_come_back_with_time() {
        let mut abuse = Abuse::new(Time(0));
        assert_eq!(passing(|| abuse.reset(Time(0))), 1000);
        assert_eq!(passing(|| abuse.reset(Time(SECOND))), 33);
        for step in 1..=100 {
            let _ = abuse.reset(Time(SECOND + step));
        }
        assert_eq!(passing(|| abuse.reset(Time(SECOND * 2 + 40))), 33);
        assert_eq!(passing(|| abuse.reset(Time(SECOND * 1000))), 1000);
    }

    #[test]
    fn b08_progress_pays_for_quiet_frames() {
        let mut abuse = Abuse::new(Time(0));
        for _ in 0..100_000 {
            abuse.quiet(Time(0)).expect("one ping for each answer");
            abuse.data_sent();
        }
        assert_eq!(passing(|| abuse.quiet(Time(0))), 1000);
    }

    #[test]
    fn b10_b13_b15_counts() {
        let mut abuse = Abuse::new(Time(0));
        assert_eq!(passing(|| abuse.empty(Time(0))), 1);
        abuse.progress();
        assert_eq!(passing(|| abuse.empty(Time(0))), 1);
        assert_eq!(passing(|| abuse.window_update()), 5);
        abuse.stream_opened();
        abuse.data_sent();
        assert_eq!(passing(|| abuse.window_update()), 5 + 2 * 11 - 6);
        assert_eq!(passing(|| abuse.priority(Time(0))), 200);
    }
}
