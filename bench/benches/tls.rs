//! Wall time of TLS: records of 1 and 16 KiB, and whole handshakes with both ends in it. Not among
//! the counted cases: the crypto library chooses its code by the CPU it finds.

use std::cell::RefCell;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use penstock_core::buffer::{Buffer, BufferPool};
use penstock_core::limits::BUFFER_PAYLOAD;
use penstock_core::tls::{
    Acceptor, AcceptorConfig, Clients, Clock, Connector, ConnectorConfig, KeyPair, Output,
    Parameters, Source, Stream, TICKET_KEY_BYTES, TicketKeys, Validation, Version,
};

const SIZES: [(&str, usize); 2] = [("1k", 1024), ("16k", 16 * 1024)];

/// Certificate and key for `a.test`, both PEM.
fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).expect("a certificate");
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn acceptor(chain: &str, key: &str) -> Acceptor {
    let clock = Clock::default();
    clock.tell(1_800_000_000_000_000_000);
    let source = |name, bytes| Source { name, bytes };
    let keys = TicketKeys::new(&[source("tickets", &[7; TICKET_KEY_BYTES])], 600);
    let config = AcceptorConfig {
        scope: "",
        certificates: vec![KeyPair {
            chain: source("chain", chain.as_bytes()),
            key: source("key", key.as_bytes()),
            ocsp_staple: &[],
        }],
        parameters: Parameters::default(),
        alpn: vec![],
        clients: Clients::Anonymous,
        requires_name: false,
        tickets: keys.ok(),
    };
    Acceptor::new(&config, &clock).expect("a sound configuration")
}

/// Offers this curve alone, if there is one.
fn connector(version_max: Version, curve: Option<&str>, resumes: bool) -> Connector {
    let config = ConnectorConfig {
        validation: Validation::default(),
        checks_name: false,
        certificate: None,
        parameters: Parameters {
            version_max,
            curves: curve.into_iter().map(str::to_owned).collect(),
            ..Parameters::default()
        },
        alpn: vec![],
        server_name: Some("a.test"),
        resumes,
    };
    Connector::new(&config, &Clock::default()).expect("a sound configuration")
}

fn carry(from: &mut Vec<Output>, to: &mut Stream, pool: &mut BufferPool, out: &mut Vec<Output>) {
    for output in from.drain(..) {
        match output {
            Output::Cipher(buffer) => to.received(buffer, pool, out).expect("no fault"),
            Output::Plain(buffer) => pool.give(buffer),
        }
    }
}

/// A whole handshake: client, server.
fn shake(acceptor: &Acceptor, connector: &Connector, pool: &mut BufferPool) -> (Stream, Stream) {
    let (mut up, mut down) = (Vec::new(), Vec::new());
    let mut client = connector
        .stream(None, [192, 0, 2, 1].into())
        .expect("a stream");
    let mut server = acceptor.stream().expect("a stream");
    client.start(pool, &mut up).expect("no fault");
    while !up.is_empty() || !down.is_empty() {
        carry(&mut up, &mut server, pool, &mut down);
        carry(&mut down, &mut client, pool, &mut up);
    }
    (client, server)
}

fn sealed(
    stream: &mut Stream,
    size: usize,
    pool: &mut BufferPool,
    out: &mut Vec<Output>,
) -> Buffer {
    let mut plain = pool.take().expect("a buffer");
    let start = plain.window().start;
    plain.set_window(start..start + size);
    stream.seal(plain, pool, out).expect("no fault");
    match out.pop() {
        Some(Output::Cipher(buffer)) => buffer,
        _ => unreachable!("one record"),
    }
}

fn records(criterion: &mut Criterion) {
    let (chain, key) = certificate();
    let acceptor = acceptor(&chain, &key);
    for (name, size) in SIZES {
        let mut pool = BufferPool::new(BUFFER_PAYLOAD, 64);
        let mut out = Vec::new();
        let connector = connector(Version::Tls13, None, false);
        let (_, mut server) = shake(&acceptor, &connector, &mut pool);
        criterion.bench_function(&format!("tls/seal/{name}"), |bencher| {
            bencher.iter(|| {
                let buffer = sealed(&mut server, size, &mut pool, &mut out);
                pool.give(buffer);
            });
        });
        opened(
            criterion,
            name,
            size,
            shake(&acceptor, &connector, &mut pool),
        );
    }
}

/// A record that lies whole in the buffer it came in.
fn opened(criterion: &mut Criterion, name: &str, size: usize, ends: (Stream, Stream)) {
    let (mut sender, mut receiver) = ends;
    let (mut up, mut scratch) = (Vec::new(), Vec::new());
    let pool = RefCell::new(BufferPool::new(BUFFER_PAYLOAD, 1024));
    criterion.bench_function(&format!("tls/open/{name}"), |bencher| {
        bencher.iter_batched(
            || sealed(&mut sender, size, &mut pool.borrow_mut(), &mut scratch),
            |buffer| {
                let mut pool = pool.borrow_mut();
                receiver
                    .received(buffer, &mut pool, &mut up)
                    .expect("no fault");
                if let Some(Output::Plain(buffer)) = up.pop() {
                    pool.give(buffer);
                }
            },
            BatchSize::NumIterations(256),
        );
    });
}

fn handshakes(criterion: &mut Criterion) {
    let (chain, key) = certificate();
    let acceptor = acceptor(&chain, &key);
    let mut pool = BufferPool::new(BUFFER_PAYLOAD, 64);
    let kinds = [
        ("tls13-hybrid", connector(Version::Tls13, None, false)),
        (
            "tls13-x25519",
            connector(Version::Tls13, Some("X25519"), false),
        ),
        (
            "tls13-resumed",
            connector(Version::Tls13, Some("X25519"), true),
        ),
        (
            "tls12-x25519",
            connector(Version::Tls12, Some("X25519"), false),
        ),
        (
            "tls12-resumed",
            connector(Version::Tls12, Some("X25519"), true),
        ),
    ];
    for (name, connector) in kinds {
        criterion.bench_function(&format!("tls/handshake-both-ends/{name}"), |bencher| {
            bencher.iter(|| shake(&acceptor, &connector, &mut pool));
        });
    }
}

criterion_group! {
    name = tls;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .without_plots();
    targets = records, handshakes
}
criterion_main!(tls);
