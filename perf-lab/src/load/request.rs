//! The requests of a load, built once.

use std::fmt::Write as _;

use penstock_core::chance::Chance;

use super::Load;
use crate::outgoing::Outgoing;

/// Requests that differ in their fields; each is sent in turn.
const VARIANTS: usize = 64;
/// Longest value of a field of random size.
const VALUE_MAX: u64 = 64;
const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

pub(super) fn build(load: &Load) -> Vec<Outgoing> {
    let mut chance = Chance::new(load.seed);
    let count = if load.random_fields > 0 { VARIANTS } else { 1 };
    (0..count).map(|_| one(load, &mut chance)).collect()
}

fn one(load: &Load, chance: &mut Chance) -> Outgoing {
    let method = if load.body.is_some() { "POST" } else { "GET" };
    let mut head = format!("{method} {} HTTP/1.1\r\nHost: {}\r\n", load.path, load.host);
    for field in &load.fields {
        head.push_str(field);
        head.push_str("\r\n");
    }
    if load.cookie > 0 {
        let value = text(load.cookie - load.cookie.min(2), chance);
        // Writing to a String cannot fail.
        let _ = write!(head, "Cookie: c={value}\r\n");
    }
    for number in 0..load.random_fields {
        let value = text(1 + chance.below(VALUE_MAX) as usize, chance);
        let _ = write!(head, "X-Field-{number}: {value}\r\n");
    }
    if !load.keep_alive {
        head.push_str("Connection: close\r\n");
    }
    body(load, head)
}

fn body(load: &Load, mut head: String) -> Outgoing {
    let Some(length) = load.body else {
        return Outgoing::plain((head + "\r\n").into_bytes(), 0);
    };
    head.push_str("X-Pattern: 1\r\n");
    if load.chunked {
        head.push_str("Transfer-Encoding: chunked\r\n\r\n");
        return Outgoing::chunked(head.into_bytes(), length, b"0\r\n\r\n");
    }
    let _ = write!(head, "Content-Length: {length}\r\n\r\n");
    Outgoing::plain(head.into_bytes(), length)
}

fn text(length: usize, chance: &mut Chance) -> String {
    let letter = |_| LETTERS[chance.below(LETTERS.len() as u64) as usize] as char;
    (0..length).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::*;

    fn text(request: &Outgoing) -> String {
        let mut slices = [IoSlice::new(&[]); 4];
        let count = request.slices(0, u64::MAX, &mut slices);
        let bytes: Vec<u8> = slices[..count]
            .iter()
            .flat_map(|slice| slice.to_vec())
            .collect();
        String::from_utf8(bytes).expect("heads are text")
    }

    #[test]
    fn random_fields_differ_and_come_again() {
        let mut load = Load::new(([127, 0, 0, 1], 1).into(), "/");
        (load.random_fields, load.cookie) = (20, 1024);
        let requests = build(&load);
        assert_eq!(requests.len(), VARIANTS);
        assert_eq!(requests, build(&load));
        assert_ne!(requests[0], requests[1]);
        let first = text(&requests[0]);
        let cookie = first.lines().find_map(|line| line.strip_prefix("Cookie: "));
        assert_eq!(cookie.map(str::len), Some(1024));
        assert_eq!(first.matches("\r\nX-Field-").count(), 20);
        assert!(first.ends_with("\r\n\r\n"));
    }
}
