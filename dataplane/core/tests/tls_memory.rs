//! What an open, idle TLS connection of the server role costs, all in: resident memory of this
//! process, so that what the crypto library allocates counts too.

#[allow(dead_code, reason = "not all of it is used here")]
#[path = "../testdata/authority.rs"]
mod authority;

use std::sync::Arc;

use authority::{Authority, Kind, NOW};
use penstock_core::buffer::BufferPool;
use penstock_core::limits::BUFFER_PAYLOAD;
use penstock_core::tls::{
    Acceptor, AcceptorConfig, Clients, Clock, Connector, ConnectorConfig, KeyPair, Output,
    Parameters, Source, State, Stream, TICKET_KEY_BYTES, TicketKeys, Validation, Version,
};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, UnbufferedServerConnection};
use rustls::unbuffered::ConnectionState;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};

const CONNECTIONS: usize = 1500;
const PROMISED_BYTES: usize = 4096;

/// Bytes of this process in memory.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

fn carry(from: &mut Vec<Output>, to: &mut Stream, pool: &mut BufferPool, out: &mut Vec<Output>) {
    for output in from.drain(..) {
        let Output::Cipher(buffer) = output else {
            panic!("nobody said anything");
        };
        to.received(buffer, pool, out).unwrap();
    }
}

/// An open connection; its client is gone.
fn opened(acceptor: &Acceptor, connector: &Connector, pool: &mut BufferPool) -> Box<Stream> {
    let (mut up, mut down) = (Vec::new(), Vec::new());
    let mut client = connector.stream(None, [192, 0, 2, 1].into()).unwrap();
    let mut server = Box::new(acceptor.stream().unwrap());
    client.start(pool, &mut up).unwrap();
    while !up.is_empty() || !down.is_empty() {
        carry(&mut up, &mut server, pool, &mut down);
        carry(&mut down, &mut client, pool, &mut up);
    }
    assert_eq!(server.state(), State::Open);
    assert_eq!(pool.in_use(), 0);
    server
}

/// `held` keeps all connections: those of one version must not live in what another gave back.
#[allow(clippy::vec_box, reason = "a connection owns its stream in a box")]
fn cost(version: Version, authority: &Authority, held: &mut Vec<Box<Stream>>) -> usize {
    let clock = Clock::default();
    clock.tell(NOW * 1_000_000_000);
    let pair = authority.issue(&["a.test"], Kind::Ecdsa);
    let source = |name, text: &'static str| Source {
        name,
        bytes: text.as_bytes(),
    };
    let parameters = Parameters {
        version_max: version,
        ..Parameters::default()
    };
    let config = AcceptorConfig {
        scope: "",
        certificates: vec![KeyPair {
            chain: source("chain.pem", pair.chain.leak()),
            key: source("key.pem", pair.key.leak()),
            ocsp_staple: &[],
        }],
        parameters,
        alpn: vec![b"h2"],
        clients: Clients::Anonymous,
        requires_name: false,
        tickets: TicketKeys::new(
            &[Source {
                name: "",
                bytes: &[7; TICKET_KEY_BYTES],
            }],
            60,
        )
        .ok(),
    };
    let acceptor = Acceptor::new(&config, &clock).unwrap();
    let config = ConnectorConfig {
        validation: Validation::default(),
        checks_name: false,
        certificate: None,
        parameters: Parameters::default(),
        alpn: vec![b"h2"],
        server_name: Some("a.test"),
        resumes: false,
    };
    let connector = Connector::new(&config, &clock).unwrap();
    let mut pool = BufferPool::new(BUFFER_PAYLOAD, 64);
    let mut open = || opened(&acceptor, &connector, &mut pool);
    held.reserve(2 * CONNECTIONS);
    held.extend((0..CONNECTIONS / 3).map(|_| open()));
    let before = resident();
    held.extend((0..CONNECTIONS).map(|_| open()));
    let cost = (resident() - before) / CONNECTIONS;
    assert!(held.iter().all(|stream| stream.facts().is_some()));
    cost
}

/// A connection of rustls itself, unbuffered as ours begins; its client is gone.
fn yardstick(config: &Arc<ServerConfig>, client: &Arc<ClientConfig>) -> UnbufferedServerConnection {
    let name = "a.test".try_into().unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = UnbufferedServerConnection::new(Arc::clone(config)).unwrap();
    let (mut arrived, mut answer) = (Vec::new(), Vec::new());
    loop {
        while client.wants_write() {
            client.write_tls(&mut arrived).unwrap();
        }
        loop {
            let status = server.process_tls_records(&mut arrived);
            let discard = status.discard;
            match status.state.unwrap() {
                ConnectionState::EncodeTlsData(mut data) => {
                    let at = answer.len();
                    answer.resize(at + 20_000, 0);
                    let count = data.encode(&mut answer[at..]).unwrap();
                    answer.truncate(at + count);
                }
                ConnectionState::TransmitTlsData(data) => data.done(),
                _ => break,
            }
            arrived.drain(..discard);
        }
        if answer.is_empty() {
            return server;
        }
        arrived.clear();
        client.read_tls(&mut &answer[..]).unwrap();
        client.process_new_packets().unwrap();
        answer.clear();
    }
}

/// What rustls keeps when it keeps the records too; printed beside ours.
fn cost_of_rustls(authority: &Authority) -> usize {
    let pair = authority.issue(&["a.test"], Kind::Ecdsa);
    let chain = CertificateDer::pem_slice_iter(pair.chain.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let provider = Arc::new(default_provider());
    let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.map(Result::unwrap).collect(), key)
        .unwrap();
    server.session_storage = Arc::new(NoServerSessionStorage {});
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap())
        .unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (server, client) = (Arc::new(server), Arc::new(client));
    let mut held: Vec<_> = Vec::with_capacity(2 * CONNECTIONS);
    held.extend((0..CONNECTIONS / 3).map(|_| yardstick(&server, &client)));
    let before = resident();
    held.extend((0..CONNECTIONS).map(|_| yardstick(&server, &client)));
    let cost = (resident() - before) / CONNECTIONS;
    assert!(held.iter().all(|server| !server.is_handshaking()));
    cost
}

#[test]
fn an_idle_connection_keeps_the_promise() {
    let authority = Authority::new("Root");
    let mut held = Vec::new();
    for version in [Version::Tls13, Version::Tls12] {
        let cost = cost(version, &authority, &mut held);
        println!("{version:?}: {cost} bytes per idle connection, of {PROMISED_BYTES} promised");
        assert!(cost <= PROMISED_BYTES, "{version:?}: {cost} bytes");
    }
    println!(
        "rustls alone, TLS 1.3: {} bytes",
        cost_of_rustls(&authority)
    );
}
