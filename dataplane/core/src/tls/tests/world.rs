//! One stream of ours, somebody at the other end, and the bytes between them.

use std::sync::{Arc, OnceLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig};

use super::authority::{Authority, Kind, NOW, Pair};
use crate::buffer::BufferPool;
use crate::fault::{Cause, Fault, Side};
use crate::limits::BUFFER_PAYLOAD;
use crate::tls::*;

/// Everybody in the tests trusts this one.
pub(super) fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| Authority::new("Test Root"))
}

/// The usual certificate, for `a.test`.
pub(super) fn usual() -> &'static Pair {
    static PAIR: OnceLock<Pair> = OnceLock::new();
    PAIR.get_or_init(|| authority().issue(&["a.test"], Kind::Ecdsa))
}

pub(super) fn clock() -> Clock {
    let clock = Clock::default();
    clock.tell(NOW * 1_000_000_000);
    clock
}

pub(super) fn source<'a>(name: &'a str, text: &'a str) -> Source<'a> {
    let bytes = text.as_bytes();
    Source { name, bytes }
}

pub(super) fn pair(pair: &Pair) -> KeyPair<'_> {
    KeyPair {
        chain: source("chain.pem", &pair.chain),
        key: source("key.pem", &pair.key),
        ocsp_staple: &[],
    }
}

/// Roots of the tests.
pub(super) fn trusting() -> Validation<'static> {
    Validation {
        trusted_ca: Some(source("ca.pem", &authority().pem)),
        ..Validation::default()
    }
}

pub(super) fn acceptor_config() -> AcceptorConfig<'static> {
    AcceptorConfig {
        scope: "listener/chain",
        certificates: vec![pair(usual())],
        parameters: Parameters::default(),
        alpn: vec![b"h2", b"http/1.1"],
        clients: Clients::Anonymous,
        requires_name: false,
        tickets: Some(ticket_keys(1)),
    }
}

pub(super) fn ticket_keys(byte: u8) -> TicketKeys {
    let bytes = &[byte; TICKET_KEY_BYTES];
    TicketKeys::new(
        &[Source {
            name: "ticket",
            bytes,
        }],
        3600,
    )
    .unwrap()
}

pub(super) fn connector_config() -> ConnectorConfig<'static> {
    ConnectorConfig {
        validation: trusting(),
        checks_name: true,
        certificate: None,
        parameters: Parameters::default(),
        alpn: vec![b"http/1.1"],
        server_name: Some("a.test"),
        resumes: true,
    }
}

pub(super) fn server(config: &AcceptorConfig<'_>) -> Us {
    Us::new(Acceptor::new(config, &clock()).unwrap().stream().unwrap())
}

pub(super) fn client(config: &ConnectorConfig<'_>) -> Us {
    let connector = Connector::new(config, &clock()).unwrap();
    Us::new(connector.stream(None, [192, 0, 2, 1].into()).unwrap())
}

/// A stream, its worker's buffers, and what came out of it.
pub(super) struct Us {
    pub(super) stream: Stream,
    pub(super) pool: BufferPool,
    pub(super) out: Vec<Output>,
    pub(super) plain: Vec<u8>,
    pub(super) wire: Vec<u8>,
}

impl Us {
    pub(super) fn new(stream: Stream) -> Self {
        let mut us = Self {
            stream,
            pool: BufferPool::new(BUFFER_PAYLOAD, 64),
            out: Vec::new(),
            plain: Vec::new(),
            wire: Vec::new(),
        };
        us.stream.start(&mut us.pool, &mut us.out).unwrap();
        us.sort();
        us
    }

    /// Bytes arrive in pieces of `cut`.
    pub(super) fn receive(&mut self, bytes: &[u8], cut: usize) -> Result<(), Fault> {
        for part in bytes.chunks(cut) {
            let mut buffer = self.pool.take().unwrap();
            assert_eq!(buffer.fill_from(part), part.len());
            let received = self.stream.received(buffer, &mut self.pool, &mut self.out);
            self.sort();
            received?;
        }
        Ok(())
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        for part in bytes.chunks(BUFFER_PAYLOAD) {
            let mut buffer = self.pool.take().unwrap();
            buffer.fill_from(part);
            self.stream.seal(buffer, &mut self.pool, &mut self.out)?;
            self.sort();
        }
        Ok(())
    }

    pub(super) fn close(&mut self) {
        self.stream.close(&mut self.pool, &mut self.out).unwrap();
        self.sort();
    }

    pub(super) fn sort(&mut self) {
        for output in self.out.drain(..) {
            let (buffer, to) = match output {
                Output::Plain(buffer) => (buffer, &mut self.plain),
                Output::Cipher(buffer) => (buffer, &mut self.wire),
            };
            assert!(!buffer.is_empty());
            to.extend_from_slice(buffer.as_slice());
            self.pool.give(buffer);
        }
    }

    pub(super) fn take_wire(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.wire)
    }

    pub(super) fn facts(&self) -> &Facts {
        self.stream.facts().expect("the handshake is done")
    }
}

impl Drop for Us {
    fn drop(&mut self) {
        self.stream.release(&mut self.pool);
        if !std::thread::panicking() {
            assert_eq!(self.pool.in_use(), 0, "a buffer was lost");
        }
    }
}

/// Carries bytes until nobody has any more to say.
pub(super) fn pump(us: &mut Us, them: &mut Connection, cut: usize) -> Result<(), Fault> {
    loop {
        let mut theirs = Vec::new();
        while them.wants_write() {
            them.write_tls(&mut theirs).unwrap();
        }
        let ours = us.take_wire();
        if theirs.is_empty() && ours.is_empty() {
            return Ok(());
        }
        feed(them, &ours);
        us.receive(&theirs, cut)?;
    }
}

/// Gives them bytes; what they think of it is theirs to say later.
pub(super) fn feed(them: &mut Connection, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        if them.read_tls(&mut bytes).is_err() || them.process_new_packets().is_err() {
            return;
        }
    }
}

/// Two of ours.
pub(super) fn pump_ours(one: &mut Us, two: &mut Us, cut: usize) -> Result<(), Fault> {
    while !one.wire.is_empty() || !two.wire.is_empty() {
        let bytes = one.take_wire();
        two.receive(&bytes, cut)?;
        let bytes = two.take_wire();
        one.receive(&bytes, cut)?;
    }
    Ok(())
}

pub(super) fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority().pem.as_bytes()).unwrap())
        .unwrap();
    roots
}

pub(super) fn their_key(pair: &Pair) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(pair.chain.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    (chain.map(Result::unwrap).collect(), key)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

pub(super) fn version(version: Version) -> &'static rustls::SupportedProtocolVersion {
    match version {
        Version::Tls12 => &rustls::version::TLS12,
        Version::Tls13 => &rustls::version::TLS13,
    }
}

/// A client of rustls, trusting the tests' roots.
pub(super) fn their_client_config(versions: &[Version]) -> ClientConfig {
    let versions: Vec<_> = versions.iter().copied().map(version).collect();
    let builder = ClientConfig::builder_with_details(provider(), Arc::new(clock()))
        .with_protocol_versions(&versions)
        .unwrap();
    builder
        .with_root_certificates(roots())
        .with_no_client_auth()
}

pub(super) fn their_client(config: &Arc<ClientConfig>, name: &str) -> Connection {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    ClientConnection::new(Arc::clone(config), name)
        .unwrap()
        .into()
}

pub(super) fn their_server(versions: &[Version]) -> Connection {
    let versions: Vec<_> = versions.iter().copied().map(version).collect();
    let (chain, key) = their_key(usual());
    let mut config = ServerConfig::builder_with_details(provider(), Arc::new(clock()))
        .with_protocol_versions(&versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    rustls::ServerConnection::new(Arc::new(config))
        .unwrap()
        .into()
}

/// A failure of TLS as the fault that the engine sees.
pub(super) fn fault(side: Side, failure: Failure) -> Fault {
    Fault::connection(side, Cause::Tls(failure))
}

/// Bytes that differ from place to place.
pub(super) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + at / 251) as u8).collect()
}
