//! Timers: a hierarchical wheel of millisecond ticks with lazy re-arming.
//!
//! Whoever waits owns an [`Alarm`]. Activity only overwrites the alarm's deadline; the wheel keeps
//! one live node per owner and moves it when it fires too early. Nothing is ever searched for or
//! removed: a node that the wheel no longer waits for is dropped when its slot comes up. Timeouts
//! never fire early and at most one tick late.
//!
//! An owner is a slot, not what lives in it: whoever comes next finds the node of the one before,
//! so that a million short exchanges leave as many nodes as they had slots, and not one each until
//! their timeouts have passed. No node waits longer than `HORIZON`, which bounds the dropped
//! ones.

use crate::event::Time;

/// Nanoseconds of a tick (2^20, about 1.05 ms).
const TICK_SHIFT: u32 = 20;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = 4;
/// Ticks that the wheel spans.
const SPAN: u64 = 1 << (SLOT_BITS * LEVELS as u32);
/// Ticks (69 s) that a node waits at most; later deadlines are looked at again.
const HORIZON: u64 = 1 << 16;
const _: () = assert!(HORIZON < SPAN);

/// What an alarm belongs to: a slot of a slab.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// Of connections.
    Connection(u32),
    /// Of exchanges.
    Exchange(u32),
}

/// A deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Alarm {
    deadline: Time,
}

impl Default for Alarm {
    fn default() -> Self {
        Self {
            deadline: Time::NEVER,
        }
    }
}

impl Alarm {
    /// When it rings; [`Time::NEVER`] if it is off.
    pub fn deadline(&self) -> Time {
        self.deadline
    }

    /// Switches it off.
    pub fn disarm(&mut self) {
        self.deadline = Time::NEVER;
    }
}

#[derive(Clone, Copy, Debug)]
struct Node {
    owner: Owner,
    at: Time,
}

/// The wheel.
#[derive(Debug)]
pub struct Timers {
    /// The tick up to which everything has fired.
    tick: u64,
    levels: Box<[[Vec<Node>; SLOTS]; LEVELS]>,
    occupied: [u64; LEVELS],
    fired: Vec<Node>,
    /// When the wheel looks at an owner, by slot; earlier and later nodes of it are void.
    connections: Vec<Time>,
    exchanges: Vec<Time>,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            tick: 0,
            levels: Box::new(std::array::from_fn(|_| std::array::from_fn(|_| Vec::new()))),
            occupied: [0; LEVELS],
            fired: Vec::new(),
            connections: Vec::new(),
            exchanges: Vec::new(),
        }
    }
}

impl Timers {
    /// Sets the alarm to `deadline`, earlier or later than before.
    #[inline]
    pub fn arm(&mut self, alarm: &mut Alarm, owner: Owner, deadline: Time) {
        alarm.deadline = deadline;
        self.watch(owner, deadline);
    }

    /// Sees to it that the wheel looks at the owner at `deadline` or before.
    #[inline]
    fn watch(&mut self, owner: Owner, deadline: Time) {
        let at = deadline.min(Time((self.tick + HORIZON) << TICK_SHIFT));
        let watched = self.watched(owner);
        if at < *watched {
            *watched = at;
            self.insert(Node { owner, at });
        }
    }

    #[inline]
    fn watched(&mut self, owner: Owner) -> &mut Time {
        let (times, slot) = match owner {
            Owner::Connection(slot) => (&mut self.connections, slot as usize),
            Owner::Exchange(slot) => (&mut self.exchanges, slot as usize),
        };
        if slot >= times.len() {
            times.resize(slot + 1, Time::NEVER);
        }
        &mut times[slot]
    }

    /// Nodes in the wheel, void ones included.
    pub fn nodes(&self) -> usize {
        let slots = self.levels.iter().flatten();
        self.fired.len() + slots.map(Vec::len).sum::<usize>()
    }

    /// The next time at which [`Timers::poll`] has something to do.
    pub fn next(&self) -> Time {
        if !self.fired.is_empty() {
            return Time(self.tick << TICK_SHIFT);
        }
        (0..LEVELS)
            .filter_map(|level| self.next_of(level))
            .min()
            .map_or(Time::NEVER, |tick| {
                // The whole tick must have passed before its nodes may fire.
                Time((tick + 1) << TICK_SHIFT)
            })
    }

    /// The next owner that is due, if any. Pass it to [`Timers::ring`] with the alarm of whoever is
    /// in its slot now.
    pub fn poll(&mut self, now: Time) -> Option<Owner> {
        let now_tick = now.0 >> TICK_SHIFT;
        loop {
            while let Some(node) = self.fired.pop() {
                let watched = self.watched(node.owner);
                if *watched == node.at {
                    *watched = Time::NEVER;
                    return Some(node.owner);
                }
            }
            let due = (0..LEVELS).filter_map(|level| self.next_of(level)).min();
            let Some(due) = due.filter(|&due| due < now_tick) else {
                // Nothing begins before now, so the wheel may skip ahead: new nodes stay on low
                // levels.
                self.tick = self.tick.max(now_tick);
                return None;
            };
            self.turn_to(due);
        }
    }

    /// True if the alarm really rings; otherwise it is looked at again when it should.
    pub fn ring(&mut self, alarm: &mut Alarm, owner: Owner, now: Time) -> bool {
        if alarm.deadline <= now {
            alarm.deadline = Time::NEVER;
            return true;
        }
        if alarm.deadline != Time::NEVER {
            self.watch(owner, alarm.deadline);
        }
        false
    }

    fn insert(&mut self, node: Node) {
        let tick = (node.at.0 >> TICK_SHIFT).clamp(self.tick, self.tick + SPAN - 1);
        let distance = tick ^ self.tick;
        let level = match distance {
            0 => 0,
            _ => ((63 - distance.leading_zeros()) / SLOT_BITS).min(LEVELS as u32 - 1),
        };
        let slot = (tick >> (level * SLOT_BITS)) as usize % SLOTS;
        self.levels[level as usize][slot].push(node);
        self.occupied[level as usize] |= 1 << slot;
    }

    /// First tick of the next occupied slot of a level, not before the current tick.
    fn next_of(&self, level: usize) -> Option<u64> {
        let occupied = self.occupied[level];
        if occupied == 0 {
            return None;
        }
        let shift = level as u32 * SLOT_BITS;
        let position = (self.tick >> shift) as u32 % SLOTS as u32;
        let ahead = occupied.rotate_right(position).trailing_zeros();
        let slot_tick = ((self.tick >> shift) + u64::from(ahead)) << shift;
        Some(slot_tick.max(self.tick))
    }

    /// Moves to `tick`, firing level 0 and spreading the slots of higher levels that begin there.
    fn turn_to(&mut self, tick: u64) {
        self.tick = tick;
        for level in (0..LEVELS).rev() {
            let slot = (tick >> (level as u32 * SLOT_BITS)) as usize % SLOTS;
            if self.occupied[level] & (1 << slot) == 0 {
                continue;
            }
            self.occupied[level] &= !(1 << slot);
            let mut nodes = std::mem::take(&mut self.levels[level][slot]);
            if level == 0 {
                self.fired.append(&mut nodes);
                self.levels[0][slot] = nodes;
            } else {
                nodes.drain(..).for_each(|node| self.spread(node));
                // Keep the memory unless the slot was filled again meanwhile.
                if self.levels[level][slot].is_empty() {
                    self.levels[level][slot] = nodes;
                }
            }
        }
    }

    fn spread(&mut self, node: Node) {
        if node.at.0 >> TICK_SHIFT <= self.tick {
            self.fired.push(node)
        } else {
            self.insert(node)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;

    fn owner(slot: u32) -> Owner {
        Owner::Exchange(slot)
    }

    /// Runs the wheel until nothing is left; returns who rang and when.
    fn run(timers: &mut Timers, alarms: &mut [Alarm]) -> Vec<(u32, Time)> {
        let mut rung = Vec::new();
        while timers.next() != Time::NEVER {
            let now = timers.next();
            while let Some(owner) = timers.poll(now) {
                let Owner::Exchange(slot) = owner else {
                    unreachable!("only exchanges here")
                };
                if timers.ring(&mut alarms[slot as usize], owner, now) {
                    rung.push((slot, now));
                }
            }
        }
        rung
    }

    #[test]
    fn every_alarm_rings_once_never_early_at_most_one_tick_late() {
        let mut chance = Chance::new(1);
        for _ in 0..50 {
            let mut timers = Timers::default();
            let mut alarms = vec![Alarm::default(); 100];
            let mut deadlines = Vec::new();
            for (slot, alarm) in alarms.iter_mut().enumerate() {
                let spread = 1 << chance.below(45);
                let deadline = Time(chance.below(spread));
                timers.arm(alarm, owner(slot as u32), deadline);
                deadlines.push(deadline);
            }
            let mut rung = run(&mut timers, &mut alarms);
            rung.sort_by_key(|(slot, _)| *slot);
            assert_eq!(rung.len(), 100);
            for ((slot, at), deadline) in rung.iter().zip(&deadlines) {
                assert!(at >= deadline, "{slot} rang early");
                assert!(
                    at.0 - deadline.0 <= 2 << TICK_SHIFT,
                    "{slot}: {at:?} for {deadline:?}"
                );
            }
        }
    }

    #[test]
    fn alarms_armed_while_time_passes_ring_in_time() {
        let mut chance = Chance::new(2);
        let mut timers = Timers::default();
        let mut alarms = vec![Alarm::default(); 2000];
        let mut deadlines = vec![Time::NEVER; 2000];
        let mut now = Time(0);
        for slot in 0..2000 {
            let (step, reach) = (10 + chance.below(22), 20 + chance.below(18));
            now = Time(now.0 + chance.below(1 << step));
            while let Some(owner) = timers.poll(now) {
                let Owner::Exchange(slot) = owner else {
                    unreachable!("only exchanges here")
                };
                let index = slot as usize;
                if timers.ring(&mut alarms[index], owner, now) {
                    assert!(now >= deadlines[index]);
                    deadlines[index] = Time::NEVER;
                }
            }
            let late = deadlines
                .iter()
                .filter(|at| at.0 < now.0.saturating_sub(2 << TICK_SHIFT));
            assert_eq!(late.count(), 0);
            deadlines[slot] = Time(now.0 + chance.below(1 << reach));
            timers.arm(&mut alarms[slot], owner(slot as u32), deadlines[slot]);
        }
        let rung = run(&mut timers, &mut alarms);
        assert_eq!(
            rung.len(),
            deadlines.iter().filter(|at| **at != Time::NEVER).count()
        );
    }

    #[test]
    fn a_later_deadline_moves_the_ring_and_disarm_silences_it() {
        let mut timers = Timers::default();
        let mut alarms = vec![Alarm::default(); 2];
        timers.arm(&mut alarms[0], owner(0), Time(10 << TICK_SHIFT));
        timers.arm(&mut alarms[0], owner(0), Time(500 << TICK_SHIFT));
        timers.arm(&mut alarms[1], owner(1), Time(3 << TICK_SHIFT));
        alarms[1].disarm();
        let rung = run(&mut timers, &mut alarms);
        assert_eq!(rung.len(), 1);
        assert!(rung[0].1 >= Time(500 << TICK_SHIFT));
    }

    #[test]
    fn short_lives_leave_one_node_per_slot() {
        let mut timers = Timers::default();
        let mut now = Time(0);
        for _ in 0..10_000 {
            now = Time(now.0 + 100_000);
            let mut alarm = Alarm::default();
            timers.arm(&mut alarm, owner(0), Time(now.0 + 300_000_000_000));
            assert_eq!(timers.poll(now), None);
        }
        assert_eq!(timers.nodes(), 1);
    }

    #[test]
    fn deadlines_that_jump_leave_few_nodes() {
        let mut timers = Timers::default();
        let mut alarm = Alarm::default();
        for second in 0..3600_u64 {
            let now = Time(second * 1_000_000_000);
            while let Some(owner) = timers.poll(now) {
                timers.ring(&mut alarm, owner, now);
            }
            // An hour, then ten seconds, then an hour again.
            timers.arm(&mut alarm, owner(0), Time(now.0 + 3_600_000_000_000));
            timers.arm(&mut alarm, owner(0), Time(now.0 + 10_000_000_000));
            timers.arm(&mut alarm, owner(0), Time(now.0 + 3_600_000_000_000));
            assert!(timers.nodes() <= 16, "{} after {second} s", timers.nodes());
        }
    }

    #[test]
    fn an_earlier_deadline_replaces_the_node() {
        let mut timers = Timers::default();
        let mut alarms = vec![Alarm::default()];
        timers.arm(&mut alarms[0], owner(0), Time(5000 << TICK_SHIFT));
        timers.arm(&mut alarms[0], owner(0), Time(5 << TICK_SHIFT));
        let rung = run(&mut timers, &mut alarms);
        assert_eq!(rung.len(), 1);
        assert!(rung[0].1 <= Time(7 << TICK_SHIFT));
    }
}
