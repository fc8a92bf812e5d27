//! From bytes to a header. A prefix of a header is never refused for being short, and never waited
//! for once it cannot become one.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::checksum::crc32c;
use super::tlv::{TlvKind, Tlvs};
use super::{Addresses, FIXED_BYTES, Refusal, SIGNATURE, Version};
use crate::limits::{PROXY_LINE_BYTES_MAX, PROXY_V2_BYTES_MAX};

const PREFIX_V1: &[u8] = b"PROXY ";

/// Which versions are accepted (`disallowed_versions`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Accept {
    /// Version 1.
    pub v1: bool,
    /// Version 2.
    pub v2: bool,
}

/// What the bytes are so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step<'a> {
    /// The beginning of a header; so many bytes at least must come before it is worth asking again.
    Incomplete(usize),
    /// A header.
    Complete(Decoded<'a>),
}

/// A header and where it ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decoded<'a> {
    /// The header.
    pub header: Header<'a>,
    /// Its length in bytes; behind it begins what the client sent.
    pub len: usize,
}

/// A header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header<'a> {
    /// Version.
    pub version: Version,
    /// Both ends. `None` if the connection's own addresses hold: health checks of the sender
    /// (LOCAL, P05) and what it does not know (UNKNOWN, UNSPEC).
    pub addresses: Option<Addresses>,
    /// What else is said; empty in version 1.
    pub tlvs: Tlvs<'a>,
}

impl Default for Accept {
    fn default() -> Self {
        Self { v1: true, v2: true }
    }
}

/// Looks for a header at the beginning of everything that the connection has brought so far.
pub fn decode(bytes: &[u8], accept: Accept) -> Result<Step<'_>, Refusal> {
    if bytes.is_empty() {
        return Ok(Step::Incomplete(1));
    }
    match (begins(bytes, PREFIX_V1), begins(bytes, SIGNATURE)) {
        (true, _) if accept.v1 => v1(bytes),
        (_, true) if accept.v2 => v2(bytes),
        (false, false) => Err(Refusal::Missing),
        _ => Err(Refusal::Disallowed),
    }
}

/// True if one is the beginning of the other. The versions differ in their first byte.
fn begins(bytes: &[u8], prefix: &[u8]) -> bool {
    let common = bytes.len().min(prefix.len());
    bytes[..common] == prefix[..common]
}

fn v1(bytes: &[u8]) -> Result<Step<'_>, Refusal> {
    let seen = &bytes[..bytes.len().min(PROXY_LINE_BYTES_MAX)];
    let Some(end) = seen.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return match seen.len() < PROXY_LINE_BYTES_MAX {
            true => Ok(Step::Incomplete(1)),
            false => Err(Refusal::Line),
        };
    };
    match seen[end..] {
        [b'\r', b'\n', ..] => {}
        [b'\r'] if seen.len() < PROXY_LINE_BYTES_MAX => return Ok(Step::Incomplete(1)),
        _ => return Err(Refusal::Line),
    }
    let header = Header {
        version: Version::V1,
        addresses: line(&seen[PREFIX_V1.len().min(end)..end])?,
        tlvs: Tlvs::default(),
    };
    Ok(complete(header, end + 2))
}

/// What stands between `PROXY ` and CRLF.
fn line(text: &[u8]) -> Result<Option<Addresses>, Refusal> {
    let text = core::str::from_utf8(text).map_err(|_| Refusal::Fields)?;
    let mut words = text.split(' ');
    let family = words.next().unwrap_or_default();
    if family == "UNKNOWN" {
        // Section 2.1: whatever follows is ignored.
        return Ok(None);
    }
    let mut word = || words.next().ok_or(Refusal::Fields);
    let (source, destination) = (word()?, word()?);
    let (from, to) = (port(word()?)?, port(word()?)?);
    if words.next().is_some() {
        return Err(Refusal::Fields);
    }
    let address = |text: &str, port| Some(SocketAddr::new(ip(family, text)?, port));
    Ok(Some(Addresses {
        source: address(source, from).ok_or(Refusal::Fields)?,
        destination: address(destination, to).ok_or(Refusal::Fields)?,
    }))
}

fn ip(family: &str, text: &str) -> Option<IpAddr> {
    match family {
        "TCP4" => text.parse().ok().map(IpAddr::V4),
        "TCP6" => text.parse().ok().map(IpAddr::V6),
        _ => None,
    }
}

/// Decimal without sign and leading zeros.
fn port(text: &str) -> Result<u16, Refusal> {
    let is_plain =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    match is_plain {
        true => text.parse().map_err(|_| Refusal::Fields),
        false => Err(Refusal::Fields),
    }
}

fn v2(bytes: &[u8]) -> Result<Step<'_>, Refusal> {
    let Some(fixed) = bytes.first_chunk::<FIXED_BYTES>() else {
        return Ok(Step::Incomplete(FIXED_BYTES - bytes.len()));
    };
    let is_local = match fixed[12] {
        0x20 => true,
        0x21 => false,
        _ => return Err(Refusal::Command),
    };
    let len = FIXED_BYTES + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if len > PROXY_V2_BYTES_MAX {
        return Err(Refusal::Length);
    }
    let Some(whole) = bytes.get(..len) else {
        return Ok(Step::Incomplete(len - bytes.len()));
    };
    let header = match is_local {
        // Section 2.2: all of it is ignored, the family too.
        true => Header {
            version: Version::V2,
            addresses: None,
            tlvs: Tlvs::default(),
        },
        false => proxied(whole, fixed[13])?,
    };
    Ok(complete(header, len))
}

fn proxied(whole: &[u8], family: u8) -> Result<Header<'_>, Refusal> {
    let (addresses, rest) = addresses(family, &whole[FIXED_BYTES..])?;
    let tlvs = Tlvs::parse(rest)?;
    verify_checksum(whole, tlvs)?;
    Ok(Header {
        version: Version::V2,
        addresses,
        tlvs,
    })
}

/// Family in the high nibble, transport in the low one; only a stream can have brought this.
fn addresses(family: u8, bytes: &[u8]) -> Result<(Option<Addresses>, &[u8]), Refusal> {
    match family {
        0x00 => Ok((None, bytes)),
        0x11 => {
            let (block, rest) = bytes.split_first_chunk::<12>().ok_or(Refusal::Truncated)?;
            let ip =
                |at: usize| Ipv4Addr::new(block[at], block[at + 1], block[at + 2], block[at + 3]);
            Ok((Some(ends(ip(0).into(), ip(4).into(), &block[8..])), rest))
        }
        0x21 => {
            let (block, rest) = bytes.split_first_chunk::<36>().ok_or(Refusal::Truncated)?;
            let ip = |at: usize| {
                let octets = core::array::from_fn(|index| block[at + index]);
                Ipv6Addr::from_octets(octets)
            };
            Ok((Some(ends(ip(0).into(), ip(16).into(), &block[32..])), rest))
        }
        _ => Err(Refusal::Family),
    }
}

fn ends(source: IpAddr, destination: IpAddr, ports: &[u8]) -> Addresses {
    let port = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
    Addresses {
        source: SocketAddr::new(source, port(0)),
        destination: SocketAddr::new(destination, port(2)),
    }
}

/// P04. The checksum is that of the header with its own four bytes zero.
fn verify_checksum(whole: &[u8], tlvs: Tlvs<'_>) -> Result<(), Refusal> {
    let mut sums = sums(whole, tlvs);
    let Some(at) = sums.next() else {
        return Ok(());
    };
    if sums.next().is_some() {
        return Err(Refusal::Value);
    }
    let expected = crc32c(&[&whole[..at], &[0; 4], &whole[at + 4..]]);
    match whole[at..at + 4] == expected.to_be_bytes() {
        true => Ok(()),
        false => Err(Refusal::Checksum),
    }
}

/// Where the values of the checksum TLVs begin.
fn sums(whole: &[u8], tlvs: Tlvs<'_>) -> impl Iterator<Item = usize> {
    let mut end = whole.len() - tlvs.as_bytes().len();
    tlvs.iter().filter_map(move |tlv| {
        end += 3 + tlv.value.len();
        (tlv.kind == TlvKind::CRC32C).then_some(end - tlv.value.len())
    })
}

fn complete(header: Header<'_>, len: usize) -> Step<'_> {
    Step::Complete(Decoded { header, len })
}
