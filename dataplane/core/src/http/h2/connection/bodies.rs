//! DATA that comes: windows, lengths, and where the bytes are.

use std::ops::Range;

use super::frames::may_resume;
use super::{Connection, Late};
use crate::http::Refusal;
use crate::http::h2::error::{Code, Error, Reason};
use crate::http::h2::frame::{self, FrameHeader, flag, kind};
use crate::http::h2::stream::{Step, Waits};
use crate::http::h2::{Message, StreamId};
use crate::limits;

impl Connection {
    /// H03, H05, H08: whether the frame may come at all. Its pieces are counted as they come.
    pub(super) fn data_begins(&mut self, header: FrameHeader) -> Result<Option<Message>, Error> {
        let id = header.stream;
        if self.is_idle(id) {
            return Err(Error::protocol(Reason::StreamId));
        }
        if header.len > self.receive.available() {
            return Err(Error::new(Code::FLOW_CONTROL_ERROR, Reason::FlowControl));
        }
        if header.len == 0 && header.has(flag::PADDED) {
            return Err(Error::protocol(Reason::Padding));
        }
        self.reader.data(header);
        self.data_len = 0;
        let Some(stream) = self
            .streams
            .find(id)
            .filter(|found| !found.state.is_closed())
        else {
            return match self.late_frame(id)? {
                Late::Ignored => Ok(None),
                Late::Faulty => self.stream_is_over(id),
                Late::Unknown => Err(super::CLOSED),
            };
        };
        if !stream.state.receives() {
            return self.stream_is_over(id);
        }
        if !stream.head_came {
            let code = Code::PROTOCOL_ERROR;
            return self.stream_fault(id, code, Reason::Malformed, None);
        }
        if header.len > stream.receive.available() {
            let code = Code::FLOW_CONTROL_ERROR;
            return self.stream_fault(id, code, Reason::FlowControl, None);
        }
        Ok(None)
    }

    fn stream_is_over(&mut self, id: u32) -> Result<Option<Message>, Error> {
        self.stream_fault(id, Code::STREAM_CLOSED, Reason::StreamClosed, None)
    }

    /// B10, B11: judged when a frame is over, for padding is no progress.
    pub(super) fn data_frame_moves(
        &mut self,
        range: &Range<usize>,
        last: bool,
        end: bool,
        id: u32,
    ) -> Result<(), Error> {
        self.data_len += range.len() as u32;
        if !last {
            return Ok(());
        }
        match self.data_len {
            _ if end => self.abuse.progress(),
            0 => return self.abuse.empty(self.now),
            limits::H2_SMALL_DATA.. => self.abuse.progress(),
            _ => {
                let stream = self.streams.find(id);
                match stream.and_then(|stream| {
                    let left = stream.small_free.checked_sub(1);
                    left.map(|left| stream.small_free = left)
                }) {
                    Some(()) => self.abuse.progress(),
                    None => return self.abuse.small_data(self.now),
                }
            }
        }
        Ok(())
    }

    /// A piece of a DATA frame; padding is consumed at once.
    pub(super) fn data_piece(
        &mut self,
        id: u32,
        range: Range<usize>,
        padding: u32,
        end: bool,
    ) -> Result<Option<Message>, Error> {
        let len = range.len() as u32;
        self.receive.take(len + padding);
        let receives = |stream: &&mut _| takes_data(stream);
        let Some(stream) = self.streams.find(id).filter(receives) else {
            self.credit(len + padding);
            return Ok(None);
        };
        stream.receive.take(len + padding);
        if let Some(left) = &mut stream.body_left {
            // D07.
            match left.checked_sub(u64::from(len)) {
                Some(rest) if !end || rest == 0 => *left = rest,
                _ => {
                    self.credit(len + padding);
                    return self.malformed(id, Refusal::ContentLength);
                }
            }
        }
        stream.unconsumed += len + padding;
        if end {
            stream.step(Step::RemoteEnd);
        }
        self.consumed(StreamId(id), padding);
        if len == 0 && !end {
            return Ok(None);
        }
        Ok(Some(Message::Data {
            stream: StreamId(id),
            range,
            end,
        }))
    }

    /// The caller has passed on, or dropped, `len` bytes of a body.
    pub fn consumed(&mut self, stream: StreamId, len: u32) {
        let growth = self.growth(self.settings.stream_window_max);
        let Some(found) = self.streams.find(stream.0) else {
            return;
        };
        let len = len.min(found.unconsumed);
        found.unconsumed -= len;
        // The other side sends nothing more on a stream that it has ended.
        if len > 0
            && found.state.receives()
            && let Some(increment) = found.receive.consumed(len, &growth)
        {
            let payload = increment.to_be_bytes();
            frame::put(kind::WINDOW_UPDATE, 0, stream.0, &payload, &mut self.output);
        }
        self.credit(len);
    }

    /// Opens the window of the connection again.
    pub(super) fn credit(&mut self, len: u32) {
        let growth = self.growth(self.settings.connection_window_max);
        if len > 0
            && let Some(increment) = self.receive.consumed(len, &growth)
        {
            let payload = increment.to_be_bytes();
            frame::put(kind::WINDOW_UPDATE, 0, 0, &payload, &mut self.output);
        }
    }

    /// The next stream that waited to send and may try again, in turn. Whoever gets no grant then
    /// is at the end of the queue again.
    pub fn poll_writable(&mut self) -> Option<StreamId> {
        if self.drained && !may_resume(self.send.available(), u32::MAX) {
            return None;
        }
        for _ in 0..self.writable.len() {
            if self.send.available() == 0 {
                return None;
            }
            let id = self.writable.pop_front()?;
            let stream = self.streams.find(id);
            if let Some(stream) = stream.filter(|stream| stream.waits == Waits::Queue) {
                stream.waits = Waits::No;
                return Some(StreamId(id));
            }
        }
        None
    }
}

fn takes_data(stream: &crate::http::h2::stream::Stream) -> bool {
    stream.state.receives() && stream.head_came
}
