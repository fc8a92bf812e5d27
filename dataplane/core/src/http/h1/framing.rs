//! What Content-Length, Transfer-Encoding and Connection say, gathered field by field (section 1
//! of the safety rules). No field is trusted before all of them were seen.

use super::request_line::is_token_byte;
use crate::http::{BodyLength, Refusal, Version};
use crate::limits;

/// The framing fields of one head.
#[derive(Debug, Default)]
pub(crate) struct Framing {
    length: Option<Result<u64, Refusal>>,
    coding: Option<Result<(), Refusal>>,
}

impl Framing {
    /// A Content-Length of a request: a second one is refused, equal or not (F02).
    pub(crate) fn length_once(&mut self, value: &[u8]) {
        self.length = Some(match self.length {
            None => content_length(value),
            Some(_) => Err(Refusal::ContentLength),
        });
    }

    /// A Content-Length of a response: equal ones are folded into one (R03).
    pub(crate) fn length_folded(&mut self, value: &[u8]) {
        let length = content_length(value);
        self.length = Some(match self.length {
            Some(before) if before != length => Err(Refusal::ContentLength),
            _ => length,
        });
    }

    /// A Transfer-Encoding: a second one is refused (F06).
    pub(crate) fn coding(&mut self, value: &[u8]) {
        self.coding = Some(match self.coding {
            None => transfer_coding(value),
            Some(_) => Err(Refusal::TransferEncoding),
        });
    }

    /// The length that the fields give; `None` if there is neither.
    pub(crate) fn resolve(&self, version: Version) -> Result<Option<BodyLength>, Refusal> {
        match (self.length, self.coding) {
            (None, None) => Ok(None),
            // F01, RFC 9112 section 6.1: never repaired, whatever the values.
            (Some(_), Some(_)) => Err(Refusal::LengthAndCoding),
            (Some(length), None) => length.map(|bytes| Some(BodyLength::Bytes(bytes))),
            // F07: a 1.0 recipient behind us would not know the coding.
            (None, Some(_)) if version == Version::Http10 => Err(Refusal::TransferEncoding),
            (None, Some(coding)) => coding.map(|()| Some(BodyLength::Chunked)),
        }
    }
}

/// F03-F05: `1*DIGIT`, at most 19 of them and at most 2^63-1.
fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() || value.len() > 19 {
        return Err(Refusal::ContentLength);
    }
    let mut length = 0u64;
    for &byte in value {
        if !byte.is_ascii_digit() {
            return Err(Refusal::ContentLength);
        }
        length = length * 10 + u64::from(byte - b'0');
    }
    if length > i64::MAX as u64 {
        return Err(Refusal::ContentLength);
    }
    Ok(length)
}

/// F06: exactly `chunked`; another single token is a coding that is not served.
fn transfer_coding(value: &[u8]) -> Result<(), Refusal> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    if !value.is_empty() && value.iter().all(|&byte| is_token_byte(byte)) {
        return Err(Refusal::TransferCoding);
    }
    Err(Refusal::TransferEncoding)
}

/// What Connection lists, as far as we act on it.
#[derive(Default)]
pub(super) struct ConnectionNames {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    count: usize,
}

impl ConnectionNames {
    /// Reads one Connection field.
    pub(super) fn read(&mut self, value: &[u8]) -> Result<(), Refusal> {
        for name in list(value) {
            self.count += 1;
            self.close |= name.eq_ignore_ascii_case(b"close");
            self.keep_alive |= name.eq_ignore_ascii_case(b"keep-alive");
            self.upgrade |= name.eq_ignore_ascii_case(b"upgrade");
        }
        if self.count > limits::CONNECTION_NAMES_MAX {
            return Err(Refusal::HeadFields);
        }
        Ok(())
    }

    /// May the connection carry another message (RFC 9112 section 9.3)?
    pub(super) fn persists(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }
}

/// The elements of a comma-separated list, trimmed of SP and HTAB; empty ones are left out.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(trim)
        .filter(|element| !element.is_empty())
}

/// Without SP and HTAB around; no other byte is whitespace.
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}
