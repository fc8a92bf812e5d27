//! Format strings with `%COMMAND(argument):length%` operators, parsed once and written per request.
//!
//! One [`Format`] serves access logs and header values; it reads [`Facts`] and nothing else. Bytes
//! that came from outside are escaped in every log line (O01), and can never end a header value.

mod escape;
mod json;
mod operator;
mod parse;
mod time;
mod value;

use crate::access_log::Facts;
use escape::Escape;

pub use json::JsonValue;
pub use parse::FormatError;

/// A parsed format.
#[derive(Debug)]
pub struct Format {
    body: Body,
    absent: Absent,
}

#[derive(Debug)]
enum Body {
    Text(Vec<Piece>),
    Json(json::Node),
}

/// Part of a text.
#[derive(Debug)]
enum Piece {
    Text(Box<[u8]>),
    Operator(operator::Operator),
}

/// What a log line says where a value is not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Absent {
    /// `-`, and `null` in JSON.
    #[default]
    Marked,
    /// Nothing, and no such field in JSON: `omit_empty_values`.
    Omitted,
}

impl Default for Format {
    fn default() -> Self {
        Self::literal(b"")
    }
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
        Self::text(vec![Piece::Text(text.into())])
    }

    /// Parses the format of an access log or the value of a header.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        Ok(Self::text(parse::pieces(text)?))
    }

    /// Parses `json_format`; its fields keep their order, and a line end is added.
    pub fn json(fields: Vec<(String, JsonValue)>) -> Result<Self, FormatError> {
        Ok(Self {
            body: Body::Json(json::parse(fields)?),
            absent: Absent::Marked,
        })
    }

    /// The same format, with another rule for absent values.
    pub fn with_absent(self, absent: Absent) -> Self {
        Self { absent, ..self }
    }

    fn text(pieces: Vec<Piece>) -> Self {
        Self {
            body: Body::Text(pieces),
            absent: Absent::Marked,
        }
    }

    /// Appends what an access log gets, with the facts of an exchange.
    pub fn write(&self, facts: &Facts<'_>, out: &mut Vec<u8>) {
        match &self.body {
            Body::Text(pieces) => write_pieces(pieces, facts, (Escape::Log, self.absent), out),
            Body::Json(node) => {
                json::write(node, facts, self.absent, out);
                out.push(b'\n');
            }
        }
    }

    /// Appends the value of a header: what is absent is empty, control bytes are left out.
    pub fn write_header_value(&self, facts: &Facts<'_>, out: &mut Vec<u8>) {
        match &self.body {
            Body::Text(pieces) => {
                write_pieces(pieces, facts, (Escape::Header, Absent::Omitted), out);
            }
            Body::Json(node) => json::write(node, facts, self.absent, out),
        }
    }
}

fn write_pieces(
    pieces: &[Piece],
    facts: &Facts<'_>,
    (escape, absent): (Escape, Absent),
    out: &mut Vec<u8>,
) {
    for piece in pieces {
        match piece {
            // The text of the configuration is the operator's own: a log takes it as it is.
            Piece::Text(text) if escape == Escape::Log => out.extend_from_slice(text),
            Piece::Text(text) => escape.append(text, out),
            Piece::Operator(operator) => {
                let value = operator.value(facts);
                if value.is_absent() && absent == Absent::Marked {
                    out.push(b'-');
                } else {
                    value.write(operator.bytes_max, escape, out);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
