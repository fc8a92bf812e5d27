//! One message vocabulary for every codec: heads as spans over bytes that the exchange owns.
//!
//! A head is parsed strictly, copied once into an arena and from then on only read, extended and
//! written anew. No raw byte of a head reaches the other side.

pub mod authority;
pub mod forwarded;
pub mod h1;
pub mod h2;
pub mod hop;
pub mod path;

mod fields;
mod header;
mod refusal;

pub use fields::{Field, Fields, Span};
pub use header::HeaderId;
pub use refusal::Refusal;

/// Request methods that something depends on; the text of any method is in the head.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Method {
    /// GET
    #[default]
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// DELETE
    Delete,
    /// OPTIONS
    Options,
    /// CONNECT
    Connect,
    /// TRACE
    Trace,
    /// PATCH
    Patch,
    /// Any other token.
    Other,
}

impl Method {
    /// By exact case (T02).
    pub fn parse(token: &[u8]) -> Self {
        match token {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"OPTIONS" => Self::Options,
            b"CONNECT" => Self::Connect,
            b"TRACE" => Self::Trace,
            b"PATCH" => Self::Patch,
            _ => Self::Other,
        }
    }

    /// May the request be sent again after a connection died under it (RFC 9110 section 9.2.2)?
    pub fn is_idempotent(self) -> bool {
        matches!(
            self,
            Self::Get | Self::Head | Self::Put | Self::Delete | Self::Options | Self::Trace
        )
    }
}

/// Protocol version of a message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
    /// HTTP/2
    Http2,
}

impl Version {
    /// As in `%PROTOCOL%`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// How long a body is, as its head says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BodyLength {
    /// There is none and none is announced: a request without length, or a response that cannot
    /// have a body (to HEAD, 1xx, 204, 304, 2xx to CONNECT).
    #[default]
    None,
    /// Exactly this many bytes; `Bytes(0)` is a body that is announced as empty.
    Bytes(u64),
    /// Until the last chunk.
    Chunked,
    /// Until the connection ends (responses only).
    ToClose,
}

impl BodyLength {
    /// Can a byte of body follow?
    pub fn has_body(self) -> bool {
        !matches!(self, Self::None | Self::Bytes(0))
    }
}

/// A request head. `method`, `target`, `authority` and `scheme` are not in `fields`.
#[derive(Debug, Default)]
pub struct RequestHead {
    /// The arena and the header fields.
    pub fields: Fields,
    /// The method.
    pub method: Method,
    /// Text of the method.
    pub method_text: Span,
    /// Origin form: path and query (or `*`).
    pub target: Span,
    /// Host and port as they will be forwarded; never empty in a decoded head.
    pub authority: Span,
    /// What an extended CONNECT asks for in `:protocol` (RFC 8441); empty in any other request.
    pub protocol: Span,
    /// True for https.
    pub secure: bool,
    /// Version that it came in.
    pub version: Version,
}

impl RequestHead {
    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.fields.clear();
        self.method = Method::Get;
        self.method_text = Span::default();
        self.target = Span::default();
        self.authority = Span::default();
        self.protocol = Span::default();
        self.secure = false;
        self.version = Version::Http11;
    }

    /// Text of the method.
    pub fn method_text(&self) -> &[u8] {
        self.fields.text(self.method_text)
    }

    /// Path and query.
    pub fn target(&self) -> &[u8] {
        self.fields.text(self.target)
    }

    /// Path without the query.
    pub fn path(&self) -> &[u8] {
        let target = self.target();
        &target[..target
            .iter()
            .position(|&byte| byte == b'?')
            .unwrap_or(target.len())]
    }

    /// Query without the question mark; `None` if there is no question mark.
    pub fn query(&self) -> Option<&[u8]> {
        let target = self.target();
        target
            .iter()
            .position(|&byte| byte == b'?')
            .map(|at| &target[at + 1..])
    }

    /// Host and port.
    pub fn authority(&self) -> &[u8] {
        self.fields.text(self.authority)
    }

    /// The protocol of an extended CONNECT, or nothing.
    pub fn protocol(&self) -> &[u8] {
        self.fields.text(self.protocol)
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// Puts another target in place.
    pub fn set_target(&mut self, target: &[u8]) {
        self.target = self.fields.store(target);
    }

    /// Puts another authority in place.
    pub fn set_authority(&mut self, authority: &[u8]) {
        self.authority = self.fields.store(authority);
    }
}

/// A response head.
#[derive(Debug, Default)]
pub struct ResponseHead {
    /// The arena and the header fields.
    pub fields: Fields,
    /// Status code, 100 to 599.
    pub status: u16,
    /// Version that it came in.
    pub version: Version,
    /// Content-Length of a response that may announce one without carrying the body (to HEAD, 304).
    /// Written only where the body is [`BodyLength::None`].
    pub declared_length: Option<u64>,
}

impl ResponseHead {
    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.fields.clear();
        self.status = 0;
        self.version = Version::Http11;
        self.declared_length = None;
    }
}
