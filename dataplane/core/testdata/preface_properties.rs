//! What must hold for any bytes that a connection begins with: PROXY header and ClientHello.
//! Property tests and fuzz targets include this file by path. Each function panics when its
//! property is broken.

use penstock_core::limits::{CLIENT_HELLO_BYTES_MAX, PROXY_V2_BYTES_MAX};
use penstock_core::proxy_header::{Accept, Outgoing, Step, Version, decode, encode_v1, encode_v2};
use penstock_core::tls::hello;

/// Short bytes never change a verdict that longer ones give, nothing is waited for beyond the
/// bound, and what is written for a header reads as the same addresses.
pub(crate) fn proxy_header(bytes: &[u8]) {
    let accept = Accept::default();
    let verdict = decode(bytes, accept);
    for end in ends(bytes.len()) {
        match (decode(&bytes[..end], accept), verdict) {
            (Ok(Step::Incomplete(more)), _) => assert!(0 < more && more <= PROXY_V2_BYTES_MAX),
            (early, late) => assert_eq!(early, late),
        }
    }
    let Ok(Step::Complete(found)) = verdict else {
        assert!(verdict.is_err() || bytes.len() < PROXY_V2_BYTES_MAX);
        return;
    };
    assert!(found.len <= bytes.len());
    found.header.tlvs.ssl();
    let mut out = Vec::new();
    match found.header.version {
        Version::V1 => encode_v1(found.header.addresses, &mut out),
        Version::V2 => {
            let header = Outgoing {
                addresses: found.header.addresses,
                checksum: true,
                ..Outgoing::default()
            };
            encode_v2(&header, &mut out).expect("without TLVs it is short");
        }
    }
    let Ok(Step::Complete(again)) = decode(&out, accept) else {
        panic!("{out:?} does not read as a header");
    };
    assert_eq!(again.header.addresses, found.header.addresses);
    assert_eq!(again.len, out.len());
}

/// Short bytes never change a verdict that longer ones give, and nothing is waited for beyond the
/// bound.
pub(crate) fn client_hello(bytes: &[u8]) {
    let (mut late, mut early) = (Vec::new(), Vec::new());
    let verdict = hello::peek(bytes, &mut late);
    for end in ends(bytes.len()) {
        match hello::peek(&bytes[..end], &mut early) {
            Ok(hello::Step::Incomplete) => {}
            found => assert_eq!(found, verdict),
        }
    }
    match verdict {
        Ok(hello::Step::Complete(hello)) => {
            assert!(hello.alpn.iter().all(|name| !name.is_empty()));
            assert!(
                hello
                    .server_name
                    .is_none_or(|name| name.is_ascii() && !name.is_empty())
            );
        }
        Ok(hello::Step::Incomplete) => assert!(bytes.len() < CLIENT_HELLO_BYTES_MAX),
        _ => {}
    }
}

/// Where to cut: everywhere in short bytes, now and then in long ones.
fn ends(len: usize) -> impl Iterator<Item = usize> {
    (0..len).step_by(1 + len / 64)
}

/// Where a search for more begins.
#[allow(dead_code, reason = "for the fuzz corpus")]
pub(crate) const PROXY_HEADERS: &[&[u8]] = &[
    b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n",
    b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n",
    b"PROXY UNKNOWN\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x07\xdc\x04\x01\xbb",
    b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\x14\x02\0\x01a\x04\0\0\x20\0\x05\x01\0\0\0\0\x05\0\x01u",
];
/// See [`PROXY_HEADERS`].
#[allow(dead_code, reason = "for the fuzz corpus")]
pub(crate) const CLIENT_HELLOS: &[&[u8]] = &[
    b"\x16\x03\x01\0\x2d\x01\0\0\x29\x03\x03\
      0123456789abcdef0123456789abcdef\0\0\x02\x13\x01\x01\0",
    b"\x16\x03\x01\0\x50\x01\0\0\x4c\x03\x03\
      0123456789abcdef0123456789abcdef\0\0\x02\x13\x01\x01\0\0\x21\
      \0\0\0\x0b\0\x09\0\0\x06a.test\0\x10\0\x05\0\x03\x02h2\0\x2b\0\x05\x04\x03\x04\x03\x03",
    b"\x16\x03\x01\0\x04\x01\0\0\x29\x16\x03\x01\0\x29\x03\x03\
      0123456789abcdef0123456789abcdef\0\0\x02\x13\x01\x01\0",
];
