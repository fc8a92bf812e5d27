//! Handshakes with rustls at the other end, in every version, whole and in pieces.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::Connection;

use super::world::*;
use crate::fault::Side;
use crate::tls::*;

const BOTH: [Version; 2] = [Version::Tls12, Version::Tls13];

fn read(them: &mut Connection) -> Vec<u8> {
    let mut plain = Vec::new();
    // Ends with WouldBlock once there is no more.
    let _ = them.reader().read_to_end(&mut plain);
    plain
}

/// Both ends say `len` bytes to each other.
fn converse(us: &mut Us, them: &mut Connection, len: usize, cut: usize) {
    let said = pattern(len);
    for part in said.chunks(30_000) {
        us.send(part).unwrap();
        them.writer().write_all(part).unwrap();
        pump(us, them, cut).unwrap();
        assert!(read(them) == part, "what we said");
    }
    assert!(us.plain == said, "what they said");
    us.plain.clear();
}

#[test]
fn servers_and_their_clients() {
    for version in BOTH {
        for cut in [1, 2, 5, 100, 1500, 16_384] {
            let mut us = server(&acceptor_config());
            let mut config = their_client_config(&[version]);
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            let mut them = their_client(&Arc::new(config), "a.test");
            pump(&mut us, &mut them, cut).unwrap();
            assert_eq!(us.stream.state(), State::Open, "{version:?} by {cut}");
            let facts = us.facts();
            assert_eq!(facts.version, version);
            assert_eq!(facts.alpn.as_deref(), Some(&b"http/1.1"[..]));
            assert_eq!(facts.server_name.as_deref(), Some("a.test"));
            assert!(!facts.is_resumed && facts.chain.is_none());
            assert!(!facts.cipher().is_empty() && !facts.group().is_empty());
            assert!(us.stream.take_work() >= 1);
            converse(
                &mut us,
                &mut them,
                if cut == 1 { 2_000 } else { 100_000 },
                cut,
            );
        }
    }
}

#[test]
fn clients_and_their_servers() {
    for version in BOTH {
        for cut in [1, 3, 1000, 16_384] {
            let mut us = client(&connector_config());
            let mut them = their_server(&[version]);
            pump(&mut us, &mut them, cut).unwrap();
            let facts = us.facts();
            assert_eq!(facts.version, version);
            assert_eq!(facts.alpn.as_deref(), Some(&b"http/1.1"[..]));
            let own = facts.chain.as_ref().and_then(Chain::own).unwrap();
            assert_eq!(own.subject(), "O=Water\\, Ltd,CN=a.test");
            converse(
                &mut us,
                &mut them,
                if cut == 1 { 2_000 } else { 100_000 },
                cut,
            );
        }
    }
}

#[test]
fn every_cipher_suite() {
    for provider in rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES {
        let name = crate::tls::parameters::suite_name(provider.suite());
        let pair = match name.contains("-RSA-") {
            true => super::authority::Kind::Rsa,
            false => super::authority::Kind::Ecdsa,
        };
        let pair = authority().issue(&["a.test"], pair);
        let mut us = server(&AcceptorConfig {
            certificates: vec![super::world::pair(&pair)],
            ..acceptor_config()
        });
        let suites = rustls::crypto::CryptoProvider {
            cipher_suites: vec![*provider],
            ..rustls::crypto::aws_lc_rs::default_provider()
        };
        let config =
            rustls::ClientConfig::builder_with_details(Arc::new(suites), Arc::new(clock()))
                .with_protocol_versions(&[provider.version()])
                .unwrap()
                .with_root_certificates(roots())
                .with_no_client_auth();
        let mut them = their_client(&Arc::new(config), "a.test");
        pump(&mut us, &mut them, 16_384).unwrap();
        assert_eq!(us.facts().cipher(), name);
        converse(&mut us, &mut them, 40_000, 16_384);
    }
}

#[test]
fn the_key_exchange_is_hybrid() {
    let (mut us, mut them) = (client(&connector_config()), server(&acceptor_config()));
    pump_ours(&mut us, &mut them, 16_384).unwrap();
    assert_eq!(us.facts().group(), "X25519MLKEM768");
    assert_eq!(them.facts().group(), "X25519MLKEM768");
}

#[test]
fn what_comes_with_the_last_flight_is_not_lost() {
    let mut us = server(&acceptor_config());
    let mut them = their_client(&Arc::new(their_client_config(&[Version::Tls13])), "a.test");
    let mut hello = Vec::new();
    them.write_tls(&mut hello).unwrap();
    us.receive(&hello, 16_384).unwrap();
    feed(&mut them, &us.take_wire());
    let said = pattern(40_000);
    them.writer().write_all(&said).unwrap();
    let mut last = Vec::new();
    while them.wants_write() {
        them.write_tls(&mut last).unwrap();
    }
    us.receive(&last, 16_384).unwrap();
    assert!(us.plain == said);
}

/// Tickets of one acceptor are known to all that have its keys and rules, after a rotation too.
#[test]
fn visits_are_resumed() {
    for version in BOTH {
        let config = Arc::new(their_client_config(&[version]));
        let visit = |acceptor: &Acceptor| {
            let mut us = Us::new(acceptor.stream().unwrap());
            let mut them = their_client(&config, "a.test");
            pump(&mut us, &mut them, 16_384).unwrap();
            converse(&mut us, &mut them, 100, 16_384);
            us.facts().is_resumed
        };
        let first = Acceptor::new(&acceptor_config(), &clock()).unwrap();
        let keys = ticket_keys(1);
        assert!(!visit(&first));
        assert!(visit(&first));
        let rotated = first
            .with_ticket_keys(&keys.rotated([2; TICKET_KEY_BYTES], 1))
            .unwrap();
        assert!(visit(&rotated));
        let replaced = first.with_ticket_keys(&ticket_keys(3)).unwrap();
        assert!(!visit(&replaced));
        let other = AcceptorConfig {
            scope: "listener/other",
            tickets: Some(ticket_keys(3)),
            ..acceptor_config()
        };
        assert!(!visit(&Acceptor::new(&other, &clock()).unwrap()), "I07");
    }
}

#[test]
fn our_clients_resume_too() {
    for version in BOTH {
        let parameters = Parameters {
            version_max: version,
            ..Parameters::default()
        };
        let config = ConnectorConfig {
            parameters,
            ..connector_config()
        };
        let connector = Connector::new(&config, &clock()).unwrap();
        let acceptor = Acceptor::new(&acceptor_config(), &clock()).unwrap();
        let visit = |connector: &Connector| {
            let mut us = Us::new(connector.stream(None, [192, 0, 2, 1].into()).unwrap());
            let mut them = Us::new(acceptor.stream().unwrap());
            pump_ours(&mut us, &mut them, 16_384).unwrap();
            assert_eq!(us.facts().is_resumed, them.facts().is_resumed);
            us.facts().is_resumed
        };
        assert!(!visit(&connector));
        assert!(visit(&connector));
        assert!(
            !visit(&connector.own(true)),
            "another worker has its own memory"
        );
    }
}

#[test]
fn bounds_of_versions() {
    let newest = Parameters {
        version_min: Version::Tls13,
        ..Parameters::default()
    };
    let mut us = server(&AcceptorConfig {
        parameters: newest,
        ..acceptor_config()
    });
    let mut them = their_client(&Arc::new(their_client_config(&[Version::Tls12])), "a.test");
    let refused = pump(&mut us, &mut them, 16_384);
    assert_eq!(refused, Err(fault(Side::Downstream, Failure::Version)));
    assert_eq!(alert(&us.take_wire()), 70);
}

/// Description of the alert in the clear that is all there is.
fn alert(wire: &[u8]) -> u8 {
    assert_eq!((wire.len(), wire[0], wire[5]), (7, 21, 2), "{wire:?}");
    wire[6]
}

fn check_refused(bytes: &[u8], failure: Failure, description: Option<u8>) {
    for cut in [1, 16_384] {
        let mut us = server(&acceptor_config());
        let refused = us.receive(bytes, cut);
        assert_eq!(
            refused,
            Err(fault(Side::Downstream, failure)),
            "{failure:?} by {cut}"
        );
        assert_eq!(us.stream.state(), State::Failed);
        assert_eq!(
            description,
            Some(us.take_wire())
                .filter(|w| !w.is_empty())
                .map(|w| alert(&w))
        );
        us.receive(b"more", 4).unwrap();
        assert!(us.wire.is_empty());
    }
}

/// A ClientHello of TLS 1.1, with `more` as an extension of no meaning.
fn old_hello(version: u8, more: usize) -> Vec<u8> {
    let mut body = vec![3, version];
    body.extend([7; 32]);
    body.extend([0, 0, 4, 0xc0, 0x13, 0xc0, 0x09, 1, 0]);
    body.extend(((more + 4) as u16).to_be_bytes());
    body.extend([0xfa, 0xfa]);
    body.extend((more as u16).to_be_bytes());
    body.extend(vec![0; more]);
    let mut message = vec![1];
    message.extend(&(body.len() as u32).to_be_bytes()[1..]);
    message.extend(body);
    let mut wire = Vec::new();
    for part in message.chunks(1 << 14) {
        wire.extend([22, 3, 1]);
        wire.extend((part.len() as u16).to_be_bytes());
        wire.extend(part);
    }
    wire
}

#[test]
fn bad_clients_are_refused_with_an_alert() {
    check_refused(&old_hello(2, 0), Failure::Version, Some(70));
    check_refused(&old_hello(3, 40_000), Failure::HelloTooLong, Some(22));
    check_refused(
        b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        Failure::NotTls,
        Some(50),
    );
    check_refused(
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\xff",
        Failure::Protocol,
        Some(50),
    );
    check_refused(b"\x17\x03\x03\x00\x05hello", Failure::Protocol, Some(10));
    check_refused(b"\x15\x03\x01\x00\x02\x02\x28", Failure::Incompatible, None);
}

#[test]
fn no_protocol_in_common() {
    let mut us = server(&acceptor_config());
    let mut config = their_client_config(&BOTH);
    config.alpn_protocols = vec![b"h3".to_vec()];
    let mut them = their_client(&Arc::new(config), "a.test");
    let refused = pump(&mut us, &mut them, 16_384);
    assert_eq!(refused, Err(fault(Side::Downstream, Failure::Alpn)));
    feed(&mut them, &us.take_wire());
    let told = rustls::AlertDescription::NoApplicationProtocol;
    assert_eq!(
        them.process_new_packets(),
        Err(rustls::Error::AlertReceived(told))
    );
}

#[test]
fn a_name_may_be_required() {
    let config = AcceptorConfig {
        requires_name: true,
        ..acceptor_config()
    };
    let mut us = server(&config);
    let mut them = their_client(&Arc::new(their_client_config(&BOTH)), "192.0.2.1");
    let refused = pump(&mut us, &mut them, 16_384);
    assert_eq!(refused, Err(fault(Side::Downstream, Failure::ServerName)));
    assert_eq!(alert(&us.take_wire()), 112);
    let mut us = server(&config);
    let mut them = their_client(&Arc::new(their_client_config(&BOTH)), "a.test");
    pump(&mut us, &mut them, 16_384).unwrap();
}

#[test]
fn an_end_in_the_handshake_is_a_fault() {
    let mut us = server(&acceptor_config());
    us.receive(&old_hello(3, 0)[..20], 20).unwrap();
    let ended = us.stream.ended(&mut us.pool);
    assert_eq!(ended, Err(fault(Side::Downstream, Failure::HandshakeEnded)));
}

/// Every byte of a handshake changed once: never a panic, and never an open stream that believes
/// something else than the other end.
#[test]
fn damaged_handshakes() {
    for version in BOTH {
        let config = Arc::new(their_client_config(&[version]));
        for at in (0..1800).step_by(7) {
            let mut us = server(&acceptor_config());
            let mut them = their_client(&config, "a.test");
            let mut bytes = Vec::new();
            them.write_tls(&mut bytes).unwrap();
            let Some(byte) = bytes.get_mut(at) else { break };
            *byte ^= 0x11;
            if us.receive(&bytes, 16_384).is_ok() {
                let _ = pump(&mut us, &mut them, 16_384);
            }
            assert_ne!(us.stream.state(), State::Open, "{version:?} at {at}");
        }
    }
}
