//! One connection: what came and what it means, what must leave, and what both sides still may do.
//!
//! Order of a turn: [`Connection::next`] until it yields nothing, then the caller sends what it
//! has, then [`Connection::take_output`]. Whatever [`Message::Head`] or [`Connection::open`] named
//! must be given back with [`Connection::forget`], because a stream stays charged to the limit of
//! streams until the work for it is really over (B01).

use std::collections::VecDeque;
use std::time::Duration;

use super::abuse::Abuse;
use super::error::{Code, Error, Reason};
use super::flow::{Growth, ReceiveWindow, SendWindow};
use super::frame::{self, Piece, Reader, kind};
use super::head::Block;
use super::hpack::{Decoder, Encoder};
use super::settings::{Announced, Settings, WINDOW_INITIAL, WINDOW_MAX};
use super::stream::{Closed, State, Step, Streams, Waits};
use super::{Message, PREFACE, ResetBy, StreamId};
use crate::event::Time;
use crate::http::h1::{RequestFraming, ResponseFraming};
use crate::http::{Fields, Refusal, RequestHead, ResponseHead};
use crate::limits;

mod blocks;
mod bodies;
mod frames;
mod queries;
mod sending;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Client,
    Server,
}

/// A field block whose end did not come yet.
#[derive(Clone, Copy, Debug)]
struct OpenBlock {
    stream: u32,
    end_stream: bool,
    purpose: Purpose,
    frames: u8,
    bytes: usize,
}

/// What becomes of a field block when it is complete.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Purpose {
    Request,
    Response,
    Trailers,
    /// Nothing: the stream is gone by our doing.
    Ignore,
    /// RST_STREAM.
    Fault(Code, Reason),
}

/// One HTTP/2 connection.
#[derive(Debug)]
pub struct Connection {
    role: Role,
    now: Time,
    failed: Option<Error>,
    /// Octets of the client's preface that came.
    preface: u8,
    settings_came: bool,
    /// When our settings left; NEVER once they are acknowledged.
    settings_sent: Time,
    ping_sent: Time,
    /// The least time that an acknowledgement took.
    round_trip: Duration,
    settings: Settings,
    announced: Announced,
    /// The highest id that the other side used.
    last_remote: u32,
    /// The id of the next stream that we open.
    next_local: u32,
    goaway_sent: Option<u32>,
    goaway_came: Option<u32>,
    reader: Reader,
    decoder: Decoder,
    encoder: Encoder,
    /// What is decoded now, or was and is to be taken.
    block: Option<Box<Block>>,
    open_block: Option<OpenBlock>,
    /// The start of a field that goes on in the next fragment.
    carry: Vec<u8>,
    /// Payload without padding of the DATA frame at hand.
    data_len: u32,
    streams: Streams,
    send: SendWindow,
    /// The connection's window ran empty and has not opened by enough (B12).
    drained: bool,
    receive: ReceiveWindow,
    /// Streams to be asked for DATA again, in turn.
    writable: VecDeque<u32>,
    /// What the heads of all streams count (B05).
    heads_bytes: u32,
    abuse: Abuse,
    output: Vec<u8>,
    /// Replies in the output (B08).
    replies: u32,
}

impl Connection {
    /// The side that is connected to. Its settings are in the output.
    pub fn server(settings: Settings, now: Time) -> Self {
        Self::new(Role::Server, settings, now)
    }

    /// The side that connects. Preface and settings are in the output.
    pub fn client(settings: Settings, now: Time) -> Self {
        Self::new(Role::Client, settings, now)
    }

    fn new(role: Role, settings: Settings, now: Time) -> Self {
        let mut output = Vec::new();
        if role == Role::Client {
            output.extend_from_slice(PREFACE);
        }
        let settings = Settings {
            stream_window: settings.stream_window.min(WINDOW_MAX),
            connection_window: settings.connection_window.clamp(WINDOW_INITIAL, WINDOW_MAX),
            stream_window_max: settings.stream_window_max.min(WINDOW_MAX),
            connection_window_max: settings.connection_window_max.min(WINDOW_MAX),
            ..settings
        };
        settings.put(role == Role::Client, &mut output);
        Self {
            role,
            now,
            failed: None,
            preface: match role {
                Role::Client => PREFACE.len() as u8,
                Role::Server => 0,
            },
            settings_came: false,
            settings_sent: now,
            ping_sent: Time::NEVER,
            round_trip: Duration::MAX,
            settings,
            announced: Announced::INITIAL,
            last_remote: 0,
            next_local: 1,
            goaway_sent: None,
            goaway_came: None,
            reader: Reader::new(),
            decoder: Decoder::new(settings.table_size as usize),
            encoder: Encoder::new(settings.table_size as usize),
            block: None,
            open_block: None,
            carry: Vec::new(),
            data_len: 0,
            streams: Streams::default(),
            send: SendWindow::new(WINDOW_INITIAL),
            drained: false,
            receive: ReceiveWindow::new(settings.connection_window, now),
            writable: VecDeque::new(),
            heads_bytes: 0,
            abuse: Abuse::new(now),
            output,
            replies: 0,
        }
    }

    /// The next message in `bytes` from `at` on; `at` moves behind it. `None` if all bytes are used
    /// up: the next call gets those that follow.
    ///
    /// # Errors
    /// The connection is lost, now and in each later call; GOAWAY is in the output.
    pub fn next(
        &mut self,
        now: Time,
        bytes: &[u8],
        at: &mut usize,
    ) -> Result<Option<Message>, Error> {
        self.now = now;
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.advance(bytes, at)
            .inspect_err(|&error| self.fail(error))
    }

    fn advance(&mut self, bytes: &[u8], at: &mut usize) -> Result<Option<Message>, Error> {
        if !self.match_preface(bytes, at)? {
            return Ok(None);
        }
        while let Some(piece) = self.reader.poll(bytes, at)? {
            let message = match piece {
                Piece::Header(header) => self.frame_begins(header)?,
                Piece::Payload(header, source) => self.payload(header, source, bytes)?,
                Piece::Data {
                    stream,
                    range,
                    padding,
                    last,
                    end,
                } => {
                    self.data_frame_moves(&range, last, end, stream)?;
                    self.data_piece(stream, range, padding, end)?
                }
            };
            if message.is_some() {
                return Ok(message);
            }
        }
        Ok(None)
    }

    /// H01: true once the preface came whole.
    fn match_preface(&mut self, bytes: &[u8], at: &mut usize) -> Result<bool, Error> {
        let rest = &PREFACE[usize::from(self.preface)..];
        let came = &bytes[(*at).min(bytes.len())..];
        let len = rest.len().min(came.len());
        if rest[..len] != came[..len] {
            return Err(Error::protocol(Reason::Preface));
        }
        *at += len;
        self.preface += len as u8;
        Ok(usize::from(self.preface) == PREFACE.len())
    }

    fn fail(&mut self, error: Error) {
        self.failed = Some(error);
        self.put_goaway(self.last_remote, error.code);
    }

    /// Moves the request of the last [`Message::Head`] into `head`, whose memory is used again.
    pub fn take_request(&mut self, head: &mut RequestHead) -> RequestFraming {
        head.clear();
        let block = self.block.as_mut();
        block.map_or_else(RequestFraming::default, |block| block.take_request(head))
    }

    /// Moves the response of the last [`Message::Head`] into `head`, whose memory is used again.
    pub fn take_response(&mut self, head: &mut ResponseHead) -> ResponseFraming {
        head.clear();
        let framing = self.block.as_mut().map(|block| block.take_response(head));
        framing.unwrap_or(ResponseFraming {
            body: crate::http::BodyLength::None,
            keep_alive: true,
        })
    }

    /// Moves the trailers of the last [`Message::Trailers`] into `fields`.
    pub fn take_trailers(&mut self, fields: &mut Fields) {
        fields.clear();
        if let Some(block) = self.block.as_mut() {
            block.take_trailers(fields);
        }
    }

    /// The caller is done with a stream, in whatever state it is: one that is not over is
    /// cancelled. What it did not consume counts no longer.
    pub fn forget(&mut self, stream: StreamId) {
        let Some(found) = self.streams.look(stream.0) else {
            return;
        };
        let (unconsumed, head_bytes) = (found.unconsumed, found.head_bytes);
        let waits = found.waits;
        if !found.state.is_closed() {
            self.reset(stream, Code::CANCEL);
        }
        if waits == Waits::Queue {
            self.writable.retain(|&id| id != stream.0);
        }
        self.heads_bytes -= head_bytes;
        self.streams.remove(stream.0);
        self.credit(unconsumed);
    }

    /// Appends what must leave to `out`, in front of any DATA that is granted later.
    pub fn take_output(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.output);
        self.output.shrink_to(limits::H2_OUTPUT_KEPT);
        self.replies = 0;
    }

    /// A stream that nobody used yet: frames on it make no sense (H03).
    fn is_idle(&self, id: u32) -> bool {
        match self.role {
            Role::Server => id.is_multiple_of(2) || id > self.last_remote,
            Role::Client => id.is_multiple_of(2) || id >= self.next_local,
        }
    }

    /// Opened after we said that we go: ignored (RFC 9113 section 6.8).
    fn is_beyond_goaway(&self, id: u32) -> bool {
        self.role == Role::Server && self.goaway_sent.is_some_and(|last| id > last)
    }

    /// The other side broke a rule on one stream.
    fn stream_fault(
        &mut self,
        id: u32,
        code: Code,
        reason: Reason,
        refusal: Option<Refusal>,
    ) -> Result<Option<Message>, Error> {
        self.abuse.reset(self.now)?;
        self.put_reply(kind::RST_STREAM, 0, id, &code.0.to_be_bytes())?;
        let stream = StreamId(id);
        let Some(found) = self.streams.find(id) else {
            if self.streams.closed(id).is_none() {
                self.streams.remember(id, Closed::ResetLocal);
            }
            return Ok(Some(Message::Rejected {
                stream,
                reason,
                refusal,
            }));
        };
        if found.state.is_closed() {
            return Ok(None);
        }
        found.step(Step::LocalReset);
        Ok(Some(Message::Reset {
            stream,
            code,
            by: ResetBy::Fault(reason, refusal),
        }))
    }

    /// DATA or HEADERS on a stream that is over and not idle.
    fn late_frame(&mut self, id: u32) -> Result<Late, Error> {
        if self.is_beyond_goaway(id) {
            return Ok(Late::Ignored);
        }
        let closed = match self.streams.look(id).map(|stream| stream.state) {
            Some(State::ResetLocal) => Some(Closed::ResetLocal),
            Some(State::ResetRemote) => Some(Closed::ResetRemote),
            Some(_) => Some(Closed::Ended),
            None => self.streams.closed(id),
        };
        match closed {
            // On its way while we reset the stream.
            Some(Closed::ResetLocal) => self.abuse.quiet(self.now).map(|()| Late::Ignored),
            Some(Closed::ResetRemote) => Ok(Late::Faulty),
            Some(Closed::Ended) => Err(CLOSED),
            None => Ok(Late::Unknown),
        }
    }

    fn growth(&self, max: u32) -> Growth {
        Growth {
            now: self.now,
            round_trip: match self.round_trip {
                Duration::MAX => Duration::ZERO,
                known => known,
            },
            max,
        }
    }

    /// A reply that the other side caused; too many that it does not read end the connection.
    fn put_reply(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<(), Error> {
        self.replies += 1;
        if self.replies > limits::H2_OUTBOUND_CONTROL_MAX {
            return Err(Error::calm(Reason::Outbound));
        }
        frame::put(kind, flags, stream, payload, &mut self.output);
        Ok(())
    }

    fn put_goaway(&mut self, last: u32, code: Code) {
        let mut payload = [0; 8];
        payload[..4].copy_from_slice(&last.to_be_bytes());
        payload[4..].copy_from_slice(&code.0.to_be_bytes());
        frame::put(kind::GOAWAY, 0, 0, &payload, &mut self.output);
    }
}

/// H05.
const CLOSED: Error = Error::new(Code::STREAM_CLOSED, Reason::StreamClosed);

/// What a frame on a stream that is over deserves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Late {
    Ignored,
    /// STREAM_CLOSED, on the stream.
    Faulty,
    /// Nobody remembers it.
    Unknown,
}

#[cfg(test)]
mod tests;
