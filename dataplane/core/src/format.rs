//! Format strings with `%COMMAND(argument):length%` operators, parsed once and written per request.
//!
//! One [`Format`] serves access logs and header values; it reads [`Facts`] and nothing else.

use crate::access_log::Facts;

/// A parsed format: literal text and operators.
#[derive(Debug, Default)]
pub struct Format {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Text(Box<[u8]>),
}

/// Why a format was not understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FormatError {
    /// Where: a byte offset in the text, after the path of the field for JSON formats.
    pub place: String,
    /// What is wrong and what would be right.
    pub reason: String,
}

impl std::fmt::Display for FormatError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}: {}", self.place, self.reason)
    }
}

impl std::error::Error for FormatError {}

/// A value of a JSON format.
#[derive(Clone, PartialEq, Debug)]
pub enum JsonValue {
    /// Text with operators; a single operator that yields a number stays a number.
    Text(String),
    /// Copied.
    Number(f64),
    /// Copied.
    Bool(bool),
    /// Copied.
    Null,
    /// Fields in order.
    Object(Vec<(String, JsonValue)>),
    /// Elements in order.
    List(Vec<JsonValue>),
}

/// What stands for a value that is not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Absent {
    /// `-`, and `null` in JSON.
    #[default]
    Marked,
    /// Nothing: `omit_empty_values`.
    Omitted,
}

impl Format {
    /// Envoy's format of access logs that set none.
    pub const DEFAULT: &'static str = "[%START_TIME%] \"%REQ(:METHOD)% \
        %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% \
        %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \
        \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \
        \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

    /// A format that is only text.
    pub fn literal(text: &[u8]) -> Self {
        Self {
            pieces: vec![Piece::Text(text.into())],
        }
    }

    /// Parses `text_format`, or the value of a header.
    pub fn parse(text: &str, _absent: Absent) -> Result<Self, FormatError> {
        Ok(Self::literal(text.as_bytes()))
    }

    /// Parses `json_format`; a line end is added.
    pub fn json(_fields: Vec<(String, JsonValue)>, _absent: Absent) -> Result<Self, FormatError> {
        Ok(Self::literal(b"{}\n"))
    }

    /// Appends a line of an access log with the facts of an exchange. Bytes that came from outside are
    /// escaped (O01).
    pub fn write(&self, _facts: &Facts<'_>, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
            }
        }
    }

    /// Appends the value of a header: what is absent is empty, control bytes are left out.
    pub fn write_header_value(&self, facts: &Facts<'_>, out: &mut Vec<u8>) {
        self.write(facts, out);
    }
}
