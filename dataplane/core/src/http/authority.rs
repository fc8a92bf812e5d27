//! Host and port: what is a well-formed authority (T07), its parts, and what is taken off it before
//! matching (N07). Strict: registered names are letters, digits, `-`, `.`, `_` and `~`.

use core::net::Ipv6Addr;

use super::{Refusal, RequestHead};
use crate::config::listener::{HostOptions, StripPort};

/// Splits `host[:port]` at the colon of the port; the brackets of an IPv6 address stay with the
/// host.
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

/// Takes port and trailing dot off the authority of `head`, as `options` say; `local_port` is the
/// port of the listener. What is matched afterwards is also what is forwarded.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t07_well_formed_and_not() {
        for good in [
            "a",
            "a.b-c_d~1:1",
            "a.:65535",
            "127.0.0.1:80",
            "[::1]",
            "[2001:db8::1]:443",
            "[::ffff:1.2.3.4]",
        ] {
            assert_eq!(check(good.as_bytes()), Ok(()), "{good}");
        }
        for bad in [
            "",
            ":80",
            "a:",
            "a:0",
            "a:080",
            "a:65536",
            "a:999999",
            "a:+1",
            "a:1:2",
            "u@a",
            "a/b",
            "a,b",
            "a b",
            "a%2eb",
            "a?b",
            "a#b",
            "[]",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]:",
            "[::1%25lo]",
            "[a]",
            "a]",
            "\u{e9}",
            "a\t",
        ] {
            assert_eq!(check(bad.as_bytes()), Err(Refusal::Host), "{bad}");
        }
        assert_eq!(check(&[b'a'; 255]), Ok(()));
        assert_eq!(check(&[b'a'; 256]), Err(Refusal::Host));
    }

    #[test]
    fn host_and_port_are_parts() {
        assert_eq!(host(b"a.b:81"), b"a.b");
        assert_eq!(port(b"a.b:81"), Some(81));
        assert_eq!(host(b"[::1]:81"), b"[::1]");
        assert_eq!(port(b"[::1]"), None);
        assert_eq!(split(b"[::1"), (&b"[::1"[..], None));
    }

    #[test]
    fn n07_port_and_dot_are_stripped_as_configured() {
        let strip_to = |authority: &str, strip_port, strip_trailing_dot| {
            let mut head = RequestHead::default();
            head.set_authority(authority.as_bytes());
            strip(
                &mut head,
                &HostOptions {
                    strip_port,
                    strip_trailing_dot,
                },
                80,
            );
            String::from_utf8(head.authority().to_vec()).unwrap()
        };
        assert_eq!(strip_to("a.:80", StripPort::Keep, false), "a.:80");
        assert_eq!(strip_to("a.:80", StripPort::Keep, true), "a:80");
        assert_eq!(strip_to("a.:80", StripPort::Matching, false), "a.");
        assert_eq!(strip_to("a.:81", StripPort::Matching, true), "a:81");
        assert_eq!(strip_to("a.:81", StripPort::Any, true), "a");
        assert_eq!(strip_to("[::1]:81", StripPort::Any, true), "[::1]");
        assert_eq!(strip_to(".", StripPort::Any, true), ".");
    }
}
