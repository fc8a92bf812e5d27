//! The timer wheel with 1,024 alarms, while time passes.

use std::hint::black_box;
use std::time::Duration;

use penstock_core::chance::Chance;
use penstock_core::event::Time;
use penstock_core::timer::{Alarm, Owner, Timers};

use super::Case;

const ALARMS: u32 = 1024;
/// Time that passes in one round.
const STEP: Duration = Duration::from_millis(1);

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("timer/postpone", postpone),
        Case::new("timer/add-cancel", || wheel(Fate::Cancelled)),
        Case::new("timer/add-expire", || wheel(Fate::Rings)),
    ]
}

/// What each request does to the idle timeout of its connection.
fn postpone() -> impl FnMut() {
    let mut timers = Timers::default();
    let (mut alarm, mut now) = (Alarm::default(), Time(0));
    move || {
        now = now.after(STEP);
        timers.arm(&mut alarm, owner(0), now.after(Duration::from_secs(60)));
        black_box(timers.next());
    }
}

/// What becomes of an alarm.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Cancelled,
    Rings,
}

/// One alarm is set to up to 16 s ahead, and everything that is due by now rings.
fn wheel(fate: Fate) -> impl FnMut() {
    let (mut timers, mut chance) = (Timers::default(), Chance::new(1));
    let mut alarms = vec![Alarm::default(); ALARMS as usize];
    let (mut now, mut next) = (Time(0), 0);
    move || {
        now = now.after(STEP);
        next = (next + 1) % ALARMS;
        let ahead = Duration::from_millis(1 + chance.below(16_000));
        timers.arm(&mut alarms[next as usize], owner(next), now.after(ahead));
        if fate == Fate::Cancelled {
            alarms[next as usize].disarm();
        }
        while let Some(owner) = timers.poll(now) {
            let Owner::Exchange(slot) = owner else {
                unreachable!("only exchanges have alarms here")
            };
            black_box(timers.ring(&mut alarms[slot as usize], owner, now));
        }
    }
}

fn owner(slot: u32) -> Owner {
    Owner::Exchange(slot)
}
