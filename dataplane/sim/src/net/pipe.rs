//! One direction of a link: what waits to be sent, what is on the way, what waits to be read.

use std::collections::VecDeque;

use penstock_core::event::Time;

use crate::dice::Dice;

/// What travels.
#[derive(Debug)]
pub enum Packet {
    /// Bytes.
    Data(Vec<u8>),
    /// The sender will send no more.
    Fin,
    /// The connection is gone.
    Reset,
}

/// One direction.
#[derive(Debug, Default)]
pub struct Pipe {
    /// Written by the far side, not yet taken by its kernel.
    pub outbox: VecDeque<u8>,
    /// On the way, in order.
    pub flight: VecDeque<Packet>,
    /// Arrived, not yet read.
    pub inbox: VecDeque<u8>,
    /// FIN arrived.
    pub fin: bool,
    /// RST arrived.
    pub reset: bool,
    /// FIN left.
    pub fin_sent: bool,
    /// RST left; nothing follows.
    pub reset_sent: bool,
    /// Earliest time of the next packet of a paced sender.
    pub next_send: Time,
    /// A pump is already on the agenda.
    pub pump_planned: bool,
    /// Bytes given to the network so far.
    pub sent_total: u64,
    /// Bytes read by the receiver so far.
    pub read_total: u64,
    flight_bytes: usize,
    last_arrival: u64,
}

impl Pipe {
    /// Bytes that fit into `window` now.
    pub fn room(&self, window: usize) -> usize {
        window.saturating_sub(self.flight_bytes + self.inbox.len())
    }

    /// Bytes of the outbox that leave in the next packet.
    pub fn sendable(&self, window: usize, piece: u64, dice: &mut Dice) -> usize {
        let ready = self.outbox.len().min(self.room(window));
        if ready == 0 {
            return 0;
        }
        ready.min(dice.between(1, piece) as usize)
    }

    /// Puts a packet on its way; it arrives at `wanted` or with the one before it.
    pub fn launch(&mut self, packet: Packet, wanted: u64) -> u64 {
        if self.reset_sent {
            return self.last_arrival; // the stray arrival finds nothing
        }
        match &packet {
            Packet::Data(bytes) => {
                self.flight_bytes += bytes.len();
                self.sent_total += bytes.len() as u64;
            }
            Packet::Fin => self.fin_sent = true,
            Packet::Reset => self.reset_sent = true,
        }
        self.last_arrival = self.last_arrival.max(wanted);
        self.flight.push_back(packet);
        self.last_arrival
    }

    /// A packet arrives at a socket that is open or gone.
    pub fn land(&mut self, packet: Packet, open: bool, keep_on_reset: bool) {
        match packet {
            Packet::Data(bytes) => {
                self.flight_bytes -= bytes.len();
                if open && !self.reset {
                    self.inbox.extend(bytes);
                }
            }
            Packet::Fin => self.fin = true,
            Packet::Reset => {
                self.reset = true;
                if !keep_on_reset {
                    self.inbox.clear();
                }
            }
        }
    }

    /// What is on the way is lost (the sender resets).
    pub fn drop_flight(&mut self) {
        self.flight.clear();
        self.flight_bytes = 0;
    }
}
