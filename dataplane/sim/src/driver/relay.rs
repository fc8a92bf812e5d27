//! Relays of the simulated driver: it ignores an offer, follows it late, or gives it up in the
//! middle, as its dice fall. What it audits: that an offer makes sense when it comes, and that
//! nothing else is sent to where a relay goes.

use std::collections::VecDeque;

use penstock_core::event::{ConnId, Event};

use super::{Conn, Driver, Phase};
use crate::agenda::Action;
use crate::dice::Dice;
use crate::net::{LinkId, Net};

/// What the driver makes of offers to relay.
#[derive(Clone, Copy, Debug, Default)]
pub struct RelayHabits {
    /// Offers of a hundred that it takes.
    pub takes: u64,
    /// A relay is given up once in so many steps; 0 for never.
    pub gives_up_one_in: u64,
    /// Bytes that are held in between at most.
    pub pipe: usize,
    /// Seed of its dice.
    pub seed: u64,
}

/// Relays of all connections.
pub struct Relays {
    habits: RelayHabits,
    dice: Dice,
    /// From and to.
    open: Vec<(ConnId, ConnId)>,
    /// Bytes moved so far.
    pub moved: u64,
}

impl Relays {
    pub(super) fn new(habits: RelayHabits) -> Self {
        Self {
            habits,
            dice: Dice::new(habits.seed),
            open: Vec::new(),
            moved: 0,
        }
    }
}

/// The relay from one connection.
pub(super) struct Relay {
    to: ConnId,
    /// Bytes that have not arrived yet.
    left: u64,
    /// Bytes in between.
    pipe: VecDeque<u8>,
    /// No receive is started any more, even before it begins.
    stops: bool,
    /// No more receives are under way.
    begun: bool,
    told_held: bool,
}

impl Conn {
    /// A receive took bytes: they are no longer the relay's.
    pub(super) fn relay_missed(&mut self, count: usize) {
        if let Some(relay) = &mut self.relay {
            relay.left = relay.left.saturating_sub(count as u64);
        }
    }

    /// Bytes of it wait in between.
    pub(super) fn relay_holds(&self) -> bool {
        let relay = self.relay.as_ref();
        relay.is_some_and(|relay| !relay.pipe.is_empty())
    }

    /// No receive may be started.
    pub(super) fn relay_receives(&self) -> bool {
        let relay = self.relay.as_ref();
        relay.is_some_and(|relay| relay.begun || relay.stops)
    }
}

impl Driver {
    /// `Op::Relay`.
    pub fn relay(&mut self, net: &mut Net, from: ConnId, to: ConnId, bytes: u64) {
        if from == to || bytes == 0 {
            net.violation(format!("relay of {bytes} bytes from {from:?} to {to:?}"));
        }
        if self
            .open_conn(net, to, "relay")
            .is_none_or(|to| to.shutdown)
        {
            return net.violation(format!("relay to {to:?}, which is shut down"));
        }
        let takes = self.relays.habits.takes;
        let takes = self.relays.dice.percent(takes);
        let stops = self.relays.dice.one_in(2);
        let Some(conn) = self.open_conn(net, from, "relay") else {
            return;
        };
        if conn.relay.is_some() {
            return net.violation(format!("second relay from {from:?}"));
        }
        let left = bytes.saturating_sub(conn.taken_bytes);
        if takes && left > 0 {
            conn.relay = Some(Relay {
                to,
                left,
                pipe: VecDeque::new(),
                stops,
                begun: false,
                told_held: false,
            });
            self.relays.open.push((from, to));
        }
    }

    /// The end of a turn: relays begin only when every operation was carried out.
    pub fn begin_relays(&mut self, net: &mut Net) {
        for (from, to) in self.relays.open.clone() {
            let late = self.relays.dice.one_in(4);
            let sends = self.find_mut(to).is_some_and(|to| !to.sends.is_empty());
            let Some(conn) = self.find_mut(from) else {
                continue;
            };
            let taken = conn.taken;
            let Some(relay) = conn.relay.as_mut() else {
                continue;
            };
            let done = relay.left == 0 && relay.pipe.is_empty();
            // Who has stopped to receive may hear of nothing else that would let it begin.
            let waits = late && !relay.stops;
            relay.begun |= !waits && !sends && taken == 0;
            match done {
                true => self.end_relay(from),
                false => self.move_bulk(net, from),
            }
        }
    }

    /// A relay to here can go on.
    pub(super) fn relay_into(&mut self, net: &mut Net, to: ConnId) {
        for (from, _) in self.relays_to(to) {
            self.move_bulk(net, from);
        }
    }

    /// True if bytes that are not the machine's go there now.
    pub(super) fn is_relayed_into(&mut self, to: ConnId) -> bool {
        let mut relays = self.relays_to(to).into_iter();
        relays.any(|(from, _)| {
            let conn = self.find_mut(from);
            let relay = conn.and_then(|conn| conn.relay.as_ref());
            relay.is_some_and(|relay| relay.begun)
        })
    }

    /// The relays from and to a connection that closes.
    pub(super) fn end_relays(&mut self, id: ConnId) {
        self.end_relay(id);
        for (from, _) in self.relays_to(id) {
            self.end_relay(from);
        }
    }

    fn relays_to(&self, to: ConnId) -> Vec<(ConnId, ConnId)> {
        let open = self.relays.open.iter().copied();
        open.filter(|relay| relay.1 == to).collect()
    }

    fn end_relay(&mut self, from: ConnId) {
        self.relays.open.retain(|relay| relay.0 != from);
        if let Some(conn) = self.find_mut(from) {
            conn.relay = None;
            self.starved.push(from); // it receives again
        }
    }

    /// Moves what is there and what has room, and plans the event.
    pub(super) fn move_bulk(&mut self, net: &mut Net, from: ConnId) {
        let (pipe, delay) = (self.relays.habits.pipe, self.habits.delay);
        let Some(mut relay) = self.find_mut(from).and_then(|conn| conn.relay.take()) else {
            return;
        };
        let to = self.find_mut(relay.to).and_then(|to| to.link);
        let moved = match (self.find_mut(from), to) {
            (Some(conn), Some(to)) if relay.begun && conn.phase == Phase::Open && !conn.failed => {
                conn.move_some(net, &mut relay, to, pipe)
            }
            _ => 0,
        };
        let held = relay.pipe.len() as u32;
        let tells = moved > 0 || held > 0 && !relay.told_held;
        relay.told_held = held > 0;
        let gives_up = self.relays.habits.gives_up_one_in;
        let gives_up = moved > 0 && gives_up > 0 && self.relays.dice.one_in(gives_up);
        let ends = held == 0 && (relay.left == 0 || gives_up);
        let Some(conn) = self.find_mut(from) else {
            return;
        };
        conn.relay = Some(relay);
        if tells {
            let at = conn.receive_at(net, delay);
            let bytes = moved;
            let event = Event::Relayed { from, bytes, held };
            net.agenda.at(at, Action::Event(event));
            net.mark(&[5, u64::from(from.slot), moved], || {
                format!("     relay of {from:?} moved {moved}, holds {held}")
            });
        }
        self.relays.moved += moved;
        if moved > 0 && ends {
            self.end_relay(from);
        }
    }
}

impl Conn {
    fn move_some(&mut self, net: &mut Net, relay: &mut Relay, to: LinkId, pipe: usize) -> u64 {
        let Some(from) = self.link else { return 0 };
        let mut moved = 0;
        let mut taken = 0;
        loop {
            let inbox = &mut net.link_mut(from).inward.inbox;
            let room = pipe.saturating_sub(relay.pipe.len());
            let ready = if self.receive_on { inbox.len() } else { 0 };
            let count = ready.min(room).min(relay.left as usize);
            relay.pipe.extend(inbox.drain(..count));
            relay.left -= count as u64;
            taken += count;
            let leaves = relay.pipe.len().min(net.room(to));
            if leaves > 0 {
                let bytes: Vec<u8> = relay.pipe.drain(..leaves).collect();
                net.trace.bytes(&bytes);
                net.send(to, &bytes);
            }
            moved += leaves as u64;
            if count == 0 && leaves == 0 {
                break;
            }
        }
        if taken > 0 {
            net.pump(from);
        }
        moved
    }
}
