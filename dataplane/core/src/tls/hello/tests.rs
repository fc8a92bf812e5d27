//! Hellos of a real client and built ones, in every split; what is refused, and when.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;

/// What a chain could be chosen by.
#[derive(PartialEq, Debug)]
struct Seen {
    name: Option<String>,
    alpn: Vec<Vec<u8>>,
    version_max: u16,
}

/// The verdict; every prefix must be incomplete or refused for the same reason.
fn check(bytes: &[u8], expect: Result<Seen, Refusal>) {
    for end in 0..bytes.len() {
        match (look(&bytes[..end]), &expect) {
            (Ok(None), _) => {}
            (Err(early), Err(late)) => assert_eq!(early, *late, "after {end} bytes"),
            (early, late) => panic!("{early:?} after {end} bytes, then {late:?}"),
        }
    }
    let found = look(bytes).map(|seen| seen.expect("complete"));
    assert_eq!(found, expect);
}

fn look(bytes: &[u8]) -> Result<Option<Seen>, Refusal> {
    Ok(match peek(bytes, &mut Vec::new())? {
        Step::Incomplete => None,
        Step::NotTls => panic!("not TLS"),
        Step::Complete(hello) => Some(Seen {
            name: hello.server_name.map(str::to_owned),
            alpn: hello.alpn.iter().map(<[u8]>::to_vec).collect(),
            version_max: hello.version_max,
        }),
    })
}

fn seen(name: Option<&str>, alpn: &[&str], version_max: u16) -> Result<Seen, Refusal> {
    Ok(Seen {
        name: name.map(str::to_owned),
        alpn: alpn.iter().map(|name| name.as_bytes().to_vec()).collect(),
        version_max,
    })
}

/// A message in records of at most `fragment` bytes.
fn records(message: &[u8], fragment: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for part in message.chunks(fragment) {
        out.extend([HANDSHAKE, 3, 1]);
        out.extend((part.len() as u16).to_be_bytes());
        out.extend(part);
    }
    out
}

fn vector16(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

/// A message with these extensions.
fn message(extensions: &[(u16, &[u8])]) -> Vec<u8> {
    let mut list = Vec::new();
    for (kind, value) in extensions {
        list.extend(kind.to_be_bytes());
        list.extend(vector16(value));
    }
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    body.extend(vector16(&list));
    let len = (body.len() as u32).to_be_bytes();
    [&[CLIENT_HELLO], &len[1..], &body].concat()
}

fn name(name: &[u8]) -> Vec<u8> {
    vector16(&[&[0], &vector16(name)[..]].concat())
}

fn check_name(bytes: &[u8], expect: Result<Option<&str>, Refusal>) {
    let message = message(&[(SERVER_NAME, &name(bytes))]);
    let expect = expect.and_then(|name| seen(name, &[], 0x0303));
    check(&records(&message, 1 << 14), expect);
}

/// What rustls sends as a client.
fn real(alpn: &[&str]) -> Vec<u8> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = "Gateway.example.test".try_into().unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_real_hello_in_one_record_and_in_many() {
    let bytes = real(&["h2", "http/1.1"]);
    let expect = || seen(Some("Gateway.example.test"), &["h2", "http/1.1"], 0x0304);
    check(&bytes, expect());
    for fragment in [1, 2, 3, 5, 64, 500] {
        check(&records(&bytes[5..], fragment), expect());
    }
    let behind = [&bytes[..], b"\x14\x03\x03\0\x01\x01"].concat();
    assert_eq!(look(&behind), expect().map(Some));
}

#[test]
fn extensions_may_be_missing() {
    check(&records(&message(&[]), 9), seen(None, &[], 0x0303));
    let mut bare = message(&[]);
    bare.truncate(bare.len() - 2);
    bare[3] -= 2;
    check(&records(&bare, 1 << 14), seen(None, &[], 0x0303));
}

#[test]
fn versions() {
    let newest = |list: &[u8]| message(&[(SUPPORTED_VERSIONS, list)]);
    check(
        &records(&newest(b"\x04\x03\x03\x03\x04"), 99),
        seen(None, &[], 0x0304),
    );
    check(
        &records(&newest(b"\x06\x7a\x7a\x03\x02\x03\x01"), 99),
        seen(None, &[], 0x0302),
    );
    for list in [
        &b""[..],
        b"\0",
        b"\x01\x03",
        b"\x03\x03\x04\x03",
        b"\x02\x03\x04\x03",
    ] {
        check(&records(&newest(list), 99), Err(Refusal::Malformed));
    }
}

#[test]
fn names() {
    check_name(b"a.test", Ok(Some("a.test")));
    check_name(
        b"outbound_.80_._.a.b.svc.cluster.local",
        Ok(Some("outbound_.80_._.a.b.svc.cluster.local")),
    );
    check_name(b"192.0.2.1", Ok(None));
    for bad in [
        &b""[..],
        b"a\0.test",
        b"a test",
        b"a/b",
        b"*.test",
        b"\xff",
        &[b'a'; 256],
    ] {
        check_name(bad, Err(Refusal::ServerName));
    }
    let two = [&name(b"a")[2..], &name(b"b")[2..]].concat();
    for value in [
        vector16(&two),
        vector16(b"\x01\0\x01a"),
        vector16(b""),
        b"\0".to_vec(),
    ] {
        let message = message(&[(SERVER_NAME, &value)]);
        check(&records(&message, 1 << 14), Err(Refusal::ServerName));
    }
}

#[test]
fn protocols_are_not_empty() {
    for list in [
        &b""[..],
        b"\0",
        b"\0\0",
        b"\0\x01\0",
        b"\0\x02\x02h",
        b"\0\x02\x01hx",
    ] {
        let message = message(&[(ALPN, list)]);
        check(&records(&message, 1 << 14), Err(Refusal::Malformed));
    }
}

#[test]
fn an_extension_that_counts_stands_once() {
    let twice = [(SERVER_NAME, &name(b"a")[..]), (SERVER_NAME, &name(b"b"))];
    check(&records(&message(&twice), 1 << 14), Err(Refusal::Malformed));
    let grease = [(0x0a0a, &b""[..]), (0x0a0a, b"")];
    check(
        &records(&message(&grease), 1 << 14),
        seen(None, &[], 0x0303),
    );
}

#[test]
fn lengths_must_agree() {
    let sound = records(&message(&[(ALPN, b"\0\x03\x02h2")]), 1 << 14);
    // Session id, suites, compressions, extensions, and the extension's own length.
    for at in [43, 45, 48, 51, 55] {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        assert_eq!(look(&bytes), Err(Refusal::Malformed), "byte {at}");
    }
}

#[test]
fn other_protocols_are_told_at_the_first_byte_that_differs() {
    for bytes in [
        &b"G"[..],
        b"PRI * HTTP/2.0",
        b"\x80\x2e\x01",
        b"\x16\x02",
        b"\x15\x03\x01",
    ] {
        assert_eq!(peek(bytes, &mut Vec::new()), Ok(Step::NotTls), "{bytes:?}");
    }
    assert_eq!(peek(b"", &mut Vec::new()), Ok(Step::Incomplete));
}

#[test]
fn framing() {
    check(b"\x16\x03\x01\0\0", Err(Refusal::Framing));
    check(b"\x16\x03\x01\x40\x01", Err(Refusal::Framing));
    check(b"\x16\x03\x01\0\x05\x02", Err(Refusal::Framing));
    let mut bytes = records(&message(&[]), 20);
    bytes[25] = 0x17;
    assert_eq!(look(&bytes), Err(Refusal::Framing));
}

/// A hello of 40 KB is refused as soon as it says so, and one in tiny records once it has brought
/// 16 KiB.
#[test]
fn a_hello_that_is_too_long() {
    let long = message(&[(0xfafa, &[0; 40_000])]);
    assert_eq!(look(&records(&long, 1 << 14)[..9]), Err(Refusal::TooLong));
    let most = message(&[(0xfafa, &[0; 10_000])]);
    let tiny = records(&most, 1);
    assert_eq!(look(&tiny[..CLIENT_HELLO_BYTES_MAX - 1]), Ok(None));
    assert_eq!(look(&tiny[..CLIENT_HELLO_BYTES_MAX]), Err(Refusal::TooLong));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..9) {
        let framed = [&[HANDSHAKE, 3, 1, 0, 199, CLIENT_HELLO, 0, 0, 195][..cut], &bytes].concat();
        let _ = peek(&framed, &mut Vec::new());
    }

    #[test]
    fn damage_never_panics(at in 0usize..500, byte in any::<u8>()) {
        let mut bytes = real(&["h2"]);
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = peek(&bytes, &mut Vec::new());
    }
}
