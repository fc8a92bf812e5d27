//! Streams of one connection: the states of RFC 9113 section 5.1, a slot for each that is open, and
//! a bounded record of those that were.

use std::collections::VecDeque;

use super::StreamId;
use super::flow::{ReceiveWindow, SendWindow};
use crate::event::Time;
use crate::limits;

/// Where a stream is. Idle streams have no state: their id is higher than any that was used.
/// Nothing is ever reserved, because push is off.
///
/// ```text
///              ┌── local end ──► HalfClosedLocal ── remote end ──┐
/// (idle) ► Open                                                  ├─► Ended
///              └── remote end ─► HalfClosedRemote ─ local end ───┘
///    any of the three ── reset ──► ResetLocal, ResetRemote
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Open,
    /// We have sent everything.
    HalfClosedLocal,
    /// The other side has sent everything.
    HalfClosedRemote,
    Ended,
    ResetLocal,
    ResetRemote,
}

/// What moves a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    LocalEnd,
    RemoteEnd,
    LocalReset,
    RemoteReset,
}

impl State {
    /// The state behind a step. What is over stays as it is.
    pub(crate) fn after(self, step: Step) -> Self {
        match (self, step) {
            (Self::Open, Step::LocalEnd) => Self::HalfClosedLocal,
            (Self::Open, Step::RemoteEnd) => Self::HalfClosedRemote,
            (Self::HalfClosedRemote, Step::LocalEnd) => Self::Ended,
            (Self::HalfClosedLocal, Step::RemoteEnd) => Self::Ended,
            (Self::Open | Self::HalfClosedLocal | Self::HalfClosedRemote, Step::LocalReset) => {
                Self::ResetLocal
            }
            (Self::Open | Self::HalfClosedLocal | Self::HalfClosedRemote, Step::RemoteReset) => {
                Self::ResetRemote
            }
            (state, _) => state,
        }
    }

    /// The other side may send DATA and HEADERS.
    pub(crate) fn receives(self) -> bool {
        matches!(self, Self::Open | Self::HalfClosedLocal)
    }

    /// We may send DATA and HEADERS.
    pub(crate) fn sends(self) -> bool {
        matches!(self, Self::Open | Self::HalfClosedRemote)
    }

    pub(crate) fn is_closed(self) -> bool {
        !self.receives() && !self.sends()
    }
}

/// What stands in the way of DATA that the caller has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Waits {
    No,
    /// For the window of the stream.
    Stream,
    /// In the queue for the window of the connection, or to be asked again.
    Queue,
}

/// One stream that the caller knows.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: u32,
    pub(crate) state: State,
    /// The (final) head came.
    pub(crate) head_came: bool,
    /// The (final) head left.
    pub(crate) head_left: bool,
    /// The response cannot have a body, whatever length it announces: the request was HEAD.
    pub(crate) is_head: bool,
    /// The request was CONNECT: a 2xx has no length.
    pub(crate) is_connect: bool,
    /// Small DATA frames that cost nothing yet.
    pub(crate) small_free: u8,
    pub(crate) waits: Waits,
    /// The send window ran empty and has not opened by enough (B12).
    pub(crate) drained: bool,
    pub(crate) send: SendWindow,
    pub(crate) receive: ReceiveWindow,
    /// Bytes of DATA that the caller has and did not report as consumed.
    pub(crate) unconsumed: u32,
    /// Bytes of DATA that content-length still promises.
    pub(crate) body_left: Option<u64>,
    /// What the head counts against the memory of the connection (B05).
    pub(crate) head_bytes: u32,
    /// Since when the caller waits to send.
    pub(crate) waits_since: Time,
    /// The caller's own mark.
    pub(crate) mark: u64,
}

impl Stream {
    pub(crate) fn new(id: u32, send: SendWindow, receive: ReceiveWindow) -> Self {
        Self {
            id,
            state: State::Open,
            head_came: false,
            head_left: false,
            is_head: false,
            is_connect: false,
            small_free: limits::H2_SMALL_DATA_FREE,
            waits: Waits::No,
            drained: false,
            send,
            receive,
            unconsumed: 0,
            body_left: None,
            head_bytes: 0,
            waits_since: Time::NEVER,
            mark: 0,
        }
    }

    pub(crate) fn step(&mut self, step: Step) {
        self.state = self.state.after(step);
    }
}

/// How a stream ended that is no longer in a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Closed {
    /// Both sides sent everything.
    Ended,
    /// We reset it: frames that were on their way are ignored.
    ResetLocal,
    /// The other side reset it: nothing may follow.
    ResetRemote,
}

/// All streams of one connection. Ids rise, so they are found by bisection.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    slots: Vec<Stream>,
    free: Vec<u32>,
    /// Id and slot, in order of the id.
    order: Vec<(u32, u32)>,
    closed: VecDeque<(u32, Closed)>,
}

impl Streams {
    /// Adds a stream whose id is higher than any before.
    pub(crate) fn add(&mut self, stream: Stream) {
        debug_assert!(self.order.last().is_none_or(|last| last.0 < stream.id));
        let id = stream.id;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = stream;
                slot
            }
            None => {
                self.slots.push(stream);
                self.slots.len() as u32 - 1
            }
        };
        self.order.push((id, slot));
    }

    #[inline]
    pub(crate) fn find(&mut self, id: u32) -> Option<&mut Stream> {
        let at = self.place(id)?;
        Some(&mut self.slots[self.order[at].1 as usize])
    }

    pub(crate) fn look(&self, id: u32) -> Option<&Stream> {
        let at = self.place(id)?;
        Some(&self.slots[self.order[at].1 as usize])
    }

    /// Nearly always one of the last.
    fn place(&self, id: u32) -> Option<usize> {
        if self.order.last()?.0 == id {
            return Some(self.order.len() - 1);
        }
        self.order.binary_search_by_key(&id, |entry| entry.0).ok()
    }

    /// Takes a stream out and remembers how it ended.
    pub(crate) fn remove(&mut self, id: u32) {
        let Some(at) = self.place(id) else { return };
        let (_, slot) = self.order.remove(at);
        self.free.push(slot);
        let closed = match self.slots[slot as usize].state {
            State::ResetRemote => Closed::ResetRemote,
            State::Ended => Closed::Ended,
            _ => Closed::ResetLocal,
        };
        self.remember(id, closed);
    }

    /// A stream that never got a slot, or has none any more.
    pub(crate) fn remember(&mut self, id: u32, closed: Closed) {
        if self.closed.len() == limits::H2_CLOSED_MAX {
            self.closed.pop_front();
        }
        self.closed.push_back((id, closed));
    }

    /// How a stream ended, if that is remembered.
    pub(crate) fn closed(&self, id: u32) -> Option<Closed> {
        let newest_first = self.closed.iter().rev();
        newest_first
            .filter(|entry| entry.0 == id)
            .map(|entry| entry.1)
            .next()
    }

    /// Streams in slots.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// Ids of all streams in slots, from the oldest on.
    pub(crate) fn ids(&self) -> impl Iterator<Item = StreamId> {
        self.order.iter().map(|entry| StreamId(entry.0))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.order.iter().map(|entry| &self.slots[entry.1 as usize])
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        let is_open = |id| {
            self.order
                .binary_search_by_key(&id, |entry| entry.0)
                .is_ok()
        };
        self.slots
            .iter_mut()
            .filter(move |stream| is_open(stream.id))
    }

    /// Gives back memory when no stream is open.
    pub(crate) fn shrink(&mut self) {
        if self.order.is_empty() {
            let closed = std::mem::take(&mut self.closed);
            *self = Self::default();
            // A few of the last are enough for frames that are still on their way.
            self.closed = closed.into_iter().rev().take(16).rev().collect();
            self.closed.shrink_to_fit();
        }
    }

    /// Bytes of memory held.
    pub(crate) fn memory(&self) -> usize {
        self.slots.capacity() * size_of::<Stream>()
            + (self.free.capacity() + 2 * self.order.capacity()) * size_of::<u32>()
            + self.closed.capacity() * size_of::<(u32, Closed)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 6] = [
        State::Open,
        State::HalfClosedLocal,
        State::HalfClosedRemote,
        State::Ended,
        State::ResetLocal,
        State::ResetRemote,
    ];
    const STEPS: [Step; 4] = [
        Step::LocalEnd,
        Step::RemoteEnd,
        Step::LocalReset,
        Step::RemoteReset,
    ];

    #[test]
    fn every_transition() {
        let mut table = String::new();
        for state in STATES {
            for step in STEPS {
                let after = state.after(step);
                if after != state {
                    table += &format!("{state:?} {step:?} {after:?}\n");
                }
            }
        }
        let expect = "Open LocalEnd HalfClosedLocal\n\
                      Open RemoteEnd HalfClosedRemote\n\
                      Open LocalReset ResetLocal\n\
                      Open RemoteReset ResetRemote\n\
                      HalfClosedLocal RemoteEnd Ended\n\
                      HalfClosedLocal LocalReset ResetLocal\n\
                      HalfClosedLocal RemoteReset ResetRemote\n\
                      HalfClosedRemote LocalEnd Ended\n\
                      HalfClosedRemote LocalReset ResetLocal\n\
                      HalfClosedRemote RemoteReset ResetRemote\n";
        assert_eq!(table, expect);
    }

    fn stream(id: u32) -> Stream {
        Stream::new(id, SendWindow::new(1), ReceiveWindow::new(1, Time(0)))
    }

    #[test]
    fn slots_are_used_again_and_the_record_is_bounded() {
        let mut streams = Streams::default();
        for id in (1..4001).step_by(2) {
            streams.add(stream(id));
            if id > 8 {
                streams.remove(id - 8);
            }
        }
        assert_eq!(
            streams.ids().map(|id| id.0).collect::<Vec<_>>(),
            [3993, 3995, 3997, 3999]
        );
        assert!(streams.find(3995).is_some() && streams.find(3991).is_none());
        assert_eq!(streams.iter_mut().count(), 4);
        assert_eq!(streams.closed(3991), Some(Closed::ResetLocal));
        assert_eq!(streams.closed(3), None);
        assert!(streams.memory() < 4096, "{}", streams.memory());
        for id in [3993, 3995, 3997, 3999] {
            streams.remove(id);
        }
        streams.shrink();
        assert!(streams.memory() <= 256, "{}", streams.memory());
    }

    #[test]
    fn a_stream_is_small() {
        assert!(size_of::<Stream>() <= 128, "{}", size_of::<Stream>());
    }
}
