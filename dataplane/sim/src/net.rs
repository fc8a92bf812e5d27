//! The network: links of two pipes each, with the habits of a bad TCP connection.
//!
//! A link joins the machine (near) and an actor of the world (far). Bytes travel in packets of
//! random size and delay, never out of order; windows are bounded, so a side that does not read
//! stops the other. A close with unread bytes resets, bytes that reach a closed side reset, and a
//! reset may take unread bytes with it: answers are lost here exactly where a real kernel loses
//! them.

mod pipe;

use penstock_core::event::{ConnId, Time};

use crate::agenda::{Action, Actor, Agenda};
use crate::dice::Dice;
use crate::trace::{Trace, printable};
pub use pipe::{Packet, Pipe};

/// Number of a link; never used twice in a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub u32);

/// Which way bytes go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From the world to the machine.
    Inward,
    /// From the machine to the world.
    Outward,
}

/// How a sending side ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// FIN; still reads.
    Finish,
    /// Closes: FIN, or RST if bytes are unread.
    Close,
    /// RST.
    Reset,
    /// Falls silent and stays open.
    Stall,
}

/// A planned accident: after so many bytes in one direction the far side ends like this.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut {
    /// Which bytes are counted.
    pub direction: Direction,
    /// How many pass.
    pub after: u64,
    /// What happens then.
    pub ending: Ending,
}

/// How one link behaves.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// Shortest and longest delay of a packet in nanoseconds.
    pub latency: (u64, u64),
    /// Largest packet in each direction.
    pub piece: (u64, u64),
    /// Bytes on the way and unread, per direction.
    pub window: (usize, usize),
    /// Pause between two packets of the far side.
    pub send_gap: u64,
    /// Largest read of the far side and the pause after it; 0 reads nothing.
    pub read: (u64, u64),
    /// A reset leaves what arrived before it readable.
    pub keep_on_reset: bool,
    /// A planned accident.
    pub cut: Option<Cut>,
}

impl Habits {
    /// Fast and whole.
    pub fn good() -> Self {
        Self {
            latency: (10_000, 10_000),
            piece: (65_536, 65_536),
            window: (65_536, 65_536),
            send_gap: 0,
            read: (65_536, 0),
            keep_on_reset: true,
            cut: None,
        }
    }
}

/// What an actor learns about its link.
#[derive(Debug)]
pub enum Notice {
    /// Bytes, in order.
    Bytes(Vec<u8>),
    /// The machine will send no more.
    End,
    /// The machine's side is gone.
    Reset,
    /// The actor's own accident happened.
    Severed(Ending),
}

/// One connection.
#[derive(Debug)]
pub struct Link {
    /// The far side.
    pub actor: Actor,
    /// The machine's id, while it has one.
    pub conn: Option<ConnId>,
    /// How it behaves.
    pub habits: Habits,
    /// Towards the machine.
    pub inward: Pipe,
    /// From the machine.
    pub outward: Pipe,
    /// The machine's socket exists.
    pub near_open: bool,
    /// The far socket exists.
    pub far_open: bool,
    read_planned: bool,
    stalled: bool,
    end_told: bool,
    ending: Option<Ending>,
}

/// All links, and what every part of the world shares: time, dice, trace.
pub struct Net {
    /// What happens next.
    pub agenda: Agenda,
    /// Chance of the world.
    pub dice: Dice,
    /// The record.
    pub trace: Trace,
    links: Vec<Link>,
}

impl Net {
    /// No link yet.
    pub fn new(dice: Dice, trace: Trace) -> Self {
        Self {
            agenda: Agenda::new(),
            dice,
            trace,
            links: Vec::new(),
        }
    }

    /// The time now.
    pub fn now(&self) -> Time {
        self.agenda.now
    }

    /// Marks what happened.
    pub fn mark(&mut self, numbers: &[u64], line: impl FnOnce() -> String) {
        self.trace.mark(self.agenda.now, numbers, line);
    }

    /// Notes a broken rule.
    pub fn violation(&mut self, text: impl Into<String>) {
        self.trace.violation(self.agenda.now, text.into());
    }

    /// A new link, established on both sides.
    pub fn open(&mut self, actor: Actor, habits: Habits) -> LinkId {
        let id = LinkId(self.links.len() as u32);
        self.links.push(Link {
            actor,
            conn: None,
            habits,
            inward: Pipe::default(),
            outward: Pipe::default(),
            near_open: true,
            far_open: true,
            read_planned: false,
            stalled: false,
            end_told: false,
            ending: None,
        });
        id
    }

    /// A link.
    pub fn link(&self, id: LinkId) -> &Link {
        &self.links[id.0 as usize]
    }

    /// A link, to change.
    pub fn link_mut(&mut self, id: LinkId) -> &mut Link {
        &mut self.links[id.0 as usize]
    }

    /// All links.
    pub fn links(&self) -> impl Iterator<Item = (LinkId, &Link)> {
        self.links
            .iter()
            .enumerate()
            .map(|(index, link)| (LinkId(index as u32), link))
    }

    // --- the far side ---

    /// The far side writes.
    pub fn write(&mut self, id: LinkId, bytes: &[u8]) {
        let link = self.link_mut(id);
        if link.far_open && link.ending.is_none() {
            link.inward.outbox.extend(bytes);
            self.pump(id);
        }
    }

    /// The far side ends once everything written has left.
    pub fn end(&mut self, id: LinkId, ending: Ending) {
        let link = self.link_mut(id);
        if link.far_open && (link.ending.is_none() || link.ending == Some(Ending::Finish)) {
            link.ending = Some(ending);
            self.pump(id);
        }
    }

    /// Bytes that the far side has written and the network has not taken yet.
    pub fn unsent(&self, id: LinkId) -> usize {
        self.link(id).inward.outbox.len()
    }

    /// Lets the far side send what the window and its pace allow.
    pub fn pump(&mut self, id: LinkId) {
        loop {
            let now = self.now();
            let link = &mut self.links[id.0 as usize];
            if !link.far_open || link.stalled {
                return;
            }
            if link.inward.outbox.is_empty() {
                return self.finish_far(id);
            }
            if link.inward.next_send > now {
                return self.plan_pump(id);
            }
            let count =
                link.inward
                    .sendable(link.habits.window.0, link.habits.piece.0, &mut self.dice);
            let count = count.min(link.allowance(Direction::Inward));
            if count == 0 {
                return;
            }
            let bytes: Vec<u8> = link.inward.outbox.drain(..count).collect();
            link.inward.next_send = Time(now.0.saturating_add(link.habits.send_gap));
            self.launch(id, Direction::Inward, Packet::Data(bytes));
            self.check_cut(id, Direction::Inward);
        }
    }

    fn plan_pump(&mut self, id: LinkId) {
        let link = &mut self.links[id.0 as usize];
        if !link.inward.pump_planned && link.inward.next_send != Time::NEVER {
            link.inward.pump_planned = true;
            let at = link.inward.next_send;
            self.agenda.at(at, Action::Pump(id));
        }
    }

    /// The pace allows the far side to send again.
    pub fn pump_planned(&mut self, id: LinkId) {
        self.link_mut(id).inward.pump_planned = false;
        self.pump(id);
    }

    fn finish_far(&mut self, id: LinkId) {
        let link = self.link_mut(id);
        let Some(ending) = link.ending else { return };
        self.end_far(id, ending);
    }

    /// The far side ends now, whatever it has not sent.
    pub fn end_far(&mut self, id: LinkId, ending: Ending) {
        let link = self.link_mut(id);
        if !link.far_open {
            return;
        }
        let unread = !link.outward.inbox.is_empty();
        match ending {
            Ending::Stall => link.stalled = true,
            Ending::Finish => self.launch_fin(id, Direction::Inward),
            Ending::Close if !unread => {
                link.close_far();
                self.launch_fin(id, Direction::Inward);
            }
            Ending::Close | Ending::Reset => {
                link.close_far();
                self.launch(id, Direction::Inward, Packet::Reset);
            }
        }
    }

    /// The far side reads: what it learns, if anything.
    pub fn read(&mut self, id: LinkId) -> Option<Notice> {
        let link = &mut self.links[id.0 as usize];
        link.read_planned = false;
        if !link.far_open {
            return None;
        }
        if link.outward.inbox.is_empty() {
            return self.read_end(id);
        }
        let count = link.far_readable(&mut self.dice);
        let bytes: Vec<u8> = link.outward.inbox.drain(..count).collect();
        link.outward.read_total += count as u64;
        let gap = link.habits.read.1;
        self.plan_read(id, gap);
        self.check_cut(id, Direction::Outward);
        Some(Notice::Bytes(bytes))
    }

    fn read_end(&mut self, id: LinkId) -> Option<Notice> {
        let link = self.link_mut(id);
        if link.outward.reset {
            link.close_far();
            return Some(Notice::Reset);
        }
        if link.outward.fin && !link.end_told {
            link.end_told = true;
            return Some(Notice::End);
        }
        None
    }

    fn plan_read(&mut self, id: LinkId, gap: u64) {
        let link = self.link_mut(id);
        let due = !link.outward.inbox.is_empty() || link.outward.fin || link.outward.reset;
        let reads = link.habits.read.0 > 0 && gap != u64::MAX;
        if due && reads && !link.read_planned {
            link.read_planned = true;
            self.agenda.after(gap, Action::Read(id));
        }
    }

    fn check_cut(&mut self, id: LinkId, direction: Direction) {
        let link = self.link(id);
        let Some(cut) = link.habits.cut else { return };
        if cut.direction != direction || link.passed(direction) < cut.after {
            return;
        }
        self.link_mut(id).habits.cut = None;
        self.mark(&[20, u64::from(id.0)], || {
            format!("net  {id:?} far side is cut: {:?}", cut.ending)
        });
        self.end_far(id, cut.ending);
        self.link_mut(id).ending = Some(cut.ending);
        self.agenda.after(0, Action::Severed(id));
    }

    // --- the near side ---

    /// Bytes that the machine's kernel would take now.
    pub fn room(&self, id: LinkId) -> usize {
        let link = self.link(id);
        if !link.near_open || link.inward.reset {
            return 0;
        }
        link.outward.room(link.habits.window.1)
    }

    /// The machine's kernel takes bytes.
    pub fn send(&mut self, id: LinkId, bytes: &[u8]) {
        self.launch(id, Direction::Outward, Packet::Data(bytes.to_vec()));
    }

    /// The machine shuts its sending side down.
    pub fn send_fin(&mut self, id: LinkId) {
        self.launch_fin(id, Direction::Outward);
    }

    /// The machine closes its socket.
    pub fn close_near(&mut self, id: LinkId, reset: bool) {
        let link = &mut self.links[id.0 as usize];
        link.near_open = false;
        link.conn = None;
        let unread = !link.inward.inbox.is_empty();
        link.inward.inbox.clear();
        if reset && self.dice.one_in(2) {
            link.outward.drop_flight();
        }
        if reset || unread {
            self.launch(id, Direction::Outward, Packet::Reset);
        } else {
            self.launch_fin(id, Direction::Outward);
        }
        self.pump(id);
    }

    // --- packets ---

    fn launch_fin(&mut self, id: LinkId, direction: Direction) {
        let pipe = self.link_mut(id).pipe_mut(direction);
        if !pipe.fin_sent {
            pipe.fin_sent = true;
            self.launch(id, direction, Packet::Fin);
        }
    }

    fn launch(&mut self, id: LinkId, direction: Direction, packet: Packet) {
        let now = self.now();
        let link = &mut self.links[id.0 as usize];
        let (low, high) = link.habits.latency;
        let delay = self.dice.between(low, high);
        let at = link.pipe_mut(direction).launch(packet, now.0 + delay);
        self.agenda.at(Time(at), Action::Arrive(id, direction));
    }

    /// The next packet of a pipe arrives. True if the machine's side has something to look at.
    pub fn arrive(&mut self, id: LinkId, direction: Direction) -> bool {
        let link = &mut self.links[id.0 as usize];
        let Some(packet) = link.pipe_mut(direction).flight.pop_front() else {
            return false; // dropped by a reset
        };
        self.trace
            .mark(self.agenda.now, &[21, u64::from(id.0)], || {
                line(id, direction, &packet)
            });
        let open = match direction {
            Direction::Inward => link.near_open,
            Direction::Outward => link.far_open,
        };
        let is_data = matches!(packet, Packet::Data(_));
        let keep = link.habits.keep_on_reset;
        link.pipe_mut(direction).land(packet, open, keep);
        if !open && is_data {
            self.answer_with_reset(id, direction);
        }
        match direction {
            Direction::Inward => open,
            Direction::Outward => {
                self.plan_read(id, 0);
                false
            }
        }
    }

    fn answer_with_reset(&mut self, id: LinkId, direction: Direction) {
        let link = self.link_mut(id);
        let (back, alive) = match direction {
            Direction::Inward => (Direction::Outward, link.far_open),
            Direction::Outward => (Direction::Inward, link.near_open),
        };
        if alive && !link.pipe_mut(back).reset_sent {
            self.launch(id, back, Packet::Reset);
        }
    }
}

impl Link {
    /// The pipe of a direction.
    pub fn pipe_mut(&mut self, direction: Direction) -> &mut Pipe {
        match direction {
            Direction::Inward => &mut self.inward,
            Direction::Outward => &mut self.outward,
        }
    }

    /// How the far side ended.
    pub fn severed(&self) -> Option<Ending> {
        self.ending
    }

    fn close_far(&mut self) {
        self.far_open = false;
        self.inward.outbox.clear();
        self.outward.inbox.clear();
    }

    fn passed(&self, direction: Direction) -> u64 {
        match direction {
            Direction::Inward => self.inward.sent_total,
            Direction::Outward => self.outward.read_total,
        }
    }

    /// How many bytes may pass before the planned accident.
    fn allowance(&self, direction: Direction) -> usize {
        match self.habits.cut {
            Some(cut) if cut.direction == direction => {
                cut.after.saturating_sub(self.passed(direction)) as usize
            }
            _ => usize::MAX,
        }
    }

    fn far_readable(&self, dice: &mut Dice) -> usize {
        let piece = dice.between(1, self.habits.read.0) as usize;
        let ready = self.outward.inbox.len().min(piece);
        ready.min(self.allowance(Direction::Outward).max(1))
    }
}

fn line(id: LinkId, direction: Direction, packet: &Packet) -> String {
    let arrow = match direction {
        Direction::Inward => "→ machine",
        Direction::Outward => "→ world",
    };
    match packet {
        Packet::Data(bytes) => format!("net  {id:?} {arrow} {}", printable(bytes)),
        Packet::Fin => format!("net  {id:?} {arrow} FIN"),
        Packet::Reset => format!("net  {id:?} {arrow} RST"),
    }
}
