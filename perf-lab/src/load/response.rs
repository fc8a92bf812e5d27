//! One response being read and checked.

use std::mem::MaybeUninit;

use super::{Failure, Load};
use crate::body::Body;
use crate::pattern;

/// Fields of a response head.
const FIELDS_MAX: usize = 128;
/// Longest response head.
const HEAD_MAX: usize = 256 * 1024;

/// A response whose head was read.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    body: Body,
    length: u64,
    intact: bool,
    pub(super) keep_alive: bool,
}

/// The final head at the front of `input` and the bytes up to its end; interim ones are skipped.
/// `None` while it is not complete.
pub(super) fn parse(input: &[u8]) -> Result<Option<(Response, usize)>, Failure> {
    let mut skipped = 0;
    loop {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let rest = &input[skipped..];
        match config.parse_response_with_uninit_headers(&mut parsed, rest, &mut fields) {
            Ok(httparse::Status::Complete(length)) => {
                skipped += length;
                if parsed.code.is_some_and(|code| code >= 200 || code == 101) {
                    return Response::new(&parsed).map(|response| Some((response, skipped)));
                }
            }
            Ok(httparse::Status::Partial) if input.len() < HEAD_MAX => return Ok(None),
            _ => return Err(Failure::Malformed),
        }
    }
}

impl Response {
    fn new(parsed: &httparse::Response<'_, '_>) -> Result<Self, Failure> {
        let field = |name: &str| {
            let mut all = parsed.headers.iter();
            all.find(|field| field.name.eq_ignore_ascii_case(name))
                .map(|field| field.value)
        };
        let status = parsed.code.unwrap_or(0);
        let connection = field("connection").unwrap_or(b"");
        let body = framing(status, field("content-length"), field("transfer-encoding"))?;
        let is_10 = parsed.version == Some(0);
        Ok(Self {
            status,
            body,
            length: 0,
            intact: true,
            keep_alive: match is_10 {
                true => connection.eq_ignore_ascii_case(b"keep-alive"),
                false => !connection.eq_ignore_ascii_case(b"close"),
            } && body != Body::ToEnd,
        })
    }

    /// Takes body bytes; returns how many.
    pub(super) fn read(&mut self, input: &[u8], load: &Load) -> Result<usize, Failure> {
        let (length, intact) = (&mut self.length, &mut self.intact);
        let read = self.body.read(input, |data| {
            *intact &= load.size.is_none() || pattern::holds(data, *length);
            *length += data.len() as u64;
        });
        read.map_err(|_| Failure::Malformed)
    }

    /// The end of the connection completes a body without length.
    pub(super) fn end(&mut self) {
        if self.body == Body::ToEnd {
            self.body = Body::Bytes(0);
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.body.is_complete()
    }

    /// Is it the response that must come?
    pub(super) fn check(&self, load: &Load) -> Result<(), Failure> {
        if self.status != load.status && Some(self.status) != load.also {
            return Err(Failure::Status);
        }
        if load.size.is_some_and(|size| size != self.length) {
            return Err(Failure::Length);
        }
        if self.intact {
            Ok(())
        } else {
            Err(Failure::Pattern)
        }
    }
}

/// RFC 9112 section 6.3 for answers to GET and POST, without tolerance.
fn framing(status: u16, length: Option<&[u8]>, coding: Option<&[u8]>) -> Result<Body, Failure> {
    match (length, coding) {
        _ if status == 204 || status == 304 || status == 101 => Ok(Body::Bytes(0)),
        (None, None) => Ok(Body::ToEnd),
        (None, Some(b"chunked")) => Ok(Body::ChunkLine),
        (Some(length), None) => std::str::from_utf8(length)
            .ok()
            .and_then(|text| text.parse().ok())
            .map(Body::Bytes)
            .ok_or(Failure::Malformed),
        _ => Err(Failure::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &str, expect: Result<(), Failure>) {
        let mut load = Load::new(([127, 0, 0, 1], 1).into(), "/");
        load.size = Some(3);
        let result = parse(input.as_bytes()).and_then(|parsed| {
            let (mut response, used) = parsed.expect("a complete head");
            response.read(&input.as_bytes()[used..], &load)?;
            response.check(&load)
        });
        assert_eq!(result, expect);
    }

    #[test]
    fn answers_are_checked() {
        let head = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n";
        check(&format!("{head}content-length: 3\r\n\r\n012"), Ok(()));
        let chunked = "transfer-encoding: chunked\r\n\r\n3\r\n012\r\n0\r\n\r\n";
        check(&format!("{head}{chunked}"), Ok(()));
        let wrong = format!("{head}content-length: 3\r\n\r\n013");
        check(&wrong, Err(Failure::Pattern));
        let short = format!("{head}content-length: 2\r\n\r\n01");
        check(&short, Err(Failure::Length));
        let status = "HTTP/1.1 503 No\r\ncontent-length: 3\r\n\r\n012";
        check(status, Err(Failure::Status));
        let both = format!("{head}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n");
        check(&both, Err(Failure::Malformed));
    }
}
