//! What will be said: the plan of every request and its response, and the bytes of both.
//!
//! A plan is made before the run, so whoever receives a message knows what it must be, byte for
//! byte. Every head carries `x-sim-id`; every body is the pattern of that id.

pub mod reader;
mod render;

pub use render::{request_bytes, response_bytes};

/// Name and value of a field.
pub type FieldPair = (String, String);

/// Number of a request; 0 belongs to vandals and must never reach an origin.
pub type RequestId = u32;

/// How a body is delimited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// There is none, and the head does not say so.
    None,
    /// Content-Length.
    Length,
    /// Chunked.
    Chunked,
    /// Until the connection ends (responses).
    ToClose,
}

/// A body.
#[derive(Clone, Debug)]
pub struct BodyPlan {
    /// How it is delimited.
    pub framing: Framing,
    /// Its bytes.
    pub len: u64,
    /// Largest chunk.
    pub chunk_max: u64,
    /// Chunks carry extensions.
    pub extensions: bool,
    /// Trailers; only if chunked.
    pub trailers: Vec<FieldPair>,
}

impl BodyPlan {
    /// No body.
    pub fn none() -> Self {
        Self {
            framing: Framing::None,
            len: 0,
            chunk_max: 1,
            extensions: false,
            trailers: Vec::new(),
        }
    }
}

/// One request and what the origin makes of it.
#[derive(Clone, Debug)]
pub struct RequestPlan {
    /// Its number.
    pub id: RequestId,
    /// Method.
    pub method: &'static str,
    /// HTTP/1.0.
    pub http10: bool,
    /// The client asks to keep the connection.
    pub keep_alive: bool,
    /// Path and query.
    pub target: String,
    /// Authority; the target is sent in absolute form if `absolute`.
    pub host: String,
    /// Absolute form.
    pub absolute: bool,
    /// End-to-end fields, which must arrive.
    pub fields: Vec<FieldPair>,
    /// Fields named in Connection, which must not arrive.
    pub hop_fields: Vec<FieldPair>,
    /// Body.
    pub body: BodyPlan,
    /// `Expect: 100-continue`.
    pub expect: bool,
    /// Wants a tunnel.
    pub tunnel: Option<TunnelPlan>,
    /// What is wrong with its chunked body.
    pub spoil: Option<Spoil>,
    /// The route answers by itself, with [`DIRECT_BODY`].
    pub direct: bool,
    /// What the origin answers.
    pub response: ResponsePlan,
}

/// A fault in a chunked body, behind a head that is in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spoil {
    /// A chunk size that is no number (F08).
    Size,
    /// A chunk line that ends in a bare LF (F11).
    LineFeed,
    /// Bytes between a chunk and its CRLF (F11).
    Overlong,
    /// A trailer with a space before its colon (F12).
    Trailer,
    /// A chunk extension of 300 bytes (F10).
    Extension,
}

impl Spoil {
    /// All of them.
    pub const ALL: [Spoil; 5] = [
        Spoil::Size,
        Spoil::LineFeed,
        Spoil::Overlong,
        Spoil::Trailer,
        Spoil::Extension,
    ];
}

/// Body of the direct response.
pub const DIRECT_BODY: &[u8] = b"answered by the route itself";

/// Bytes both ways after a 101.
#[derive(Clone, Copy, Debug)]
pub struct TunnelPlan {
    /// Bytes of the client.
    pub up: u64,
    /// Bytes of the origin.
    pub down: u64,
    /// Bytes that the client sends right behind the head, before any answer.
    pub eager: u64,
    /// Who shuts its side down first.
    pub client_ends_first: bool,
}

/// What an origin answers.
#[derive(Clone, Debug)]
pub struct ResponsePlan {
    /// Final status.
    pub status: u16,
    /// HTTP/1.0.
    pub http10: bool,
    /// Interim responses before it.
    pub interims: Vec<u16>,
    /// End-to-end fields, which must arrive.
    pub fields: Vec<FieldPair>,
    /// Fields named in Connection, which must not arrive.
    pub hop_fields: Vec<FieldPair>,
    /// Body.
    pub body: BodyPlan,
    /// Announces that the connection ends.
    pub close: bool,
    /// Nanoseconds before the first byte.
    pub delay: u64,
    /// Answers before the request body was read.
    pub early: bool,
    /// What goes wrong.
    pub accident: Accident,
}

/// What can go wrong with an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Accident {
    /// Nothing.
    None,
    /// The origin closes instead of answering.
    CloseBefore,
    /// The origin resets instead of answering.
    ResetBefore,
    /// The head stops half-way and the connection closes.
    CloseInHead,
    /// The body stops half-way and the connection closes.
    CloseInBody,
    /// The body stops half-way and the connection is reset.
    ResetInBody,
    /// No answer ever.
    Silence,
    /// The body stops half-way and nothing follows.
    SilenceInBody,
    /// Bytes that are not HTTP.
    Garbage,
    /// A chunk size that is no number.
    BadChunk,
    /// Content-Length beside Transfer-Encoding (R03).
    LengthAndCoding,
    /// Two Content-Lengths that differ (R03).
    TwoLengths,
    /// A line break inside a value (R02).
    SplitField,
    /// 101 that nobody asked for (C10).
    Switching,
    /// More interim responses than allowed (R07).
    Interims,
    /// A head beyond every limit (R08).
    HugeHead,
    /// Bytes behind the response (C04, C05).
    ExtraBytes,
}

impl Accident {
    /// All that replace the answer by something else.
    pub const ALL: [Accident; 16] = [
        Accident::CloseBefore,
        Accident::ResetBefore,
        Accident::CloseInHead,
        Accident::CloseInBody,
        Accident::ResetInBody,
        Accident::Silence,
        Accident::SilenceInBody,
        Accident::Garbage,
        Accident::BadChunk,
        Accident::LengthAndCoding,
        Accident::TwoLengths,
        Accident::SplitField,
        Accident::Switching,
        Accident::Interims,
        Accident::HugeHead,
        Accident::ExtraBytes,
    ];

    /// The client may see less than the planned answer.
    pub fn spoils(self) -> bool {
        !matches!(self, Accident::None | Accident::ExtraBytes)
    }

    /// The client must not see a head of the origin at all.
    pub fn before_head(self) -> bool {
        !matches!(
            self,
            Accident::None
                | Accident::ExtraBytes
                | Accident::CloseInBody
                | Accident::ResetInBody
                | Accident::SilenceInBody
                | Accident::BadChunk
        )
    }
}

impl ResponsePlan {
    /// True if a response to `method` carries the body.
    pub fn has_body(&self, method: &str) -> bool {
        method != "HEAD" && self.status != 204 && self.status != 304
    }

    /// True if the origin's connection cannot be used again after this answer.
    pub fn ends_connection(&self, method: &str) -> bool {
        let to_close = self.body.framing == Framing::ToClose && self.has_body(method);
        self.close || to_close || self.http10 || self.accident != Accident::None
    }
}

/// The byte of a body at `offset`: every id has its own pattern, and none repeats soon.
#[inline]
pub fn pattern(id: RequestId, side: Half, offset: u64) -> u8 {
    let salt = u64::from(id) * 2 + side as u64;
    let mixed =
        (offset + salt.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mixed >> 56) as u8
}

/// Whose bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Half {
    /// The client's.
    Request,
    /// The origin's.
    Response,
}

/// `count` bytes of a body from `offset`.
pub fn body_bytes(id: RequestId, side: Half, offset: u64, count: u64) -> Vec<u8> {
    (offset..offset + count)
        .map(|at| pattern(id, side, at))
        .collect()
}

/// Where `bytes` first differ from the pattern at `offset`.
pub fn mismatch(id: RequestId, side: Half, offset: u64, bytes: &[u8]) -> Option<u64> {
    bytes
        .iter()
        .zip(offset..)
        .find(|&(&byte, at)| byte != pattern(id, side, at))
        .map(|(_, at)| at)
}

impl RequestPlan {
    /// RFC 9110 section 9.2.2.
    pub fn is_idempotent(&self) -> bool {
        matches!(
            self.method,
            "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "TRACE"
        )
    }
}
