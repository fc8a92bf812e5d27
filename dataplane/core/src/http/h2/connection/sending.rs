//! What we send: heads, DATA, trailers, resets, and the end of the connection.

use super::frames::may_resume;
use super::{Connection, Role};
use crate::event::Time;
use crate::http::h2::error::{Code, Error, Reason};
use crate::http::h2::frame::{self, FrameHeader, PAYLOAD_MAX, flag, kind};
use crate::http::h2::settings::WINDOW_MAX;
use crate::http::h2::stream::{Step, Stream, Waits};
use crate::http::h2::{DataGrant, StreamId, encode};
use crate::http::{BodyLength, Fields, Method, RequestHead, ResponseHead};

impl Connection {
    /// Opens a stream of ours; `None` if the other side, or we, allow no more. It counts until it
    /// is forgotten.
    pub fn open(&mut self) -> Option<StreamId> {
        if !self.can_open() {
            return None;
        }
        let id = self.next_local;
        self.next_local += 2;
        let stream = self.new_stream(id);
        self.streams.add(stream);
        self.abuse.stream_opened();
        Some(StreamId(id))
    }

    /// Can another stream be opened now?
    pub fn can_open(&self) -> bool {
        let streams_max = self.announced.streams_max.min(self.settings.streams_max);
        self.role == Role::Client
            && self.failed.is_none()
            && self.goaway_came.is_none()
            && self.goaway_sent.is_none()
            && self.next_local <= WINDOW_MAX
            && self.streams.len() < streams_max as usize
    }

    /// Sends a request on a stream that was just opened. False, and nothing sent, if the stream is
    /// over or has its head.
    pub fn send_request(&mut self, stream: StreamId, head: &RequestHead, body: BodyLength) -> bool {
        let end = !body.has_body() && head.method != Method::Connect;
        let Some(found) = self.streams.find(stream.0).filter(awaits_head) else {
            return false;
        };
        found.head_left = true;
        found.is_head = head.method == Method::Head;
        found.is_connect = head.method == Method::Connect;
        if end {
            found.step(Step::LocalEnd);
        }
        let frame = encode::Frame {
            stream: stream.0,
            end_stream: end,
            payload_max: self.announced.payload_max.min(PAYLOAD_MAX),
            out: &mut self.output,
        };
        encode::put_request(head, body, &mut self.encoder, frame);
        true
    }

    /// Sends a response. An interim one leaves the stream waiting for another; any other ends the
    /// stream if `body` has no bytes. False, and nothing sent, if the stream is over or has its
    /// head.
    pub fn send_response(
        &mut self,
        stream: StreamId,
        head: &ResponseHead,
        body: BodyLength,
    ) -> bool {
        debug_assert!(head.status != 101, "D12: there is no 101 in HTTP/2");
        let interim = head.status < 200;
        let end = !interim && !body.has_body();
        let Some(found) = self.streams.find(stream.0).filter(awaits_head) else {
            return false;
        };
        found.head_left = !interim;
        if end {
            found.step(Step::LocalEnd);
        }
        let frame = encode::Frame {
            stream: stream.0,
            end_stream: end,
            payload_max: self.announced.payload_max.min(PAYLOAD_MAX),
            out: &mut self.output,
        };
        encode::put_response(head, body, &mut self.encoder, frame);
        true
    }

    /// Leave to send one DATA frame of up to `want` bytes; with `end` they are the last, and the
    /// frame says so if all of them may go. `None` if a window is shut or the stream is over: then
    /// a message or [`Connection::poll_writable`] says when to ask again. What is granted must be
    /// sent, behind the output that was there before.
    pub fn data(&mut self, stream: StreamId, want: u32, end: bool) -> Option<DataGrant> {
        let initial = self.announced.stream_window;
        let payload_max = self.announced.payload_max.min(PAYLOAD_MAX);
        let found = self.streams.find(stream.0)?;
        if !found.state.sends() || !found.head_left || (want == 0 && !end) {
            return None;
        }
        if want > 0 && !window_suffices(&found.send, found.drained, want, initial) {
            found.wait(Waits::Stream, self.now);
            return None;
        }
        if want > 0 && !window_suffices(&self.send, self.drained, want, u32::MAX) {
            if found.waits != Waits::Queue {
                self.writable.push_back(stream.0);
            }
            found.wait(Waits::Queue, self.now);
            return None;
        }
        let window = found.send.available().min(self.send.available());
        let len = want.min(window).min(payload_max);
        found.send.take(len);
        self.send.take(len);
        found.drained = found.send.available() == 0;
        self.drained = self.send.available() == 0;
        found.waits_since = Time::NEVER;
        if found.waits == Waits::Stream {
            found.waits = Waits::No;
        }
        let ends = end && len == want;
        if ends {
            found.step(Step::LocalEnd);
        }
        self.abuse.data_sent();
        let header = FrameHeader {
            len,
            kind: kind::DATA,
            flags: if ends { flag::END_STREAM } else { 0 },
            stream: stream.0,
        };
        Some(DataGrant {
            len,
            header: header.octets(),
        })
    }

    /// Ends a stream with trailers; without any, with an empty DATA frame. False, and nothing sent,
    /// if the stream is over.
    pub fn send_trailers(&mut self, stream: StreamId, fields: &Fields) -> bool {
        let found = self.streams.find(stream.0);
        let Some(found) = found.filter(|found| found.state.sends() && found.head_left) else {
            return false;
        };
        found.step(Step::LocalEnd);
        if fields.is_empty() {
            frame::put(
                kind::DATA,
                flag::END_STREAM,
                stream.0,
                &[],
                &mut self.output,
            );
            return true;
        }
        let frame = encode::Frame {
            stream: stream.0,
            end_stream: true,
            payload_max: self.announced.payload_max.min(PAYLOAD_MAX),
            out: &mut self.output,
        };
        encode::put_trailers(fields, &mut self.encoder, frame);
        true
    }

    /// Ends a stream at once; one that is over stays as it is. The caller gets no message of it.
    pub fn reset(&mut self, stream: StreamId, code: Code) {
        let Some(found) = self.streams.find(stream.0) else {
            return;
        };
        if found.state.is_closed() {
            return;
        }
        found.step(Step::LocalReset);
        // A stream that never had a head is idle to the other side.
        if self.role == Role::Server || found.head_left {
            let payload = code.0.to_be_bytes();
            frame::put(kind::RST_STREAM, 0, stream.0, &payload, &mut self.output);
        }
    }

    /// Tells the other side to open no more streams, without refusing those that are on their way
    /// (RFC 9113 section 6.8). [`Connection::goaway`] follows a round trip later.
    pub fn shut_down(&mut self) {
        if self.goaway_sent.is_none() {
            self.goaway_sent = Some(WINDOW_MAX);
            self.put_goaway(WINDOW_MAX, Code::NO_ERROR);
        }
    }

    /// Serves the streams that came and no more; with another code than NO_ERROR the connection is
    /// lost.
    pub fn goaway(&mut self, code: Code) {
        if self.failed.is_some() {
            return;
        }
        if code != Code::NO_ERROR {
            return self.fail(Error::new(code, Reason::Local));
        }
        if self.goaway_sent != Some(self.last_remote) {
            self.goaway_sent = Some(self.last_remote);
            self.put_goaway(self.last_remote, code);
        }
    }

    /// True when no stream can be opened any more by whoever opens them here.
    pub fn is_going_away(&self) -> bool {
        self.goaway_sent.is_some() || self.goaway_came.is_some() || self.failed.is_some()
    }

    /// Asks for [`Message::Pong`](super::Message::Pong); false if one is awaited already.
    pub fn ping(&mut self, now: Time) -> bool {
        if self.ping_sent != Time::NEVER {
            return false;
        }
        self.ping_sent = now;
        frame::put(kind::PING, 0, 0, &now.0.to_be_bytes(), &mut self.output);
        true
    }

    /// Since when a [`Message::Pong`](super::Message::Pong) is awaited.
    pub fn ping_sent_at(&self) -> Option<Time> {
        (self.ping_sent != Time::NEVER).then_some(self.ping_sent)
    }
}

fn awaits_head(stream: &&mut Stream) -> bool {
    stream.state.sends() && !stream.head_left
}

impl Stream {
    fn wait(&mut self, waits: Waits, now: Time) {
        self.waits = waits;
        if self.waits_since == Time::NEVER {
            self.waits_since = now;
        }
    }
}

/// B12: once a window ran empty, it is not used up in crumbs. A rest that is all that is wanted
/// may go.
fn window_suffices(
    window: &crate::http::h2::flow::SendWindow,
    drained: bool,
    want: u32,
    initial: u32,
) -> bool {
    let available = window.available();
    match drained {
        true => may_resume(available, initial) || (available > 0 && available >= want),
        false => available > 0,
    }
}
