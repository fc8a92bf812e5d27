//! A request as the origin reads it: head, framing and what its query asks for.

use std::time::Duration;

use crate::body::{Body, Malformed};

/// Fields of a head that are read.
const FIELDS_MAX: usize = 256;
/// Longest head.
pub(super) const HEAD_MAX: usize = 256 * 1024;

/// A parsed request head.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) is_head: bool,
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
    pub(super) upgrade: Option<String>,
    pub(super) has_pattern: bool,
    pub(super) body: Body,
    pub(super) wish: Wish,
    /// The head as it arrived, for the text answer.
    pub(super) text: String,
}

/// What the query asks the origin to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) size: Option<u64>,
    pub(super) chunked: bool,
    pub(super) trailers: bool,
    pub(super) delay: Duration,
    pub(super) status: Option<u16>,
    pub(super) close: bool,
    pub(super) reset: bool,
}

/// The head at the front of `input` and its length; `None` while it is not complete.
pub(super) fn parse(input: &[u8]) -> Result<Option<(Request, usize)>, Malformed> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(input) {
        Ok(httparse::Status::Complete(length)) => {
            let request = Request::new(&parsed, &input[..length])?;
            Ok(Some((request, length)))
        }
        Ok(httparse::Status::Partial) if input.len() < HEAD_MAX => Ok(None),
        _ => Err(Malformed),
    }
}

impl Request {
    fn new(parsed: &httparse::Request<'_, '_>, head: &[u8]) -> Result<Self, Malformed> {
        let field = |name: &str| {
            let mut all = parsed.headers.iter();
            all.find(|field| field.name.eq_ignore_ascii_case(name))
                .map(|field| String::from_utf8_lossy(field.value).to_ascii_lowercase())
        };
        let connection = field("connection").unwrap_or_default();
        let is_10 = parsed.version == Some(0);
        let wants_upgrade = connection.contains("upgrade");
        Ok(Self {
            is_head: parsed.method == Some("HEAD"),
            keep_alive: !connection.contains("close")
                && (!is_10 || connection.contains("keep-alive")),
            expects_continue: field("expect").as_deref() == Some("100-continue"),
            upgrade: field("upgrade").filter(|_| wants_upgrade),
            has_pattern: field("x-pattern").is_some(),
            body: framing(field("content-length"), field("transfer-encoding"))?,
            wish: Wish::parse(parsed.path.unwrap_or("")),
            text: String::from_utf8_lossy(head).trim_end().to_owned(),
        })
    }
}

/// RFC 9112 section 6.3, without tolerance: both fields at once are malformed.
fn framing(length: Option<String>, coding: Option<String>) -> Result<Body, Malformed> {
    match (length, coding.as_deref()) {
        (None, None) => Ok(Body::Bytes(0)),
        (None, Some("chunked")) => Ok(Body::ChunkLine),
        (Some(length), None) => length.parse().map(Body::Bytes).map_err(|_| Malformed),
        _ => Err(Malformed),
    }
}

impl Wish {
    /// Reads the query; what it does not know it ignores.
    fn parse(path: &str) -> Self {
        let query = path.split_once('?').map_or("", |(_, query)| query);
        let mut wish = Self::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "size" => wish.size = value.parse().ok(),
                "chunked" => wish.chunked = value == "1",
                "trailers" => wish.trailers = value == "1",
                "delay" => wish.delay = Duration::from_millis(value.parse().unwrap_or(0)),
                "status" => wish.status = value.parse().ok().filter(|s| (200..600).contains(s)),
                "close" => wish.close = value == "1",
                "reset" => wish.reset = value == "1",
                _ => {}
            }
        }
        wish
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read() {
        let input = b"POST /a?size=5&close=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
        let (request, used) = parse(input).unwrap().unwrap();
        assert_eq!(used, input.len() - 3);
        assert_eq!((request.wish.size, request.wish.close), (Some(5), true));
        assert_eq!(request.body, Body::Bytes(3));
        assert!(request.keep_alive && !request.is_head);
        assert!(parse(&input[..20]).unwrap().is_none());
        assert_eq!(
            framing(Some("1".into()), Some("chunked".into())),
            Err(Malformed)
        );
    }
}
