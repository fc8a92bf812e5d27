//! A request as the origin reads it: head, framing and what its query asks for.

use std::mem::MaybeUninit;
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
    /// The head as it arrived, for the text answer; empty if the body is the pattern.
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
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(input, &mut fields) {
        Ok(httparse::Status::Complete(length)) => {
            let request = Request::new(&parsed, &input[..length])?;
            Ok(Some((request, length)))
        }
        Ok(httparse::Status::Partial) if input.len() < HEAD_MAX => Ok(None),
        _ => Err(Malformed),
    }
}

/// The fields that matter, found in one pass.
#[derive(Default)]
struct Fields<'a> {
    connection: &'a [u8],
    expect: &'a [u8],
    upgrade: Option<&'a [u8]>,
    length: Option<&'a [u8]>,
    coding: Option<&'a [u8]>,
    has_pattern: bool,
}

impl<'a> Fields<'a> {
    fn find(parsed: &httparse::Request<'_, 'a>) -> Self {
        let mut fields = Self::default();
        for field in parsed.headers.iter() {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            match field.name.len() {
                6 if is("expect") => fields.expect = field.value,
                7 if is("upgrade") => fields.upgrade = Some(field.value),
                9 if is("x-pattern") => fields.has_pattern = true,
                10 if is("connection") => fields.connection = field.value,
                14 if is("content-length") => fields.length = Some(field.value),
                17 if is("transfer-encoding") => fields.coding = Some(field.value),
                _ => {}
            }
        }
        fields
    }
}

/// True if `word` stands in `value`, in any case.
fn has_word(value: &[u8], word: &str) -> bool {
    let mut windows = value.windows(word.len());
    windows.any(|window| window.eq_ignore_ascii_case(word.as_bytes()))
}

impl Request {
    fn new(parsed: &httparse::Request<'_, '_>, head: &[u8]) -> Result<Self, Malformed> {
        let fields = Fields::find(parsed);
        let is_10 = parsed.version == Some(0);
        let wish = Wish::parse(parsed.path.unwrap_or(""));
        let wants_upgrade = has_word(fields.connection, "upgrade");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        Ok(Self {
            is_head: parsed.method == Some("HEAD"),
            keep_alive: !has_word(fields.connection, "close")
                && (!is_10 || has_word(fields.connection, "keep-alive")),
            expects_continue: fields.expect.eq_ignore_ascii_case(b"100-continue"),
            upgrade: fields.upgrade.filter(|_| wants_upgrade).map(text),
            has_pattern: fields.has_pattern,
            body: framing(fields.length, fields.coding)?,
            text: match wish.size {
                None => text(head),
                Some(_) => String::new(),
            },
            wish,
        })
    }
}

/// RFC 9112 section 6.3, without tolerance: both fields at once are malformed.
fn framing(length: Option<&[u8]>, coding: Option<&[u8]>) -> Result<Body, Malformed> {
    match (length, coding) {
        (None, None) => Ok(Body::Bytes(0)),
        (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Body::ChunkLine),
        (Some(length), None) => {
            let text = std::str::from_utf8(length).map_err(|_| Malformed)?;
            text.parse().map(Body::Bytes).map_err(|_| Malformed)
        }
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
        assert_eq!(framing(Some(b"1"), Some(b"chunked")), Err(Malformed));
    }
}
