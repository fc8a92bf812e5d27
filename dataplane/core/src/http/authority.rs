//! Host and port: what is a well-formed authority (T07), its parts, and what is taken off it before
//! matching (N07). Strict: registered names are letters, digits, `-`, `.`, `_` and `~`.

use std::net::Ipv6Addr;

use super::{Refusal, RequestHead};
use crate::config::listener::{HostOptions, StripPort};

/// Splits `host[:port]` at the colon of the port; the brackets of an IPv6 address stay with the host.
pub fn split(authority: &[u8]) -> (&[u8], Option<&[u8]>) {
    let host_end = match authority.first() {
        Some(b'[') => authority.iter().position(|&byte| byte == b']'),
        _ => Some(0),
    };
    let from = host_end.unwrap_or(authority.len());
    match authority[from..].iter().position(|&byte| byte == b':') {
        Some(at) => (&authority[..from + at], Some(&authority[from + at + 1..])),
        None => (authority, None),
    }
}

/// The host without the port.
pub fn host(authority: &[u8]) -> &[u8] {
    split(authority).0
}

/// The port as a number, if there is one and it is well formed.
pub fn port(authority: &[u8]) -> Option<u16> {
    split(authority).1.and_then(parse_port)
}

/// T07: host with an optional port.
///
/// # Errors
/// [`Refusal::Host`] for anything else.
pub fn check(authority: &[u8]) -> Result<(), Refusal> {
    let (host, port) = split(authority);
    let port_is_good = port.is_none_or(|port| parse_port(port).is_some());
    if port_is_good && is_host(host) {
        Ok(())
    } else {
        Err(Refusal::Host)
    }
}

/// Authority form of CONNECT: the port is there (RFC 9110 section 9.3.6).
///
/// # Errors
/// [`Refusal::TargetForm`] for anything else.
pub fn check_with_port(authority: &[u8]) -> Result<(), Refusal> {
    match (check(authority), split(authority).1) {
        (Ok(()), Some(_)) => Ok(()),
        _ => Err(Refusal::TargetForm),
    }
}

/// Takes port and trailing dot off the authority of `head`, as `options` say; `local_port` is the port of
/// the listener. What is matched afterwards is also what is forwarded.
pub fn strip(head: &mut RequestHead, options: &HostOptions, local_port: u16) {
    if *options == HostOptions::default() {
        return;
    }
    let authority = head.authority();
    let (host, port) = split(authority);
    let keeps_port = port.is_some_and(|text| match options.strip_port {
        StripPort::Keep => true,
        StripPort::Matching => parse_port(text) != Some(local_port),
        StripPort::Any => false,
    });
    let host_len = match host {
        [name @ .., b'.'] if options.strip_trailing_dot && !name.is_empty() => name.len(),
        _ => host.len(),
    };
    if !keeps_port {
        head.authority = head.authority.prefix(host_len);
    } else if host_len < host.len() {
        let joined = [&authority[..host_len], &authority[host.len()..]].concat();
        head.set_authority(&joined);
    }
}

/// 1 to 65535, without leading zeros: nobody behind us may read another number.
fn parse_port(text: &[u8]) -> Option<u16> {
    if text.is_empty() || text[0] == b'0' || text.len() > 5 {
        return None;
    }
    let mut port = 0u32;
    for &byte in text {
        if !byte.is_ascii_digit() {
            return None;
        }
        port = port * 10 + u32::from(byte - b'0');
    }
    u16::try_from(port).ok()
}

fn is_host(host: &[u8]) -> bool {
    match host {
        [b'[', address @ .., b']'] => {
            std::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
        }
        _ => {
            !host.is_empty()
                && host.len() <= 255
                && host.iter().all(|&byte| NAME_BYTES[byte as usize])
        }
    }
}

const NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] =
            (byte as u8).is_ascii_alphanumeric() || matches!(byte as u8, b'-' | b'.' | b'_' | b'~');
        byte += 1;
    }
    table
};
