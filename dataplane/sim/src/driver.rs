//! The driver of the simulator: carries operations out, makes events of what happens, and audits
//! both.
//!
//! It obeys the contract of `penstock_core::event` and uses all the freedom that the contract
//! leaves: bytes taken before `ReceiveOff` still arrive, `Sent` comes late, stray events arrive
//! between `Close` and `Closed`. An operation that the contract forbids is a violation.

mod relay;

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;

use penstock_core::buffer::{Buffer, BufferPool};
use penstock_core::config::ListenerId;
use penstock_core::event::{Close, ConnId, Event, IoFault, Time};

use crate::agenda::Action;
use crate::net::{LinkId, Net};
pub use relay::RelayHabits;
use relay::{Relay, Relays};

/// What the driver is like in one run.
#[derive(Clone, Copy, Debug)]
pub struct DriverHabits {
    /// Longest delay of a completion in nanoseconds.
    pub delay: u64,
    /// One `Sent` in so many is withheld much longer; 0 for none.
    pub withhold_one_in: u64,
    /// Receives that may be under way at once per connection.
    pub receives: u32,
    /// Largest receive.
    pub receive_piece: u64,
    /// Reports `End` although receive is off, when nothing is left to read.
    pub end_while_off: bool,
    /// Lets stray events through between `Close` and `Closed`.
    pub strays: bool,
    /// Most bytes and segments that one connection may have waiting to be sent.
    pub queue_bound: (usize, usize),
    /// Offers to relay.
    pub relays: RelayHabits,
}

/// The machine's sockets.
pub struct Driver {
    habits: DriverHabits,
    slots: Vec<Option<Conn>>,
    used: HashSet<ConnId>,
    starved: Vec<ConnId>,
    /// Relays that are on.
    pub relays: Relays,
    incoming: Vec<Option<LinkId>>,
    /// Buffers that the driver owns now.
    pub buffers_held: usize,
    /// Most bytes that ever waited on one connection.
    pub queued_max: usize,
    /// Listeners that were closed.
    pub unlistened: Vec<ListenerId>,
}

/// One socket of the machine.
struct Conn {
    id: ConnId,
    link: Option<LinkId>,
    phase: Phase,
    receive_on: bool,
    taken: u32,
    /// Bytes of the receives under way.
    taken_bytes: u64,
    relay: Option<Relay>,
    sends: VecDeque<Segment>,
    queued: usize,
    segments: usize,
    shutdown: bool,
    fin_sent: bool,
    end_told: bool,
    failed: bool,
    muted: bool,
    receive_clock: Time,
    send_clock: Time,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Connecting,
    Open,
    Closing,
}

struct Segment {
    buffer: Buffer,
    done: usize,
}

impl Driver {
    /// A driver without sockets.
    pub fn new(habits: DriverHabits) -> Self {
        Self {
            habits,
            slots: Vec::new(),
            used: HashSet::new(),
            starved: Vec::new(),
            relays: Relays::new(habits.relays),
            incoming: Vec::new(),
            buffers_held: 0,
            queued_max: 0,
            unlistened: Vec::new(),
        }
    }

    /// Connections that the machine has not closed yet.
    pub fn open_count(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    // --- clients come in ---

    /// A client connected: the number under which the machine hears of it.
    pub fn incoming(&mut self, link: LinkId) -> penstock_core::event::Incoming {
        self.incoming.push(Some(link));
        penstock_core::event::Incoming(self.incoming.len() as u32 - 1)
    }

    /// Clients that were offered and neither adopted nor refused.
    pub fn unanswered(&self, first: u32) -> bool {
        let given = self.incoming.get(first as usize);
        matches!(given, Some(Some(_)))
    }

    /// `Op::Adopt`.
    pub fn adopt(&mut self, net: &mut Net, incoming: u32, id: ConnId) -> Option<LinkId> {
        let link = self.answer_incoming(net, incoming)?;
        if self.insert(net, id, Some(link), Phase::Open) {
            net.link_mut(link).conn = Some(id);
        }
        Some(link)
    }

    /// `Op::Refuse`.
    pub fn refuse(&mut self, net: &mut Net, incoming: u32) {
        if let Some(link) = self.answer_incoming(net, incoming) {
            let reset = net.dice.one_in(2);
            net.close_near(link, reset);
        }
    }

    fn answer_incoming(&mut self, net: &mut Net, incoming: u32) -> Option<LinkId> {
        let link = self
            .incoming
            .get_mut(incoming as usize)
            .and_then(Option::take);
        if link.is_none() {
            net.violation(format!("incoming {incoming} is unknown or answered twice"));
        }
        link
    }

    fn insert(&mut self, net: &mut Net, id: ConnId, link: Option<LinkId>, phase: Phase) -> bool {
        let slot = id.slot as usize;
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        if self.slots[slot].is_some() || !self.used.insert(id) {
            net.violation(format!(
                "{id:?} is given to a connection while or after it was used"
            ));
            return false;
        }
        self.slots[slot] = Some(Conn::new(id, link, phase, net.now()));
        true
    }

    // --- operations ---

    /// `Op::Connect`: the world says by which link and when, or why not.
    pub fn connect(
        &mut self,
        net: &mut Net,
        id: ConnId,
        outcome: Option<Result<(LinkId, SocketAddr), IoFault>>,
        delay: u64,
    ) {
        let link = match outcome {
            Some(Ok((link, _))) => Some(link),
            _ => None,
        };
        if !self.insert(net, id, link, Phase::Connecting) {
            return;
        }
        if let Some(result) = outcome {
            let result = result.map(|(_, local)| local);
            let at = net.now().after(std::time::Duration::from_nanos(delay));
            if let Some(conn) = self.find_mut(id) {
                conn.receive_clock = at;
                conn.send_clock = at;
            }
            net.agenda
                .at(at, Action::Event(Event::Connected { conn: id, result }));
        }
    }

    /// `Op::Send`.
    pub fn send(&mut self, net: &mut Net, pool: &mut BufferPool, id: ConnId, buffer: Buffer) {
        self.buffers_held += 1;
        let bound = self.habits.queue_bound;
        if buffer.is_empty() {
            net.violation(format!("empty segment for {id:?}"));
        }
        if buffer.capacity() != Buffer::with_payload(pool.payload()).capacity() {
            net.violation(format!("segment for {id:?} is not of the pool"));
        }
        if self.is_relayed_into(id) {
            net.violation(format!("a segment for {id:?}, to which a relay goes"));
        }
        let Some(conn) = self.open_conn(net, id, "send") else {
            self.give(pool, buffer);
            return;
        };
        if conn.shutdown {
            net.violation(format!("send after shutdown on {id:?}"));
        }
        conn.queued += buffer.len();
        conn.segments += 1;
        conn.sends.push_back(Segment { buffer, done: 0 });
        if conn.queued > bound.0 || conn.segments > bound.1 {
            net.violation(format!(
                "{id:?} has {} bytes in {} segments waiting, more than {bound:?}",
                conn.queued, conn.segments
            ));
        }
        let queued = conn.queued;
        self.queued_max = self.queued_max.max(queued);
        self.pump(net, id);
    }

    /// `Op::ReceiveOn` and `Op::ReceiveOff`.
    pub fn receive(&mut self, net: &mut Net, pool: &mut BufferPool, id: ConnId, on: bool) {
        let Some(conn) = self.open_conn(net, id, "receive on/off") else {
            return;
        };
        conn.receive_on = on;
        self.readable(net, pool, id);
    }

    /// `Op::Shutdown`.
    pub fn shutdown(&mut self, net: &mut Net, id: ConnId) {
        if self.is_relayed_into(id) {
            net.violation(format!("shutdown of {id:?}, to which a relay goes"));
        }
        let Some(conn) = self.open_conn(net, id, "shutdown") else {
            return;
        };
        if conn.shutdown {
            net.violation(format!("second shutdown of {id:?}"));
            return;
        }
        conn.shutdown = true;
        self.pump(net, id);
    }

    /// `Op::Close`.
    pub fn close(&mut self, net: &mut Net, pool: &mut BufferPool, id: ConnId, how: Close) {
        let strays = self.habits.strays;
        let delay = self.delay(net);
        let Some(conn) = self.find_mut(id) else {
            return net.violation(format!("close of {id:?}, which is not open"));
        };
        if conn.phase == Phase::Closing {
            return net.violation(format!("second close of {id:?}"));
        }
        conn.phase = Phase::Closing;
        conn.muted = !strays;
        conn.relay = None;
        let sends = std::mem::take(&mut conn.sends);
        let at = conn
            .receive_clock
            .max(conn.send_clock)
            .max(Time(net.now().0 + delay));
        let link = conn.link;
        for segment in sends {
            self.give(pool, segment.buffer);
        }
        self.end_relays(id);
        if let Some(link) = link {
            net.close_near(link, how == Close::Reset);
        }
        net.agenda.at(at, Action::Event(Event::Closed { conn: id }));
    }

    /// The connection for an operation other than close; audits that it is open.
    fn open_conn(&mut self, net: &mut Net, id: ConnId, what: &str) -> Option<&mut Conn> {
        let phase = self.find_mut(id).map(|conn| conn.phase);
        if phase == Some(Phase::Open) {
            return self.find_mut(id);
        }
        net.violation(format!("{what} on {id:?}, which is {phase:?}"));
        None
    }

    // --- bytes ---

    /// Hands as much as the network takes to it, and plans the `Sent` events.
    pub fn pump(&mut self, net: &mut Net, id: ConnId) {
        let habits = self.habits;
        let Some(conn) = self.find_mut(id) else {
            return;
        };
        let (Phase::Open, Some(link)) = (conn.phase, conn.link) else {
            return;
        };
        while let Some(segment) = conn.sends.front_mut() {
            let left = segment.buffer.len() - segment.done;
            let count = left.min(net.room(link));
            if count == 0 && left > 0 {
                return;
            }
            let piece = net.link(link).habits.piece.1;
            let count = count.min(net.dice.between(1, piece) as usize);
            let from = segment.done;
            net.send(link, &segment.buffer.as_slice()[from..from + count]);
            segment.done += count;
            if segment.done == segment.buffer.len() {
                conn.finish_segment(net, habits);
            }
        }
        if conn.shutdown && !conn.fin_sent {
            conn.fin_sent = true;
            net.send_fin(link);
        }
        self.relay_into(net, id);
    }

    /// Takes what is there, as far as receive is on and buffers last, and plans the events.
    pub fn readable(&mut self, net: &mut Net, pool: &mut BufferPool, id: ConnId) {
        let habits = self.habits;
        self.move_bulk(net, id);
        let Some(conn) = self.find_mut(id) else {
            return;
        };
        let (Phase::Open, Some(link)) = (conn.phase, conn.link) else {
            return;
        };
        let mut took = 0;
        let mut starved = false;
        while conn.may_receive(net, habits.receives) {
            let Some(mut buffer) = pool.take() else {
                starved = true;
                break;
            };
            took += 1;
            conn.fill(net, link, &mut buffer, habits.receive_piece);
            conn.taken += 1;
            conn.taken_bytes += buffer.len() as u64;
            conn.relay_missed(buffer.len());
            let at = conn.receive_at(net, habits.delay);
            net.agenda
                .at(at, Action::Event(Event::Received { conn: id, buffer }));
        }
        conn.report_end(net, link, habits);
        self.buffers_held += took;
        if starved {
            self.starved.push(id);
        }
        if took > 0 {
            net.pump(link);
        }
    }

    /// Tries again where buffers were missing.
    pub fn feed_starved(&mut self, net: &mut Net, pool: &mut BufferPool) {
        for id in std::mem::take(&mut self.starved) {
            self.readable(net, pool, id);
        }
    }

    // --- events ---

    /// The last look at an event before the machine sees it. `None` if it is swallowed.
    pub fn before_event(&mut self, pool: &mut BufferPool, event: Event) -> Option<Event> {
        let Some(id) = event_conn(&event) else {
            return Some(event);
        };
        let Some(conn) = self.find_mut(id) else {
            unreachable!("an event of {id:?} outlived it");
        };
        match &event {
            Event::Connected { result, .. } if conn.phase == Phase::Connecting => {
                conn.receive_on = true;
                conn.failed = result.is_err();
                conn.phase = Phase::Open;
            }
            Event::Received { buffer, .. } => {
                conn.taken -= 1;
                conn.taken_bytes -= buffer.len() as u64;
            }
            Event::Sent { bytes, .. } => {
                conn.queued -= *bytes as usize;
                conn.segments -= 1;
            }
            _ => {}
        }
        let muted = conn.muted;
        if matches!(event, Event::Received { .. } | Event::Sent { .. }) {
            self.buffers_held -= 1;
        }
        match event {
            Event::Closed { conn } => {
                self.slots[conn.slot as usize] = None;
                Some(event)
            }
            Event::Received { buffer, .. } | Event::Sent { buffer, .. } if muted => {
                pool.give(buffer);
                None
            }
            _ if muted => None,
            _ => Some(event),
        }
    }

    /// Link of an open connection.
    pub fn link_of(&self, id: ConnId) -> Option<LinkId> {
        self.slots.get(id.slot as usize)?.as_ref()?.link
    }

    fn delay(&self, net: &mut Net) -> u64 {
        net.dice.skewed(self.habits.delay)
    }

    fn give(&mut self, pool: &mut BufferPool, buffer: Buffer) {
        self.buffers_held -= 1;
        pool.give(buffer);
    }

    fn find_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        let conn = self.slots.get_mut(id.slot as usize)?.as_mut()?;
        (conn.id == id).then_some(conn)
    }
}

impl Conn {
    fn new(id: ConnId, link: Option<LinkId>, phase: Phase, now: Time) -> Self {
        Self {
            id,
            link,
            phase,
            receive_on: phase == Phase::Open,
            taken: 0,
            taken_bytes: 0,
            relay: None,
            sends: VecDeque::new(),
            queued: 0,
            segments: 0,
            shutdown: false,
            fin_sent: false,
            end_told: false,
            failed: false,
            muted: false,
            receive_clock: now,
            send_clock: now,
        }
    }

    fn may_receive(&self, net: &Net, receives: u32) -> bool {
        let Some(link) = self.link else { return false };
        self.receive_on
            && !self.failed
            && !self.relay_receives()
            && self.taken < receives
            && !net.link(link).inward.inbox.is_empty()
    }

    fn fill(&mut self, net: &mut Net, link: LinkId, buffer: &mut Buffer, piece: u64) {
        let piece = net.dice.between(1, piece) as usize;
        let inbox = &mut net.link_mut(link).inward.inbox;
        let count = inbox.len().min(piece).min(buffer.receivable());
        for (to, from) in buffer.spare_mut().iter_mut().zip(inbox.drain(..count)) {
            *to = from;
        }
        buffer.filled(count);
    }

    fn receive_at(&mut self, net: &mut Net, delay: u64) -> Time {
        let at = Time(net.now().0 + net.dice.skewed(delay));
        self.receive_clock = self.receive_clock.max(at);
        self.receive_clock
    }

    /// Plans `End` or `Failed` when it is their turn.
    fn report_end(&mut self, net: &mut Net, link: LinkId, habits: DriverHabits) {
        let inward = &net.link(link).inward;
        let drained = inward.inbox.is_empty() && !self.relay_holds();
        let (fin, reset) = (inward.fin, inward.reset);
        if reset && !self.failed && (drained || !self.receive_on) {
            self.failed = true;
            let at = self.receive_at(net, habits.delay);
            let faults = [
                IoFault::Reset,
                IoFault::Reset,
                IoFault::TimedOut,
                IoFault::Other,
            ];
            let (conn, fault) = (self.id, net.dice.pick(&faults));
            net.agenda
                .at(at, Action::Event(Event::Failed { conn, fault }));
            return;
        }
        let told = self.receive_on || habits.end_while_off;
        if fin && told && !self.end_told && drained && !self.failed {
            self.end_told = true;
            let at = self.receive_at(net, habits.delay);
            net.agenda
                .at(at, Action::Event(Event::End { conn: self.id }));
        }
    }

    /// The front segment left: plan its `Sent`.
    fn finish_segment(&mut self, net: &mut Net, habits: DriverHabits) {
        let Some(segment) = self.sends.pop_front() else {
            return;
        };
        let withheld = habits.withhold_one_in > 0 && net.dice.one_in(habits.withhold_one_in);
        let delay = if withheld {
            net.dice.between(1_000_000, 500_000_000)
        } else {
            net.dice.skewed(habits.delay)
        };
        self.send_clock = self.send_clock.max(Time(net.now().0 + delay));
        let sent = Event::Sent {
            conn: self.id,
            bytes: segment.buffer.len() as u32,
            buffer: segment.buffer,
        };
        net.agenda.at(self.send_clock, Action::Event(sent));
    }
}

/// The connection that an event is about.
pub fn event_conn(event: &Event) -> Option<ConnId> {
    match *event {
        Event::Connected { conn, .. }
        | Event::Received { conn, .. }
        | Event::Relayed { from: conn, .. }
        | Event::End { conn }
        | Event::Sent { conn, .. }
        | Event::Failed { conn, .. }
        | Event::Closed { conn } => Some(conn),
        _ => None,
    }
}
