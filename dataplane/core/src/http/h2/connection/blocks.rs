//! Field blocks: which message part they are, fragment by fragment, and what becomes of them.

use super::frames::compression;
use super::{Connection, Late, OpenBlock, Purpose, Role};
use crate::http::h2::error::{Code, Error, Reason};
use crate::http::h2::flow::{ReceiveWindow, SendWindow};
use crate::http::h2::frame::{self, FrameHeader, flag};
use crate::http::h2::head::{Conclusion, Kind, is_answerable};
use crate::http::h2::hpack;
use crate::http::h2::settings::WINDOW_INITIAL;
use crate::http::h2::stream::{Step, Stream};
use crate::http::h2::{Message, StreamId};
use crate::http::{Method, Refusal};
use crate::limits;

const MALFORMED: Purpose = Purpose::Fault(Code::PROTOCOL_ERROR, Reason::Malformed);

impl Connection {
    pub(super) fn headers(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
    ) -> Result<Option<Message>, Error> {
        let parts = frame::headers(header, payload)?;
        let mut purpose = self.purpose(header)?;
        if parts.depends_on_itself {
            purpose = Purpose::Fault(Code::PROTOCOL_ERROR, Reason::Priority);
        }
        self.open_block = Some(OpenBlock {
            stream: header.stream,
            end_stream: header.has(flag::END_STREAM),
            purpose,
            frames: 0,
            bytes: 0,
        });
        self.decoder.begin();
        let kind = match purpose {
            Purpose::Request => Kind::Request,
            Purpose::Response => Kind::Response,
            Purpose::Trailers => Kind::Trailers,
            Purpose::Ignore | Purpose::Fault(..) => Kind::Nothing,
        };
        let block = self.block.get_or_insert_default();
        block.begin(kind, &self.settings);
        self.fragment(parts.fragment, header.has(flag::END_HEADERS))
    }

    pub(super) fn continuation(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
    ) -> Result<Option<Message>, Error> {
        self.fragment(payload, header.has(flag::END_HEADERS))
    }

    /// B04, B10: decoded as it arrives; bounded in frames and bytes.
    fn fragment(&mut self, fragment: &[u8], last: bool) -> Result<Option<Message>, Error> {
        if fragment.is_empty() && !last {
            self.abuse.empty(self.now)?;
        }
        let Some(open) = self.open_block.as_mut() else {
            return Err(Error::protocol(Reason::HeaderBlock));
        };
        open.frames += 1;
        open.bytes += fragment.len();
        if open.frames > limits::H2_BLOCK_FRAMES_MAX || open.bytes > limits::H2_BLOCK_BYTES_MAX {
            return Err(Error::calm(Reason::HeaderFlood));
        }
        self.decode(fragment).map_err(compression)?;
        if !last {
            return Ok(None);
        }
        if !self.carry.is_empty() {
            return Err(compression(hpack::Error::Truncated));
        }
        self.conclude()
    }

    /// What is left of a field at the end of a fragment is carried to the next.
    fn decode(&mut self, fragment: &[u8]) -> Result<(), hpack::Error> {
        let block = self.block.get_or_insert_default();
        if self.carry.is_empty() {
            let taken = self.decoder.decode(fragment, &mut **block)?;
            self.carry.extend_from_slice(&fragment[taken..]);
            return Ok(());
        }
        self.carry.extend_from_slice(fragment);
        let taken = self.decoder.decode(&self.carry, &mut **block)?;
        self.carry.drain(..taken);
        Ok(())
    }

    fn conclude(&mut self) -> Result<Option<Message>, Error> {
        let Some(open) = self.open_block.take() else {
            return Ok(None);
        };
        match open.purpose {
            Purpose::Ignore => Ok(None),
            Purpose::Fault(code, reason) => self.stream_fault(open.stream, code, reason, None),
            Purpose::Request => self.request_came(open),
            Purpose::Response => self.response_came(open),
            Purpose::Trailers => self.trailers_came(open),
        }
    }

    /// What a field block on this stream can be (H03, H05, H11, H12).
    fn purpose(&mut self, header: FrameHeader) -> Result<Purpose, Error> {
        let id = header.stream;
        if self.role == Role::Server && id % 2 == 1 && id > self.last_remote {
            return Ok(self.purpose_of_new(id));
        }
        if self.is_idle(id) {
            return Err(Error::protocol(Reason::StreamId));
        }
        let Some(stream) = self
            .streams
            .find(id)
            .filter(|found| !found.state.is_closed())
        else {
            return match self.late_frame(id)? {
                Late::Ignored => Ok(Purpose::Ignore),
                Late::Faulty => Ok(Purpose::Fault(Code::STREAM_CLOSED, Reason::StreamClosed)),
                // An id that was skipped, or used long ago (RFC 9113 section 5.1.1).
                Late::Unknown => Err(Error::protocol(Reason::StreamId)),
            };
        };
        let end = header.has(flag::END_STREAM);
        Ok(match (stream.state.receives(), stream.head_came, end) {
            (false, ..) => Purpose::Fault(Code::STREAM_CLOSED, Reason::StreamClosed),
            (_, false, _) => Purpose::Response,
            (_, true, true) => Purpose::Trailers,
            (_, true, false) => MALFORMED,
        })
    }

    /// B03: beyond the limit nothing is done for a stream.
    fn purpose_of_new(&mut self, id: u32) -> Purpose {
        self.last_remote = id;
        if self.is_beyond_goaway(id) {
            return Purpose::Ignore;
        }
        if self.streams.len() >= self.settings.streams_max as usize {
            return Purpose::Fault(Code::REFUSED_STREAM, Reason::Refused);
        }
        Purpose::Request
    }

    fn request_came(&mut self, open: OpenBlock) -> Result<Option<Message>, Error> {
        let block = self.block.get_or_insert_default();
        let bytes = block.bytes() as u32;
        let concluded = block.conclude_request(open.end_stream);
        let refusal = match concluded {
            Ok(_) => None,
            Err(refusal) if is_answerable(refusal) => Some(refusal),
            Err(refusal) => return self.malformed(open.stream, refusal),
        };
        // B05: one budget for the heads of all streams.
        let kept = if refusal.is_some() { 0 } else { bytes };
        if self.heads_bytes + kept > limits::H2_HEADS_BYTES_MAX {
            let code = Code::REFUSED_STREAM;
            return self.stream_fault(open.stream, code, Reason::Refused, None);
        }
        self.heads_bytes += kept;
        let mut stream = self.new_stream(open.stream);
        stream.head_came = true;
        stream.head_bytes = kept;
        if open.end_stream {
            stream.step(Step::RemoteEnd);
        }
        if let Ok(conclusion) = concluded {
            note_length(&mut stream, conclusion);
        }
        self.streams.add(stream);
        self.abuse.stream_opened();
        let (stream, end) = (StreamId(open.stream), open.end_stream);
        Ok(Some(match refusal {
            Some(refusal) => Message::Refused {
                stream,
                refusal,
                end,
            },
            None => Message::Head { stream, end },
        }))
    }

    pub(super) fn new_stream(&self, id: u32) -> Stream {
        let unacknowledged = self.settings_unacknowledged_since().is_some();
        let size = match self.settings.stream_window {
            size if unacknowledged => size.max(WINDOW_INITIAL),
            size => size,
        };
        let receive = ReceiveWindow::new(size, self.now);
        Stream::new(id, SendWindow::new(self.announced.stream_window), receive)
    }

    fn response_came(&mut self, open: OpenBlock) -> Result<Option<Message>, Error> {
        let Some(stream) = self.streams.find(open.stream) else {
            return Ok(None);
        };
        let method = match (stream.is_head, stream.is_connect) {
            (true, _) => Method::Head,
            (_, true) => Method::Connect,
            _ => Method::Get,
        };
        let block = self.block.get_or_insert_default();
        let conclusion = match block.conclude_response(method, open.end_stream) {
            Ok(conclusion) => conclusion,
            Err(refusal) => return self.malformed(open.stream, refusal),
        };
        let bytes = block.bytes() as u32;
        if conclusion.status >= 200 {
            if self.heads_bytes + bytes > limits::H2_HEADS_BYTES_MAX {
                let code = Code::ENHANCE_YOUR_CALM;
                return self.stream_fault(open.stream, code, Reason::Refused, None);
            }
            self.heads_bytes += bytes;
            stream.head_bytes = bytes;
            stream.head_came = true;
            note_length(stream, conclusion);
            self.abuse.progress();
        } else {
            self.abuse.quiet(self.now)?;
        }
        if open.end_stream {
            stream.step(Step::RemoteEnd);
        }
        Ok(Some(Message::Head {
            stream: StreamId(open.stream),
            end: open.end_stream,
        }))
    }

    fn trailers_came(&mut self, open: OpenBlock) -> Result<Option<Message>, Error> {
        let block = self.block.get_or_insert_default();
        if let Err(refusal) = block.conclude_trailers() {
            return self.malformed(open.stream, refusal);
        }
        let Some(stream) = self.streams.find(open.stream) else {
            return Ok(None);
        };
        if stream.body_left.is_some_and(|left| left > 0) {
            return self.malformed(open.stream, Refusal::ContentLength);
        }
        stream.step(Step::RemoteEnd);
        self.abuse.progress();
        Ok(Some(Message::Trailers {
            stream: StreamId(open.stream),
        }))
    }

    /// H11.
    pub(super) fn malformed(
        &mut self,
        id: u32,
        refusal: Refusal,
    ) -> Result<Option<Message>, Error> {
        let code = Code::PROTOCOL_ERROR;
        self.stream_fault(id, code, Reason::Malformed, Some(refusal))
    }
}

/// D07: DATA is held against it.
fn note_length(stream: &mut Stream, conclusion: Conclusion) {
    stream.body_left = conclusion.length;
}
