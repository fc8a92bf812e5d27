//! Frames (RFC 9113 sections 4 and 6): where one begins and ends in the received bytes, what its
//! payload says, and how ours are written. Payload of DATA is not gathered; any other frame is,
//! if it does not lie in one buffer as a whole.

use std::ops::Range;

use super::error::{Code, Error, Reason};

/// Octets of a frame header.
pub const HEADER_LEN: usize = 9;
/// The smallest SETTINGS_MAX_FRAME_SIZE, and what we announce.
pub const PAYLOAD_MAX: u32 = 16_384;

/// Types of frames.
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PUSH_PROMISE: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

/// Flags of frames; ACK shares its bit with END_STREAM.
pub(crate) mod flag {
    pub(crate) const END_STREAM: u8 = 0x1;
    pub(crate) const ACK: u8 = 0x1;
    pub(crate) const END_HEADERS: u8 = 0x4;
    pub(crate) const PADDED: u8 = 0x8;
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// The nine octets in front of a payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FrameHeader {
    pub(crate) len: u32,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

impl FrameHeader {
    fn parse(octets: [u8; HEADER_LEN]) -> Self {
        let [a, b, c, kind, flags, stream @ ..] = octets;
        Self {
            len: u32::from_be_bytes([0, a, b, c]),
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
        }
    }

    pub(crate) fn octets(self) -> [u8; HEADER_LEN] {
        let [_, a, b, c] = self.len.to_be_bytes();
        let [d, e, f, g] = self.stream.to_be_bytes();
        [a, b, c, self.kind, self.flags, d, e, f, g]
    }

    pub(crate) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// What the reader found next.
#[derive(Debug)]
pub(crate) enum Piece {
    /// A header; one of [`Reader::gather`], [`Reader::skip`] and [`Reader::data`] must follow.
    Header(FrameHeader),
    /// A payload: this range of the received bytes, or gathered.
    Payload(FrameHeader, Source),
    /// Some payload of DATA; `padding` octets lay around it.
    Data {
        stream: u32,
        range: Range<usize>,
        padding: u32,
        /// The frame is over.
        last: bool,
        /// The frame is over and has END_STREAM.
        end: bool,
    },
}

/// Where a payload is.
#[derive(Debug)]
pub(crate) enum Source {
    Received(Range<usize>),
    Gathered,
}

#[derive(Clone, Copy, Debug)]
enum Awaits {
    Header,
    Payload(FrameHeader),
    Skip(u32),
    PadLength(FrameHeader),
    Data {
        header: FrameHeader,
        data: u32,
        padding: u32,
    },
}

/// Finds frames in bytes that arrive in any pieces.
#[derive(Debug)]
pub(crate) struct Reader {
    awaits: Awaits,
    header: [u8; HEADER_LEN],
    held: u8,
    gathered: Vec<u8>,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self {
            awaits: Awaits::Header,
            header: [0; HEADER_LEN],
            held: 0,
            gathered: Vec::new(),
        }
    }

    /// The next piece at `at`, which moves behind it; `None` if `bytes` are used up.
    ///
    /// # Errors
    /// H06: padding that is as long as the payload.
    pub(crate) fn poll(&mut self, bytes: &[u8], at: &mut usize) -> Result<Option<Piece>, Error> {
        loop {
            match self.awaits {
                Awaits::Header => return Ok(self.poll_header(bytes, at)),
                Awaits::Payload(header) => return Ok(self.poll_payload(header, bytes, at)),
                Awaits::Skip(len) => {
                    let taken = take(bytes, at, len).len() as u32;
                    if taken < len {
                        self.awaits = Awaits::Skip(len - taken);
                        return Ok(None);
                    }
                    self.awaits = Awaits::Header;
                }
                Awaits::PadLength(header) => {
                    let Some(&padding) = bytes.get(*at) else {
                        return Ok(None);
                    };
                    *at += 1;
                    return self.pad_length(header, padding.into(), *at).map(Some);
                }
                Awaits::Data {
                    header,
                    data,
                    padding,
                } => return Ok(self.poll_data(header, data, padding, bytes, at)),
            }
        }
    }

    fn poll_header(&mut self, bytes: &[u8], at: &mut usize) -> Option<Piece> {
        let held = usize::from(self.held);
        let range = take(bytes, at, (HEADER_LEN - held) as u32);
        let end = held + range.len();
        self.header[held..end].copy_from_slice(&bytes[range]);
        self.held = end as u8;
        if end < HEADER_LEN {
            return None;
        }
        self.held = 0;
        Some(Piece::Header(FrameHeader::parse(self.header)))
    }

    /// Wants the payload of this frame as a whole.
    pub(crate) fn gather(&mut self, header: FrameHeader) {
        self.gathered.clear();
        self.awaits = Awaits::Payload(header);
    }

    /// Wants nothing of this frame.
    pub(crate) fn skip(&mut self, header: FrameHeader) {
        self.awaits = Awaits::Skip(header.len);
    }

    /// Wants the payload of this DATA frame in pieces.
    pub(crate) fn data(&mut self, header: FrameHeader) {
        self.awaits = match header.has(flag::PADDED) {
            true => Awaits::PadLength(header),
            false => Awaits::Data {
                header,
                data: header.len,
                padding: 0,
            },
        };
    }

    fn poll_payload(&mut self, header: FrameHeader, bytes: &[u8], at: &mut usize) -> Option<Piece> {
        let range = take(bytes, at, header.len - self.gathered.len() as u32);
        let source = if range.len() == header.len as usize {
            Source::Received(range)
        } else {
            self.gathered.extend_from_slice(&bytes[range]);
            if self.gathered.len() < header.len as usize {
                return None;
            }
            Source::Gathered
        };
        self.awaits = Awaits::Header;
        Some(Piece::Payload(header, source))
    }

    /// H06. The octet itself is reported as padding, for flow control counts it.
    fn pad_length(&mut self, header: FrameHeader, padding: u32, at: usize) -> Result<Piece, Error> {
        if padding >= header.len {
            return Err(Error::protocol(Reason::Padding));
        }
        let data = header.len - 1 - padding;
        let last = data == 0 && padding == 0;
        self.awaits = match last {
            true => Awaits::Header,
            false => Awaits::Data {
                header,
                data,
                padding,
            },
        };
        Ok(Piece::Data {
            stream: header.stream,
            range: at..at,
            padding: 1,
            last,
            end: last && header.has(flag::END_STREAM),
        })
    }

    fn poll_data(
        &mut self,
        header: FrameHeader,
        data: u32,
        padding: u32,
        bytes: &[u8],
        at: &mut usize,
    ) -> Option<Piece> {
        let range = take(bytes, at, data);
        let rest = data - range.len() as u32;
        let skipped = match rest {
            0 => take(bytes, at, padding).len() as u32,
            _ => 0,
        };
        let last = rest == 0 && skipped == padding;
        if !last && range.is_empty() && skipped == 0 {
            return None;
        }
        self.awaits = match last {
            true => Awaits::Header,
            false => Awaits::Data {
                header,
                data: rest,
                padding: padding - skipped,
            },
        };
        Some(Piece::Data {
            stream: header.stream,
            range,
            padding: skipped,
            last,
            end: last && header.has(flag::END_STREAM),
        })
    }

    /// Lends what was gathered; [`Reader::give_gathered`] takes the memory back.
    pub(crate) fn take_gathered(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.gathered)
    }

    pub(crate) fn give_gathered(&mut self, mut memory: Vec<u8>) {
        memory.clear();
        self.gathered = memory;
    }

    /// Gives back memory that no frame is using.
    pub(crate) fn shrink(&mut self) {
        if !matches!(self.awaits, Awaits::Payload(_)) {
            self.gathered = Vec::new();
        }
    }

    pub(crate) fn memory(&self) -> usize {
        self.gathered.capacity()
    }
}

/// Up to `len` bytes at `at`.
fn take(bytes: &[u8], at: &mut usize, len: u32) -> Range<usize> {
    let end = bytes.len().min(*at + len as usize);
    let range = (*at).min(end)..end;
    *at = range.end;
    range
}

/// The fragment of a field block in a HEADERS frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Headers<'a> {
    pub(crate) fragment: &'a [u8],
    /// H09: the stream says that it depends on itself.
    pub(crate) depends_on_itself: bool,
}

/// Takes padding and priority off the payload of HEADERS.
pub(crate) fn headers(header: FrameHeader, payload: &[u8]) -> Result<Headers<'_>, Error> {
    let mut fragment = payload;
    if header.has(flag::PADDED) {
        let (&padding, rest) = payload.split_first().ok_or(SIZE)?;
        let kept = rest.len().checked_sub(padding.into());
        fragment = &rest[..kept.ok_or(Error::protocol(Reason::Padding))?];
    }
    let mut depends_on_itself = false;
    if header.has(flag::PRIORITY) {
        let (priority, rest) = fragment.split_first_chunk::<5>().ok_or(SIZE)?;
        depends_on_itself = depends_on(priority) == header.stream;
        fragment = rest;
    }
    Ok(Headers {
        fragment,
        depends_on_itself,
    })
}

/// The stream that a priority names.
pub(crate) fn depends_on(priority: &[u8; 5]) -> u32 {
    let [a, b, c, d, _] = *priority;
    u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff
}

const SIZE: Error = Error::new(Code::FRAME_SIZE_ERROR, Reason::FrameSize);

/// A payload that is exactly these octets (H01).
pub(crate) fn exact<const LEN: usize>(payload: &[u8]) -> Result<[u8; LEN], Error> {
    payload.try_into().map_err(|_| SIZE)
}

/// The two numbers at the start of GOAWAY (H01: at least eight octets).
pub(crate) fn goaway(payload: &[u8]) -> Result<(u32, Code), Error> {
    let ([a, b, c, d, code @ ..], _) = payload.split_first_chunk::<8>().ok_or(SIZE)?;
    let last = u32::from_be_bytes([*a, *b, *c, *d]) & 0x7fff_ffff;
    Ok((last, Code(u32::from_be_bytes(*code))))
}

/// Appends a frame with a small payload.
pub(crate) fn put(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    let header = FrameHeader {
        len: payload.len() as u32,
        kind,
        flags,
        stream,
    };
    out.extend_from_slice(&header.octets());
    out.extend_from_slice(payload);
}

/// Puts frame headers into a field block that stands in `out` from `start` on, behind nine octets
/// that are kept for the first: HEADERS, and CONTINUATION for what a frame does not hold.
pub(crate) fn frame_block(
    stream: u32,
    end_stream: bool,
    start: usize,
    max: u32,
    out: &mut Vec<u8>,
) {
    let len = out.len() - start - HEADER_LEN;
    let max = max as usize;
    let stream_flag = if end_stream { flag::END_STREAM } else { 0 };
    let end_flag = |last| if last { flag::END_HEADERS } else { 0 };
    let first = FrameHeader {
        len: len.min(max) as u32,
        kind: kind::HEADERS,
        flags: stream_flag | end_flag(len <= max),
        stream,
    };
    out[start..start + HEADER_LEN].copy_from_slice(&first.octets());
    if len <= max {
        return;
    }
    let behind = out.split_off(start + HEADER_LEN + max);
    let count = behind.len().div_ceil(max);
    for (index, fragment) in behind.chunks(max).enumerate() {
        put(
            kind::CONTINUATION,
            end_flag(index + 1 == count),
            stream,
            fragment,
            out,
        );
    }
}

#[cfg(test)]
mod tests;
