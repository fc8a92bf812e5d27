//! Frames other than DATA and field blocks, and what every frame must keep to.

use std::time::Duration;

use super::{Connection, Role};
use crate::event::Time;
use crate::http::h2::error::{Code, Error, Reason};
use crate::http::h2::flow::Overflow;
use crate::http::h2::frame::{self, FrameHeader, PAYLOAD_MAX, Source, flag, kind};
use crate::http::h2::settings::WINDOW_INITIAL;
use crate::http::h2::stream::{Step, Waits};
use crate::http::h2::{Message, ResetBy, StreamId, hpack};

const SIZE: Error = Error::new(Code::FRAME_SIZE_ERROR, Reason::FrameSize);

impl Connection {
    /// What can be said of a frame before its payload came.
    pub(super) fn frame_begins(&mut self, header: FrameHeader) -> Result<Option<Message>, Error> {
        if !self.settings_came && (header.kind != kind::SETTINGS || header.has(flag::ACK)) {
            return Err(Error::protocol(Reason::Preface));
        }
        if header.len > PAYLOAD_MAX {
            return Err(SIZE);
        }
        self.check_block_order(header)?;
        check_stream(header)?;
        match header.kind {
            kind::DATA => return self.data_begins(header),
            kind::PUSH_PROMISE => return Err(Error::protocol(Reason::Push)),
            kind::HEADERS..=kind::CONTINUATION => self.reader.gather(header),
            // H13.
            _ => {
                self.abuse.quiet(self.now)?;
                self.reader.skip(header);
            }
        }
        Ok(None)
    }

    /// H04: a field block is not interrupted by anything, unknown frames included.
    fn check_block_order(&self, header: FrameHeader) -> Result<(), Error> {
        let continues = header.kind == kind::CONTINUATION;
        match self.open_block {
            Some(open) if continues && open.stream == header.stream => Ok(()),
            None if !continues => Ok(()),
            _ => Err(Error::protocol(Reason::HeaderBlock)),
        }
    }

    /// A payload that is there as a whole.
    pub(super) fn payload(
        &mut self,
        header: FrameHeader,
        source: Source,
        bytes: &[u8],
    ) -> Result<Option<Message>, Error> {
        match source {
            Source::Received(range) => self.frame(header, &bytes[range]),
            Source::Gathered => {
                let gathered = self.reader.take_gathered();
                let message = self.frame(header, &gathered);
                self.reader.give_gathered(gathered);
                message
            }
        }
    }

    fn frame(&mut self, header: FrameHeader, payload: &[u8]) -> Result<Option<Message>, Error> {
        match header.kind {
            kind::HEADERS => self.headers(header, payload),
            kind::CONTINUATION => self.continuation(header, payload),
            kind::PRIORITY => self.priority(header, payload),
            kind::RST_STREAM => self.rst_stream(header, payload),
            kind::SETTINGS => self.settings_frame(header, payload),
            kind::PING => self.ping_frame(header, payload),
            kind::GOAWAY => self.goaway_frame(payload),
            _ => self.window_update(header, payload),
        }
    }

    /// H09, B15. No tree is built of it.
    fn priority(&mut self, header: FrameHeader, payload: &[u8]) -> Result<Option<Message>, Error> {
        self.abuse.priority(self.now)?;
        let code = match payload.try_into() {
            Ok(priority) if frame::depends_on(priority) != header.stream => return Ok(None),
            Ok(_) => Code::PROTOCOL_ERROR,
            Err(_) => Code::FRAME_SIZE_ERROR,
        };
        // RST_STREAM may not be sent on an idle stream.
        if self.is_idle(header.stream) {
            return Err(Error::new(code, Reason::Priority));
        }
        self.stream_fault(header.stream, code, Reason::Priority, None)
    }

    fn rst_stream(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
    ) -> Result<Option<Message>, Error> {
        let code = Code(u32::from_be_bytes(frame::exact(payload)?));
        if self.is_idle(header.stream) {
            return Err(Error::protocol(Reason::StreamId));
        }
        let role = self.role;
        let Some(stream) = self.streams.find(header.stream) else {
            return self.abuse.quiet(self.now).map(|()| None);
        };
        let state = stream.state;
        if state.is_closed() {
            return self.abuse.quiet(self.now).map(|()| None);
        }
        stream.step(Step::RemoteReset);
        // B01: once the response is over, the other side has paid for what it got.
        let is_early = match role {
            Role::Server => state.sends(),
            Role::Client => state.receives(),
        };
        if is_early {
            self.abuse.reset(self.now)?;
        }
        Ok(Some(Message::Reset {
            stream: StreamId(header.stream),
            code,
            by: ResetBy::Remote,
        }))
    }

    fn settings_frame(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
    ) -> Result<Option<Message>, Error> {
        if header.has(flag::ACK) {
            return match payload {
                [] => self.acknowledged(),
                _ => Err(SIZE),
            };
        }
        if self.settings_came {
            self.abuse.quiet(self.now)?;
        }
        self.settings_came = true;
        let before = self.announced.stream_window;
        let from_server = self.role == Role::Client;
        self.announced.read(payload, from_server)?;
        self.encoder.limit(self.announced.table_size as usize);
        self.shift_windows(i64::from(self.announced.stream_window) - i64::from(before))?;
        self.put_reply(kind::SETTINGS, flag::ACK, 0, &[])?;
        Ok(Some(Message::Settings))
    }

    /// RFC 9113 section 6.9.2.
    fn shift_windows(&mut self, difference: i64) -> Result<(), Error> {
        if difference == 0 {
            return Ok(());
        }
        let initial = self.announced.stream_window;
        for stream in self.streams.iter_mut() {
            stream.send.shift(difference).map_err(overflow)?;
            if stream.waits == Waits::Stream && may_resume(stream.send.available(), initial) {
                stream.waits = Waits::Queue;
                stream.drained = false;
                self.writable.push_back(stream.id);
            }
        }
        Ok(())
    }

    fn acknowledged(&mut self) -> Result<Option<Message>, Error> {
        if self.settings_sent == Time::NEVER {
            return self.abuse.quiet(self.now).map(|()| None);
        }
        self.sample_round_trip(self.settings_sent);
        self.settings_sent = Time::NEVER;
        self.decoder.acknowledged();
        let size = self.settings.stream_window;
        if size < WINDOW_INITIAL {
            for stream in self.streams.iter_mut() {
                stream.receive.shrink(WINDOW_INITIAL, size);
            }
        }
        Ok(Some(Message::Acknowledged))
    }

    fn sample_round_trip(&mut self, sent: Time) {
        let took = Duration::from_nanos(self.now.since(sent));
        self.round_trip = self.round_trip.min(took);
    }

    /// B08.
    fn ping_frame(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
    ) -> Result<Option<Message>, Error> {
        let octets: [u8; 8] = frame::exact(payload)?;
        let awaited = self.ping_sent != Time::NEVER && octets == self.ping_sent.0.to_be_bytes();
        if header.has(flag::ACK) && awaited {
            self.sample_round_trip(self.ping_sent);
            self.ping_sent = Time::NEVER;
            return Ok(Some(Message::Pong));
        }
        self.abuse.quiet(self.now)?;
        if !header.has(flag::ACK) {
            self.put_reply(kind::PING, flag::ACK, 0, &octets)?;
        }
        Ok(None)
    }

    fn goaway_frame(&mut self, payload: &[u8]) -> Result<Option<Message>, Error> {
        let (last, code) = frame::goaway(payload)?;
        self.abuse.quiet(self.now)?;
        // It may only shrink (RFC 9113 section 6.8).
        let last = self.goaway_came.map_or(last, |before| before.min(last));
        self.goaway_came = Some(last);
        Ok(Some(Message::GoAway {
            last: StreamId(last),
            code,
        }))
    }

    /// H07, B13.
    fn window_update(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
    ) -> Result<Option<Message>, Error> {
        let increment = u32::from_be_bytes(frame::exact(payload)?) & 0x7fff_ffff;
        self.abuse.window_update()?;
        if header.stream == 0 {
            return self.connection_window_update(increment);
        }
        if self.is_idle(header.stream) {
            return Err(Error::protocol(Reason::StreamId));
        }
        let initial = self.announced.stream_window;
        let Some(stream) = self.streams.find(header.stream) else {
            return Ok(None);
        };
        if stream.state.is_closed() {
            return Ok(None);
        }
        if increment == 0 {
            return self.stream_fault(header.stream, Code::PROTOCOL_ERROR, Reason::Window, None);
        }
        if stream.send.open(increment).is_err() {
            let code = Code::FLOW_CONTROL_ERROR;
            return self.stream_fault(header.stream, code, Reason::Window, None);
        }
        if stream.waits != Waits::Stream || !may_resume(stream.send.available(), initial) {
            return Ok(None);
        }
        stream.drained = false;
        stream.waits = Waits::No;
        Ok(Some(Message::WindowOpened {
            stream: Some(StreamId(header.stream)),
        }))
    }

    fn connection_window_update(&mut self, increment: u32) -> Result<Option<Message>, Error> {
        if increment == 0 {
            return Err(Error::protocol(Reason::Window));
        }
        self.send.open(increment).map_err(overflow)?;
        if !may_resume(self.send.available(), WINDOW_INITIAL) {
            return Ok(None);
        }
        self.drained = false;
        let waiting = !self.writable.is_empty();
        Ok(waiting.then_some(Message::WindowOpened { stream: None }))
    }
}

/// B12: a window that ran empty has opened by enough. Where the other side gives little at all,
/// half of that is enough.
pub(super) fn may_resume(available: u32, initial: u32) -> bool {
    available > 0 && available >= crate::limits::H2_DATA_MIN.min(initial.div_ceil(2))
}

fn overflow(_: Overflow) -> Error {
    Error::new(Code::FLOW_CONTROL_ERROR, Reason::Window)
}

/// H03: frames of the connection on stream 0, all others elsewhere.
fn check_stream(header: FrameHeader) -> Result<(), Error> {
    let good = match header.kind {
        kind::SETTINGS | kind::PING | kind::GOAWAY => header.stream == 0,
        kind::WINDOW_UPDATE => true,
        kind::DATA..=kind::CONTINUATION => header.stream != 0,
        _ => true,
    };
    if good {
        return Ok(());
    }
    Err(Error::protocol(Reason::StreamId))
}

/// H10; only the ceiling is no fault of the compression.
pub(super) fn compression(error: hpack::Error) -> Error {
    match error {
        hpack::Error::Ceiling => Error::calm(Reason::HeaderFlood),
        _ => Error::new(Code::COMPRESSION_ERROR, Reason::Compression),
    }
}
