//! What an operator yields, and how it is written.

use core::net::{IpAddr, SocketAddr};

use super::escape::Escape;
use super::time::TimeFormat;
use crate::access_log::Flags;
use crate::digits::{append_address, append_ip, append_number};
use crate::http::{Fields, HeaderId};

/// A value, borrowed from the facts or from the operator.
pub(super) enum Value<'a> {
    /// There is none.
    Absent,
    /// A number, also in JSON.
    Number(u64),
    /// Bytes, possibly from outside.
    Text(&'a [u8]),
    /// All fields of this name, joined with commas.
    Fields(&'a Fields, HeaderId),
    /// Text whose spaces become underscores.
    Words(&'static str),
    /// Address and port.
    Address(SocketAddr),
    /// Address alone.
    Ip(IpAddr),
    /// Codes, long if true.
    Flags(Flags, bool),
    /// Nanoseconds since the UNIX epoch.
    Time(&'a TimeFormat, u64),
}

impl<'a> Value<'a> {
    /// Absent if empty.
    pub(super) fn text(text: &'a [u8]) -> Self {
        match text {
            b"" => Self::Absent,
            text => Self::Text(text),
        }
    }

    pub(super) fn words(text: &'static str) -> Self {
        match text {
            "" => Self::Absent,
            text => Self::Words(text),
        }
    }

    pub(super) fn address(address: Option<SocketAddr>) -> Self {
        address.map_or(Self::Absent, Self::Address)
    }

    pub(super) fn ip(address: Option<SocketAddr>) -> Self {
        address.map_or(Self::Absent, |address| Self::Ip(address.ip()))
    }

    pub(super) fn port(address: Option<SocketAddr>) -> Self {
        address.map_or(Self::Absent, |address| Self::Number(address.port().into()))
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Appends the value, at most `bytes_max` bytes of it before escaping; nothing if it is absent.
    pub(super) fn write(&self, bytes_max: Option<u32>, escape: Escape, out: &mut Vec<u8>) {
        let bytes_max = bytes_max.map_or(usize::MAX, |bytes| bytes as usize);
        match self {
            Self::Text(text) => escape.append(cut(text, bytes_max), out),
            Self::Fields(fields, id) => write_fields(fields, *id, bytes_max, escape, out),
            Self::Time(format, wall) => format.write(*wall, escape, out),
            _ => {
                // Digits, letters and punctuation of ours: nothing to escape.
                let start = out.len();
                self.write_ascii(out);
                out.truncate(start.saturating_add(bytes_max));
            }
        }
    }

    fn write_ascii(&self, out: &mut Vec<u8>) {
        match self {
            Self::Number(number) => append_number(*number, out),
            Self::Address(address) => append_address(*address, out),
            Self::Ip(ip) => append_ip(*ip, out),
            Self::Words(text) => {
                out.extend(
                    text.bytes()
                        .map(|byte| if byte == b' ' { b'_' } else { byte }),
                );
            }
            Self::Flags(flags, long) => write_flags(*flags, *long, out),
            Self::Absent | Self::Text(_) | Self::Fields(..) | Self::Time(..) => {}
        }
    }
}

fn write_flags(flags: Flags, long: bool, out: &mut Vec<u8>) {
    let mut separator: &[u8] = b"";
    for (flag, short_code, long_code) in Flags::ALL {
        if flags.contains(*flag) {
            out.extend_from_slice(separator);
            out.extend_from_slice(if long { long_code } else { short_code }.as_bytes());
            separator = b",";
        }
    }
}

fn write_fields(
    fields: &Fields,
    id: HeaderId,
    bytes_max: usize,
    escape: Escape,
    out: &mut Vec<u8>,
) {
    let mut left = bytes_max;
    let mut separator: &[u8] = b"";
    for field in fields.list().iter().filter(|field| field.id == id) {
        for part in [separator, fields.text(field.value)] {
            let part = cut(part, left);
            escape.append(part, out);
            left -= part.len();
        }
        separator = b",";
    }
}

/// The first bytes, without the beginning of a character that would be cut in two.
fn cut(text: &[u8], bytes_max: usize) -> &[u8] {
    if text.len() <= bytes_max {
        return text;
    }
    let is_inside = |at: usize| text[at] & 0b1100_0000 == 0b1000_0000;
    let start = (bytes_max.saturating_sub(3)..=bytes_max)
        .rev()
        .find(|&at| !is_inside(at));
    &text[..start.unwrap_or(bytes_max)]
}
