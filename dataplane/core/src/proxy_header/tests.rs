//! Tables of headers, whole and byte by byte; the attack rows P01 to P06 that concern the bytes.

use super::*;
use crate::limits::{PROXY_LINE_BYTES_MAX, PROXY_V2_BYTES_MAX};

const V4: (&str, &str) = ("192.0.2.1:56324", "198.51.100.7:443");
const V6: (&str, &str) = ("[2001:db8::1]:1", "[2001:db8::2]:65535");

fn addresses((source, destination): (&str, &str)) -> Addresses {
    Addresses {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
    }
}

/// Decodes `bytes` with something behind; every prefix must be incomplete, or refused in the same
/// way.
fn decoded(bytes: &[u8]) -> Result<Decoded<'_>, Refusal> {
    let verdict = decode(bytes, Accept::default());
    for end in 0..bytes.len() {
        match (decode(&bytes[..end], Accept::default()), verdict) {
            (Ok(Step::Incomplete(more)), _) => assert!(more > 0 && more < PROXY_V2_BYTES_MAX),
            (Err(early), Err(late)) => assert_eq!(early, late, "after {end} bytes"),
            (Ok(Step::Complete(early)), Ok(Step::Complete(late))) => {
                assert_eq!(early, late, "after {end} bytes");
                assert!(end >= early.len);
            }
            (early, late) => panic!("{early:?} after {end} bytes, then {late:?}"),
        }
    }
    match verdict? {
        Step::Complete(decoded) => Ok(decoded),
        Step::Incomplete(_) => panic!("{bytes:?} is not complete"),
    }
}

fn check_line(line: &str, expect: Result<Option<(&str, &str)>, Refusal>) {
    let found = decoded(line.as_bytes()).map(|decoded| decoded.header.addresses);
    assert_eq!(found, expect.map(|ends| ends.map(addresses)), "{line:?}");
}

#[test]
fn p03_p06_lines() {
    let bad = Err(Refusal::Fields);
    check_line(
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\nGET",
        Ok(Some(V4)),
    );
    check_line(
        "PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n",
        Ok(Some(V6)),
    );
    check_line("PROXY UNKNOWN\r\n", Ok(None));
    check_line("PROXY UNKNOWN ffff::1 what ever\r\n", Ok(None));
    check_line(
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\n",
        Err(Refusal::Line),
    );
    check_line(
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324\r443",
        Err(Refusal::Line),
    );
    check_line("PROXY TCP4 192.0.2.1 198.51.100.7 56324\r\n", bad);
    check_line("PROXY TCP4 192.0.2.1 198.51.100.7 1 2 3\r\n", bad);
    check_line("PROXY TCP4  192.0.2.1 198.51.100.7 1 2\r\n", bad);
    check_line("PROXY TCP4 192.0.2.1 198.51.100.7 1 65536\r\n", bad);
    check_line("PROXY TCP4 192.0.2.1 198.51.100.7 01 2\r\n", bad);
    check_line("PROXY TCP4 192.0.2.1 198.51.100.7 +1 2\r\n", bad);
    check_line("PROXY TCP4 192.0.2.1 198.51.100.7  2\r\n", bad);
    check_line("PROXY TCP4 192.0.2.01 198.51.100.7 1 2\r\n", bad);
    check_line("PROXY TCP4 ::1 ::2 1 2\r\n", bad);
    check_line("PROXY TCP6 192.0.2.1 198.51.100.7 1 2\r\n", bad);
    check_line("PROXY UDP4 192.0.2.1 198.51.100.7 1 2\r\n", bad);
    check_line("PROXY tcp4 192.0.2.1 198.51.100.7 1 2\r\n", bad);
    check_line("PROXY \r\n", bad);
    assert_eq!(
        decoded(b"PROXY TCP4 \xff\r\n").unwrap_err(),
        Refusal::Fields
    );
}

#[test]
fn p03_a_line_has_107_bytes() {
    let line = |len: usize| format!("PROXY UNKNOWN {:x<1$}\r\n", "", len - 16);
    check_line(&line(PROXY_LINE_BYTES_MAX), Ok(None));
    check_line(&line(PROXY_LINE_BYTES_MAX + 1), Err(Refusal::Line));
    check_line(&line(8 * 1024), Err(Refusal::Line));
}

#[test]
fn p02_what_is_no_header_is_refused_at_once() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"\x16\x03\x01",
        b"PROXX",
        b"\r\n\r\nG",
        b"P\0",
    ] {
        assert_eq!(decoded(bytes).unwrap_err(), Refusal::Missing, "{bytes:?}");
    }
}

#[test]
fn versions_can_be_switched_off() {
    let only_v2 = Accept {
        v1: false,
        v2: true,
    };
    assert_eq!(
        decode(b"PROXY UNKNOWN\r\n", only_v2),
        Err(Refusal::Disallowed)
    );
    assert_eq!(decode(b"", only_v2), Ok(Step::Incomplete(1)));
    let only_v1 = Accept {
        v1: true,
        v2: false,
    };
    assert_eq!(decode(b"\r\n\r\n", only_v1), Err(Refusal::Disallowed));
}

/// A binary header.
fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend([command, family]);
    bytes.extend((block.len() as u16).to_be_bytes());
    bytes.extend(block);
    bytes
}

/// A TCP4 block with `tlvs` behind.
fn tcp4(tlvs: &[u8]) -> Vec<u8> {
    let mut block = vec![192, 0, 2, 1, 198, 51, 100, 7, 0xdc, 0x04, 1, 0xbb];
    block.extend(tlvs);
    block
}

fn check_v2(command: u8, family: u8, block: &[u8], expect: Result<Option<(&str, &str)>, Refusal>) {
    let bytes = v2(command, family, block);
    let found = decoded(&bytes).map(|decoded| decoded.header.addresses);
    assert_eq!(found, expect.map(|ends| ends.map(addresses)), "{bytes:?}");
}

#[test]
fn p06_families_and_commands() {
    check_v2(0x21, 0x11, &tcp4(b""), Ok(Some(V4)));
    check_v2(0x21, 0x11, &tcp4(b"\x04\0\x01x"), Ok(Some(V4)));
    check_v2(0x21, 0x00, b"", Ok(None));
    check_v2(0x21, 0x11, &tcp4(b"")[..11], Err(Refusal::Truncated));
    check_v2(0x21, 0x21, &tcp4(b""), Err(Refusal::Truncated));
    for family in [0x12, 0x22, 0x31, 0x01, 0x41, 0x10, 0xff] {
        check_v2(0x21, family, &[0; 216], Err(Refusal::Family));
    }
    for command in [0x22, 0x2f, 0x11, 0x31, 0x00] {
        check_v2(command, 0x11, &tcp4(b""), Err(Refusal::Command));
    }
}

#[test]
fn p05_local_keeps_the_connections_own_addresses() {
    check_v2(0x20, 0x11, &tcp4(b"\xff\xff\xff"), Ok(None));
    check_v2(0x20, 0xee, b"anything", Ok(None));
}

#[test]
fn p03_length_and_walk() {
    let longest = vec![0; PROXY_V2_BYTES_MAX - 16 - 12 - 3];
    let mut tlvs = vec![TlvKind::NOOP.0];
    tlvs.extend((longest.len() as u16).to_be_bytes());
    tlvs.extend(&longest);
    check_v2(0x21, 0x11, &tcp4(&tlvs), Ok(Some(V4)));
    check_v2(
        0x21,
        0x11,
        &vec![0; PROXY_V2_BYTES_MAX - 15],
        Err(Refusal::Length),
    );
    for tlvs in [&b"\x02"[..], b"\x02\0", b"\x02\0\x02a", b"\x04\0\0\x04\0"] {
        check_v2(0x21, 0x11, &tcp4(tlvs), Err(Refusal::Truncated));
    }
}

#[test]
fn values_of_known_kinds_are_checked() {
    let bad: [&[u8]; 4] = [
        b"\x20\0\x04\x01\0\0\0",
        b"\x20\0\x07\x01\0\0\0\0\x21\0",
        b"\x03\0\x03abc",
        b"\x03\0\x04abcd\x03\0\x04abcd",
    ];
    for tlvs in bad {
        check_v2(0x21, 0x11, &tcp4(tlvs), Err(Refusal::Value));
    }
    let mut long = vec![TlvKind::UNIQUE_ID.0, 0, 129];
    long.extend([b'u'; 129]);
    check_v2(0x21, 0x11, &tcp4(&long), Err(Refusal::Value));
}

#[test]
fn p04_a_changed_header_fails_its_checksum() {
    let mut bytes = Vec::new();
    let header = Outgoing {
        addresses: Some(addresses(V4)),
        authority: Some(b"a.test"),
        checksum: true,
        ..Outgoing::default()
    };
    encode_v2(&header, &mut bytes).unwrap();
    assert!(decoded(&bytes).is_ok());
    // But for the kind of the checksum itself: another kind is another header.
    let kind_at = bytes.len() - 7;
    for at in (16..bytes.len()).filter(|&at| at != kind_at) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x40;
        assert!(decode(&changed, Accept::default()).is_err(), "byte {at}");
    }
}

#[test]
fn all_that_is_written_is_read() {
    let ssl = OutgoingSsl {
        version: b"TLSv1.3",
        cipher: b"TLS_AES_128_GCM_SHA256",
        has_certificate: true,
        common_name: Some(b"client"),
    };
    for ends in [Some(addresses(V4)), Some(addresses(V6)), None] {
        let header = Outgoing {
            addresses: ends,
            alpn: Some(b"h2"),
            authority: Some(b"a.test"),
            unique_id: Some(b"0123"),
            ssl: Some(ssl),
            others: &[(TlvKind(0xe0), b"own")],
            checksum: true,
        };
        let mut bytes = b"before".to_vec();
        encode_v2(&header, &mut bytes).unwrap();
        let found = decoded(&bytes[6..]).unwrap();
        assert_eq!(found.len, bytes.len() - 6);
        assert_eq!(found.header.addresses, ends);
        if ends.is_some() {
            read_back(found.header.tlvs);
        }
    }
}

fn read_back(tlvs: Tlvs<'_>) {
    assert_eq!(tlvs.value(TlvKind::ALPN), Some(&b"h2"[..]));
    assert_eq!(tlvs.value(TlvKind::AUTHORITY), Some(&b"a.test"[..]));
    assert_eq!(tlvs.value(TlvKind::UNIQUE_ID), Some(&b"0123"[..]));
    assert_eq!(tlvs.value(TlvKind(0xe0)), Some(&b"own"[..]));
    let ssl = tlvs.ssl().unwrap();
    assert!(ssl.by_tls && ssl.certificate_on_connection && ssl.verified);
    assert_eq!(ssl.facts.value(TlvKind::SSL_VERSION), Some(&b"TLSv1.3"[..]));
    assert_eq!(ssl.facts.value(TlvKind::SSL_CN), Some(&b"client"[..]));
    assert!(ssl.facts.value(TlvKind::SSL_CIPHER).is_some());
}

#[test]
fn lines_are_written_as_they_are_read() {
    let check = |ends: Option<(&str, &str)>, expect: &str| {
        let mut out = Vec::new();
        encode_v1(ends.map(addresses), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expect);
    };
    check(None, "PROXY UNKNOWN\r\n");
    check(Some(V4), "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n");
    check(Some(V6), "PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n");
    check(
        Some(("192.0.2.1:5", "[2001:db8::2]:443")),
        "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 5 443\r\n",
    );
}

#[test]
fn what_is_too_long_is_not_written() {
    let value = vec![0; PROXY_V2_BYTES_MAX];
    let mut out = b"before".to_vec();
    let header = Outgoing {
        others: &[(TlvKind(0xe0), &value)],
        ..Outgoing::default()
    };
    assert_eq!(encode_v2(&header, &mut out), Err(TooLong));
    let header = Outgoing {
        unique_id: Some(&value[..129]),
        ..Outgoing::default()
    };
    assert_eq!(encode_v2(&header, &mut out), Err(TooLong));
    assert_eq!(out, b"before");
}

#[test]
fn refusals_speak() {
    for (index, refusal) in Refusal::ALL.iter().enumerate() {
        assert_eq!(*refusal as usize, index);
        assert!(!refusal.label().is_empty() && refusal.text().len() > 40);
    }
}
