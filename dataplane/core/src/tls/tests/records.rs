//! Records once the handshake is done: in place, in pieces, key updates, closures, damage.

use std::io::Write;
use std::sync::Arc;

use super::world::*;
use crate::fault::Side;
use crate::limits::{BUFFER_PAYLOAD, TLS_IDLE_RECORDS_MAX};
use crate::tls::record::{ALERT, APPLICATION_DATA, HANDSHAKE};
use crate::tls::*;

const BOTH: [Version; 2] = [Version::Tls12, Version::Tls13];

/// Two open streams of ours: client, server.
fn opened(version: Version) -> (Us, Us) {
    let parameters = Parameters {
        version_max: version,
        ..Parameters::default()
    };
    let mut client = client(&ConnectorConfig {
        parameters,
        ..connector_config()
    });
    let mut server = server(&acceptor_config());
    pump_ours(&mut client, &mut server, 16_384).unwrap();
    assert_eq!(server.facts().version, version);
    (client, server)
}

#[test]
fn a_whole_record_is_opened_in_the_buffer_it_came_in() {
    for version in BOTH {
        let (mut client, mut server) = opened(version);
        client.send(b"in place").unwrap();
        let mut buffer = server.pool.take().unwrap();
        buffer.fill_from(&client.take_wire());
        let at = buffer.as_slice().as_ptr();
        let Us {
            stream, pool, out, ..
        } = &mut server;
        stream.received(buffer, pool, out).unwrap();
        let [Output::Plain(plain)] = &out[..] else {
            panic!("{out:?}");
        };
        assert_eq!(plain.as_slice(), b"in place");
        let offset = plain.as_slice().as_ptr().addr() - at.addr();
        assert_eq!(offset, if version == Version::Tls12 { 13 } else { 5 });
        server.sort();
    }
}

#[test]
fn many_records_of_one_buffer_leave_in_one() {
    for version in BOTH {
        let (mut client, mut server) = opened(version);
        for part in [&b"one "[..], b"two ", b"three"] {
            client.send(part).unwrap();
        }
        let mut buffer = server.pool.take().unwrap();
        buffer.fill_from(&client.take_wire());
        let Us {
            stream, pool, out, ..
        } = &mut server;
        stream.received(buffer, pool, out).unwrap();
        assert!(matches!(&out[..], [Output::Plain(b)] if b.as_slice() == b"one two three"));
        server.sort();
    }
}

#[test]
fn a_buffer_is_sealed_where_it_is() {
    for version in BOTH {
        let (mut client, _server) = opened(version);
        let mut buffer = client.pool.take().unwrap();
        buffer.fill_from(&pattern(BUFFER_PAYLOAD));
        let at = buffer.as_slice().as_ptr().addr();
        let Us {
            stream, pool, out, ..
        } = &mut client;
        stream.seal(buffer, pool, out).unwrap();
        let [Output::Cipher(sealed)] = &out[..] else {
            panic!("{out:?}");
        };
        assert!(at - sealed.as_slice().as_ptr().addr() <= 13);
        client.sort();
    }
}

/// A head in front of a full buffer makes it longer than a record; buffers without room around
/// their window are copied.
#[test]
fn windows_of_any_place_and_size() {
    for version in BOTH {
        let (mut client, mut server) = opened(version);
        let mut said = Vec::new();
        for (start, len) in [
            (0, 100),
            (3, 16_900),
            (100, 16_800),
            (512, 16_448),
            (16_000, 960),
            (512, 0),
        ] {
            let mut buffer = client.pool.take().unwrap();
            let part = pattern(len);
            buffer.set_window(start..start + len);
            buffer.as_mut_slice().copy_from_slice(&part);
            client
                .stream
                .seal(buffer, &mut client.pool, &mut client.out)
                .unwrap();
            client.sort();
            said.extend(part);
        }
        server.receive(&client.take_wire(), 16_384).unwrap();
        assert!(server.plain == said);
    }
}

#[test]
fn pieces_of_every_size() {
    for version in BOTH {
        let (mut client, mut server) = opened(version);
        let said = pattern(40_000);
        for cut in [3, 255, 256, 257, 300, 1000, 4096, 16_000, 16_384] {
            client.send(&said).unwrap();
            server.receive(&client.take_wire(), cut).unwrap();
            assert!(server.plain == said, "{version:?} by {cut}");
            assert_eq!(server.pool.in_use(), 0);
            server.plain.clear();
        }
    }
}

#[test]
fn an_incomplete_record_holds_one_buffer_or_none() {
    let (mut client, mut server) = opened(Version::Tls13);
    client.send(&pattern(2000)).unwrap();
    let wire = client.take_wire();
    server.receive(&wire[..200], 100).unwrap();
    assert_eq!(server.pool.in_use(), 0);
    server.receive(&wire[200..1500], 100).unwrap();
    assert_eq!(server.pool.in_use(), 1);
    server.receive(&wire[1500..], 100).unwrap();
    assert_eq!(server.pool.in_use(), 0);
    assert!(server.plain == pattern(2000));
}

#[test]
fn closures() {
    for version in BOTH {
        let (mut client, mut server) = opened(version);
        client.send(b"last words").unwrap();
        client.close();
        client.close();
        let mut wire = client.take_wire();
        wire.extend(b"what comes behind is ignored");
        server.receive(&wire, 9).unwrap();
        assert_eq!(server.plain, b"last words");
        assert_eq!(server.stream.state(), State::Ended);
        assert_eq!(server.stream.ended(&mut server.pool), Ok(Ending::Clean));
        server.send(b"answer").unwrap();
        client.receive(&server.take_wire(), 9).unwrap();
        assert_eq!(client.plain, b"answer");
        assert_eq!(
            client.stream.ended(&mut client.pool),
            Ok(Ending::Unannounced)
        );
        let after = client.send(b"too late").map_err(|fault| fault.side);
        assert_eq!(after, Err(Side::Local));
    }
}

#[test]
fn an_end_in_the_middle_of_a_record_is_a_truncation() {
    for (version, kept) in BOTH
        .into_iter()
        .flat_map(|version| [(version, 3), (version, 900)])
    {
        let (mut client, mut server) = opened(version);
        client.send(&pattern(1000)).unwrap();
        server.receive(&client.take_wire()[..kept], 16_384).unwrap();
        let ended = server.stream.ended(&mut server.pool);
        assert_eq!(ended, Err(fault(Side::Downstream, Failure::Truncated)));
    }
}

#[test]
fn a_changed_record_does_not_open() {
    for version in BOTH {
        for at in [5, 20, 60] {
            let (mut client, mut server) = opened(version);
            client.send(&pattern(50)).unwrap();
            let mut wire = client.take_wire();
            wire[at] ^= 1;
            let refused = server.receive(&wire, 16_384);
            assert_eq!(refused, Err(fault(Side::Downstream, Failure::Decrypt)));
            let told = client.receive(&server.take_wire(), 16_384);
            assert_eq!(told, Err(fault(Side::Upstream, Failure::AlertReceived)));
        }
        let (mut client, mut server) = opened(version);
        client.send(b"once").unwrap();
        let wire = client.take_wire();
        server.receive(&wire, 16_384).unwrap();
        let again = server.receive(&wire, 16_384);
        assert_eq!(
            again,
            Err(fault(Side::Downstream, Failure::Decrypt)),
            "a replay"
        );
    }
}

#[test]
fn what_is_no_record_is_refused() {
    let check = |bytes: &[u8], failure| {
        let (_client, mut server) = opened(Version::Tls13);
        assert_eq!(
            server.receive(bytes, 99),
            Err(fault(Side::Downstream, failure))
        );
    };
    check(b"GET / HTTP/1.1\r\n", Failure::NotTls);
    check(b"\x17\x02\x03\0\x10", Failure::NotTls);
    check(b"\x17\x03\x03\x41\x01", Failure::RecordTooLong);
    check(b"\x17\x03\x03\0\0", Failure::Decrypt);
    check(b"\x14\x03\x03\0\x01\x01", Failure::Protocol);
    check(b"\x15\x03\x03\0\x02\x01\0", Failure::Protocol);
}

/// What only a peer with the keys can do wrong.
#[test]
fn records_that_are_out_of_place() {
    let check = |version, records: &[(u8, &[u8])], expect: Result<(), Failure>| {
        let (mut client, mut server) = opened(version);
        for (kind, plain) in records {
            let Us {
                stream, pool, out, ..
            } = &mut client;
            stream.opened().seal_one(*kind, plain, pool, out).unwrap();
            client.sort();
        }
        let received = server.receive(&client.take_wire(), 16_384);
        let expect = expect.map_err(|failure| fault(Side::Downstream, failure));
        assert_eq!(received, expect, "{version:?} {records:?}");
    };
    let (old, new) = (Version::Tls12, Version::Tls13);
    let broken = Err(Failure::Protocol);
    check(new, &[(HANDSHAKE, b"")], broken);
    check(new, &[(HANDSHAKE, b"\x04\0\0\x01x")], broken);
    check(new, &[(HANDSHAKE, b"\x01\0\0\x01x")], broken);
    check(new, &[(HANDSHAKE, b"\x18\0\0\x01\x02")], broken);
    check(new, &[(HANDSHAKE, b"\x18\0\0\x01\0\x18\0\0\x01\0")], broken);
    check(
        new,
        &[(HANDSHAKE, b"\x18\0"), (APPLICATION_DATA, b"between")],
        broken,
    );
    check(new, &[(HANDSHAKE, b"\x18\0"), (ALERT, b"\x01\0")], broken);
    check(
        new,
        &[(HANDSHAKE, b"\x18\0"), (HANDSHAKE, b"\0\x01\0")],
        Ok(()),
    );
    check(
        new,
        &[(HANDSHAKE, b"\x18\xff\xff\xff")],
        Err(Failure::HandshakeTooLong),
    );
    check(new, &[(99, b"unknown")], broken);
    check(new, &[(ALERT, b"\x01")], broken);
    check(new, &[(ALERT, b"\x01\x5a")], Ok(()));
    check(new, &[(ALERT, b"\x01\x64")], Err(Failure::AlertReceived));
    check(
        new,
        &[(ALERT, b"\x02\x30")],
        Err(Failure::CertificateRefused),
    );
    check(old, &[(ALERT, b"\x01\x64")], Ok(()));
    check(old, &[(HANDSHAKE, b"\0\0\0\0")], Ok(()));
    check(
        old,
        &[(HANDSHAKE, b"\0\0\0\0"), (HANDSHAKE, b"\0\0\0\0")],
        Err(Failure::Renegotiation),
    );
    let many = usize::from(TLS_IDLE_RECORDS_MAX);
    let empty: (u8, &[u8]) = (APPLICATION_DATA, b"");
    for version in [old, new] {
        check(version, &vec![empty; many], Ok(()));
        check(version, &vec![empty; many + 1], Err(Failure::Flood));
    }
    check(
        new,
        &vec![(ALERT, &b"\x01\x5a"[..]); many + 1],
        Err(Failure::Flood),
    );
}

#[test]
fn keys_are_renewed_both_ways() {
    let mut us = server(&acceptor_config());
    let mut them = their_client(&Arc::new(their_client_config(&[Version::Tls13])), "a.test");
    pump(&mut us, &mut them, 16_384).unwrap();
    for round in 0..50 {
        them.refresh_traffic_keys().unwrap();
        them.writer().write_all(b"more").unwrap();
        pump(&mut us, &mut them, 16_384).unwrap();
        us.send(&[round]).unwrap();
        pump(&mut us, &mut them, 16_384).unwrap();
        let mut read = [0; 1];
        std::io::Read::read_exact(&mut them.reader(), &mut read).unwrap();
        assert_eq!(read, [round]);
    }
    assert_eq!(us.plain.len(), 200);
}

#[test]
fn a_worn_key_is_replaced_or_ends_the_connection() {
    let (mut client, mut server) = opened(Version::Tls13);
    client.stream.opened().wear_out();
    client.send(&pattern(40_000)).unwrap();
    server.receive(&client.take_wire(), 16_384).unwrap();
    assert!(server.plain == pattern(40_000));
    let (mut client, _server) = opened(Version::Tls12);
    client.stream.opened().wear_out();
    assert_eq!(
        client.send(b"x"),
        Err(fault(Side::Upstream, Failure::KeyWorn))
    );
}

#[test]
fn without_buffers_nothing_is_sealed_by_halves() {
    let (mut client, _server) = opened(Version::Tls13);
    let mut taken: Vec<_> = std::iter::from_fn(|| client.pool.take()).collect();
    client.pool.give(taken.pop().unwrap());
    let sealed = client
        .stream
        .seal_copy(&pattern(20_000), &mut client.pool, &mut client.out);
    assert_eq!(
        sealed.map_err(|fault| fault.cause),
        Err(crate::fault::Cause::Exhausted)
    );
    assert!(client.out.is_empty());
    taken
        .into_iter()
        .for_each(|buffer| client.pool.give(buffer));
}

#[test]
fn nothing_shows_a_key() {
    let (client, _server) = opened(Version::Tls13);
    assert_eq!(format!("{:?}", client.stream), "Stream(Upstream, Open)");
}
