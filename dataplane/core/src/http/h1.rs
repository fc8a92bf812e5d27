//! HTTP/1.1 and 1.0 (RFC 9112): strict decoding, encoding from the model, chunked bodies.

pub mod body;
pub mod chunked;
pub mod decode;
pub mod encode;
pub mod scan;

mod framing;
mod reason;
mod request_line;

use crate::limits;

pub use body::{BodyDecoder, Decoded};
pub use chunked::ChunkedDecoder;
pub(super) use chunked::is_forbidden_trailer;
pub use decode::{RequestFraming, ResponseFraming, decode_request, decode_response};
pub use encode::{
    CONTINUE, ConnectionHeader, LAST_CHUNK, encode_chunk, encode_last_chunk, encode_request,
    encode_response,
};
pub(super) use framing::{Framing, list};
pub(crate) use request_line::is_token_byte;
pub(super) use request_line::{check_method, check_target};
pub use scan::{HeadLimits, HeadScanner};

/// `headers_with_underscores_action` (L06).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Underscores {
    /// Kept.
    #[default]
    Allow,
    /// The request is refused.
    Reject,
    /// The field is dropped.
    Drop,
}

/// What the request decoder accepts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestOptions {
    /// `max_request_headers_kb` in bytes.
    pub head_bytes_max: usize,
    /// `max_headers_count`.
    pub fields_max: usize,
    /// `headers_with_underscores_action`.
    pub underscores: Underscores,
    /// `accept_http_10`.
    pub accept_http10: bool,
    /// `default_host_for_http_10`; empty if none.
    pub default_host: Box<str>,
}

impl RequestOptions {
    /// What the scanner needs of it.
    pub fn limits(&self) -> HeadLimits {
        HeadLimits {
            bytes_max: self.head_bytes_max,
            fields_max: self.fields_max,
        }
    }
}

impl Default for RequestOptions {
    fn default() -> Self {
        Self {
            head_bytes_max: limits::HEAD_BYTES_MAX,
            fields_max: limits::HEAD_FIELDS_MAX,
            underscores: Underscores::Allow,
            accept_http10: false,
            default_host: "".into(),
        }
    }
}
