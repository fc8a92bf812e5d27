//! Takes chunked bodies apart in place (RFC 9112 section 7.1; F08-F13). Strict: what the grammar
//! lets a recipient repair is refused.
//!
//! ```text
//! Size ─► SizeEnd ─► Data ─► DataCr ─► DataLf ─► Size …
//!   │ ;      ▲ │ size 0
//!   ▼        │ └─► TrailerStart ─► TrailerEnd ─► Finished
//! Extension ─┘          └────────► Trailers ─────▲
//! ```

use super::body::Decoded;
use super::request_line::is_token_byte;
use super::scan::{HeadLimits, HeadScanner};
use crate::buffer::Buffer;
use crate::http::forwarded::is_forwarding_name;
use crate::http::{Fields, HeaderId, Refusal};
use crate::limits;

/// What the decoder awaits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    Size,
    Extension(Extension),
    SizeEnd,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerEnd,
    Trailers,
    Finished,
}

/// What a chunk extension awaits: `;name`, `;name=token`, `;name="text"`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Extension {
    NameStart,
    Name,
    NameSpace,
    ValueStart,
    Value,
    ValueSpace,
    Quoted,
    Escaped,
    Closed,
}

/// Decodes one chunked body; holds no body bytes.
#[derive(Debug, Default)]
pub struct ChunkedDecoder {
    state: State,
    digits: u8,
    extension_bytes: u16,
    extensions_total: u16,
    /// Size being read, then bytes of the chunk that are still to come.
    remaining: u64,
    /// Sum of all sizes.
    total: u64,
    trailers: Option<Box<TrailerSection>>,
}

const _: () = assert!(limits::CHUNK_EXTENSION_BYTES_MAX < u16::MAX as usize);
const _: () = assert!(
    limits::CHUNK_EXTENSIONS_TOTAL_MAX + limits::CHUNK_EXTENSION_BYTES_MAX < u16::MAX as usize
);

/// Trailer lines as they arrive, then the fields that are left of them.
#[derive(Debug, Default)]
struct TrailerSection {
    lines: Vec<u8>,
    scanner: HeadScanner,
    fields: Fields,
}

impl ChunkedDecoder {
    /// Squeezes the framing out of the window of `buffer`, so that the window is the payload.
    ///
    /// # Errors
    /// F08-F12; the window is unspecified then.
    pub fn decode(&mut self, buffer: &mut Buffer) -> Result<Decoded, Refusal> {
        let window = buffer.window();
        let mut payload = window.start..window.start;
        let mut at = window.start;
        while at < window.end && self.state != State::Finished {
            if self.state == State::Data {
                let len = self.take_data(window.end - at);
                if payload.is_empty() {
                    payload = at..at;
                } else {
                    buffer.copy_within(at..at + len, payload.end);
                }
                payload.end += len;
                at += len;
            } else {
                at += self.take_framing(buffer.block(at..window.end))?;
            }
        }
        buffer.set_window(payload);
        Ok(Decoded {
            finished: self.is_finished(),
            rest: (at < window.end).then_some((at, window.end)),
        })
    }

    /// True when the last byte of the body was read.
    pub fn is_finished(&self) -> bool {
        self.state == State::Finished
    }

    /// The trailers, if any came and were kept; complete once the body is finished.
    pub fn trailers(&self) -> Option<&Fields> {
        let fields = &self.trailers.as_ref()?.fields;
        (!fields.is_empty()).then_some(fields)
    }

    /// How many of `available` bytes belong to the chunk at hand.
    fn take_data(&mut self, available: usize) -> usize {
        let len = self.remaining.min(available as u64);
        self.remaining -= len;
        if self.remaining == 0 {
            self.state = State::DataCr;
        }
        len as usize
    }

    /// Reads framing up to the next payload byte or the end; returns how many bytes it took.
    fn take_framing(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.state {
                State::Data | State::Finished => break,
                State::Trailers => at += self.take_trailers(&bytes[at..])?,
                State::TrailerStart if byte != b'\r' => self.start_trailers(),
                _ => {
                    self.state = self.next(byte)?;
                    at += 1;
                }
            }
        }
        Ok(at)
    }

    fn next(&mut self, byte: u8) -> Result<State, Refusal> {
        match (self.state, byte) {
            (State::Size, _) => self.next_in_size(byte),
            (State::Extension(state), _) => self.next_in_extension(state, byte),
            (State::SizeEnd, b'\n') => self.end_size(),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size),
            (State::TrailerStart, b'\r') => Ok(State::TrailerEnd),
            (State::TrailerEnd, b'\n') => Ok(State::Finished),
            _ => Err(Refusal::Chunk),
        }
    }

    /// F08, F09: `1*16HEXDIG`, and nothing but `;` or CR behind it.
    fn next_in_size(&mut self, byte: u8) -> Result<State, Refusal> {
        if let Some(digit) = (byte as char).to_digit(16) {
            if usize::from(self.digits) == limits::CHUNK_SIZE_DIGITS_MAX {
                return Err(Refusal::Chunk);
            }
            self.digits += 1;
            self.remaining = self.remaining << 4 | u64::from(digit);
            return Ok(State::Size);
        }
        match byte {
            _ if self.digits == 0 => Err(Refusal::Chunk),
            b'\r' => Ok(State::SizeEnd),
            b';' => self.count_extension_byte(Extension::NameStart),
            _ => Err(Refusal::Chunk),
        }
    }

    /// F10. What is accepted is dropped.
    fn next_in_extension(&mut self, state: Extension, byte: u8) -> Result<State, Refusal> {
        use Extension::{
            Closed, Escaped, Name, NameSpace, NameStart, Quoted, Value, ValueSpace, ValueStart,
        };
        let token = is_token_byte(byte);
        let next = match (state, byte) {
            (Name | Value | Closed, b'\r') => return Ok(State::SizeEnd),
            (NameStart | Name, _) if token => Name,
            (ValueStart | Value, _) if token => Value,
            (Name | NameSpace | Value | ValueSpace | Closed, b';') => NameStart,
            (Name | NameSpace, b'=') => ValueStart,
            (Name | NameSpace, b' ' | b'\t') => NameSpace,
            (Value | ValueSpace | Closed, b' ' | b'\t') => ValueSpace,
            (NameStart | ValueStart, b' ' | b'\t') => state,
            (ValueStart, b'"') => Quoted,
            (Quoted, b'"') => Closed,
            (Quoted, b'\\') => Escaped,
            (Quoted | Escaped, b'\t' | b' '..=b'~' | 0x80..) => Quoted,
            _ => return Err(Refusal::ChunkExtension),
        };
        self.count_extension_byte(next)
    }

    fn count_extension_byte(&mut self, next: Extension) -> Result<State, Refusal> {
        self.extension_bytes += 1;
        self.extensions_total += 1;
        if usize::from(self.extension_bytes) > limits::CHUNK_EXTENSION_BYTES_MAX
            || usize::from(self.extensions_total) > limits::CHUNK_EXTENSIONS_TOTAL_MAX
        {
            return Err(Refusal::ChunkExtension);
        }
        Ok(State::Extension(next))
    }

    /// The size line is complete: data follow, or the end.
    fn end_size(&mut self) -> Result<State, Refusal> {
        self.digits = 0;
        self.extension_bytes = 0;
        let total = self.total.checked_add(self.remaining);
        self.total = total
            .filter(|&total| total <= i64::MAX as u64)
            .ok_or(Refusal::Chunk)?;
        Ok(match self.remaining {
            0 => State::TrailerStart,
            _ => State::Data,
        })
    }

    #[cold]
    fn start_trailers(&mut self) {
        self.trailers = Some(Box::new(TrailerSection {
            lines: Vec::new(),
            scanner: HeadScanner::trailers(),
            fields: Fields::default(),
        }));
        self.state = State::Trailers;
    }

    fn take_trailers(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let section = self.trailers.as_mut().ok_or(Refusal::Trailers)?;
        let (taken, complete) = section.take(bytes)?;
        if complete {
            self.state = State::Finished;
        }
        Ok(taken)
    }
}

impl TrailerSection {
    /// F12. Returns how many bytes were taken and whether the section is complete.
    fn take(&mut self, bytes: &[u8]) -> Result<(usize, bool), Refusal> {
        const LIMITS: HeadLimits = HeadLimits {
            bytes_max: limits::TRAILER_BYTES_MAX,
            fields_max: limits::TRAILER_FIELDS_MAX,
        };
        let before = self.lines.len();
        let room = limits::TRAILER_BYTES_MAX - before;
        let taken = bytes.len().min(room);
        self.lines.extend_from_slice(&bytes[..taken]);
        match self.scanner.scan(&self.lines, &LIMITS) {
            Err(_) => Err(Refusal::Trailers),
            Ok(None) => Ok((taken, false)),
            Ok(Some(len)) => {
                self.lines.truncate(len);
                self.read_fields()?;
                Ok((len - before, true))
            }
        }
    }

    fn read_fields(&mut self) -> Result<(), Refusal> {
        let lines = std::mem::take(&mut self.lines);
        let mut room = [httparse::EMPTY_HEADER; limits::TRAILER_FIELDS_MAX];
        match httparse::parse_headers(&lines, &mut room) {
            Ok(httparse::Status::Complete((len, parsed))) if len == lines.len() => {
                for header in parsed {
                    self.fields.push(header.name.as_bytes(), header.value);
                }
            }
            _ => return Err(Refusal::Trailers),
        }
        self.fields
            .remove_if(|id, name, _| is_forbidden_trailer(id, name));
        Ok(())
    }
}

/// F13, RFC 9110 section 6.5.1: framing, routing, identity and what describes the content never
/// come late.
pub(crate) fn is_forbidden_trailer(id: HeaderId, name: &[u8]) -> bool {
    matches!(
        id,
        HeaderId::Host
            | HeaderId::Connection
            | HeaderId::KeepAlive
            | HeaderId::ProxyConnection
            | HeaderId::TransferEncoding
            | HeaderId::Te
            | HeaderId::Trailer
            | HeaderId::Upgrade
            | HeaderId::Http2Settings
            | HeaderId::Expect
            | HeaderId::Cookie
            | HeaderId::SetCookie
            | HeaderId::Authorization
            | HeaderId::ProxyAuthorization
            | HeaderId::ProxyAuthenticate
            | HeaderId::Via
            | HeaderId::XRealIp
            | HeaderId::XRequestId
    ) || name.starts_with(b"content-")
        || is_forwarding_name(name)
}
