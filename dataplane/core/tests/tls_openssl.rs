//! Streams against OpenSSL, the independent other end: `s_client` and `s_server` over loopback.
//! Skipped, with a line that says so, where there is no `openssl`.

#[allow(dead_code, reason = "not all of it is used here")]
#[path = "../testdata/authority.rs"]
mod authority;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use authority::{Authority, Kind, NOW, Pair};
use penstock_core::buffer::BufferPool;
use penstock_core::limits::BUFFER_PAYLOAD;
use penstock_core::tls::{
    Acceptor, AcceptorConfig, Clients, Clock, Connector, ConnectorConfig, KeyPair, Output,
    Parameters, Source, State, Stream, TICKET_KEY_BYTES, TicketKeys, Validation, Version,
};

const SAID: &[u8] = b"across two libraries\n";

/// True if the program is there; says so if it is not.
fn has_openssl() -> bool {
    let found = Command::new("openssl").arg("version").output().is_ok();
    if !found {
        println!("skipped: there is no `openssl` on the PATH");
    }
    found
}

fn source<'a>(name: &'a str, text: &'a str) -> Source<'a> {
    let bytes = text.as_bytes();
    Source { name, bytes }
}

fn key_pair(pair: &Pair) -> KeyPair<'_> {
    KeyPair {
        chain: source("chain.pem", &pair.chain),
        key: source("key.pem", &pair.key),
        ocsp_staple: &[],
    }
}

fn clock() -> Clock {
    let clock = Clock::default();
    clock.tell(NOW * 1_000_000_000);
    clock
}

/// A stream on a socket, one step after the other.
struct Wire {
    stream: Stream,
    socket: TcpStream,
    pool: BufferPool,
    plain: Vec<u8>,
}

impl Wire {
    fn new(stream: Stream, socket: TcpStream) -> Self {
        let mut wire = Self {
            stream,
            socket,
            pool: BufferPool::new(BUFFER_PAYLOAD, 16),
            plain: Vec::new(),
        };
        let mut out = Vec::new();
        wire.stream.start(&mut wire.pool, &mut out).unwrap();
        wire.carry_out(out);
        wire
    }

    fn carry_out(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Plain(buffer) => {
                    self.plain.extend_from_slice(buffer.as_slice());
                    self.pool.give(buffer);
                }
                Output::Cipher(buffer) => {
                    // Whether they still listen is not ours to say.
                    let _ = self.socket.write_all(buffer.as_slice());
                    self.pool.give(buffer);
                }
            }
        }
    }

    /// Reads once; false at the end.
    fn read(&mut self) -> bool {
        let mut buffer = self.pool.take().unwrap();
        let count = self.socket.read(buffer.spare_mut()).unwrap_or(0);
        buffer.filled(count);
        if count == 0 {
            self.pool.give(buffer);
            return false;
        }
        let mut out = Vec::new();
        let received = self.stream.received(buffer, &mut self.pool, &mut out);
        self.carry_out(out);
        received.is_ok()
    }

    fn say(&mut self, bytes: &[u8]) {
        let mut out = Vec::new();
        self.stream
            .seal_copy(bytes, &mut self.pool, &mut out)
            .unwrap();
        self.carry_out(out);
    }

    fn close(&mut self) {
        let mut out = Vec::new();
        self.stream.close(&mut self.pool, &mut out).unwrap();
        self.carry_out(out);
    }
}

/// Starts `openssl` with pipes.
fn openssl(args: &[&str]) -> Child {
    Command::new("openssl")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What `s_client` prints about a visit, if it got an answer.
fn visit(acceptor: &Acceptor, args: &[&str]) -> (String, State) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let fixed = [
        "s_client",
        "-connect",
        &address,
        "-servername",
        "a.test",
        "-ign_eof",
    ];
    let mut child = openssl(&[&fixed, args].concat());
    let (socket, _) = listener.accept().unwrap();
    let mut wire = Wire::new(acceptor.stream().unwrap(), socket);
    child.stdin.take().unwrap().write_all(SAID).unwrap();
    while wire.plain != SAID && wire.read() {}
    let state = wire.stream.state();
    if state == State::Open {
        wire.say(b"answered\n");
        wire.close();
    }
    drop(wire);
    let output = child.wait_with_output().unwrap();
    (String::from_utf8_lossy(&output.stdout).into_owned(), state)
}

fn acceptor(pair: &Pair, clients: Clients<'_>) -> Acceptor {
    Acceptor::new(&acceptor_config(pair, clients), &clock()).unwrap()
}

fn acceptor_config<'a>(pair: &'a Pair, clients: Clients<'a>) -> AcceptorConfig<'a> {
    let keys = TicketKeys::new(
        &[Source {
            name: "",
            bytes: &[7; TICKET_KEY_BYTES],
        }],
        600,
    );
    AcceptorConfig {
        scope: "",
        certificates: vec![key_pair(pair)],
        parameters: Parameters::default(),
        alpn: vec![b"h2", b"http/1.1"],
        clients,
        requires_name: false,
        tickets: keys.ok(),
    }
}

#[test]
fn their_client_and_our_server() {
    if !has_openssl() {
        return;
    }
    let authority = Authority::new("Root");
    let folder = tempfile();
    let sessions = folder.join("session").display().to_string();
    for kind in [Kind::Ecdsa, Kind::Rsa] {
        let acceptor = acceptor(&authority.issue(&["a.test"], kind), Clients::Anonymous);
        for version in ["-tls1_2", "-tls1_3"] {
            let (text, _) = visit(
                &acceptor,
                &[version, "-alpn", "http/1.1", "-sess_out", &sessions],
            );
            assert!(text.contains("answered"), "{version}: {text}");
            assert!(
                text.contains("ALPN protocol: http/1.1"),
                "{version}: {text}"
            );
            assert!(text.contains("New, TLSv1"), "{version}: {text}");
            let (text, _) = visit(&acceptor, &[version, "-sess_in", &sessions]);
            assert!(
                text.contains("answered") && text.contains("Reused, TLSv1"),
                "{text}"
            );
        }
        let (text, state) = visit(&acceptor, &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
        assert!(
            !text.contains("answered") && state == State::Failed,
            "{text}"
        );
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_staple_is_handed_on() {
    if !has_openssl() {
        return;
    }
    let pair = Authority::new("Root").issue(&["a.test"], Kind::Ecdsa);
    let mut config = acceptor_config(&pair, Clients::Anonymous);
    // It is for the client to read; ours is none, which this one says.
    config.certificates[0].ocsp_staple = b"no response";
    let acceptor = Acceptor::new(&config, &clock()).unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        let (text, _) = visit(&acceptor, &[version, "-status"]);
        assert!(text.contains("response parse error"), "{version}: {text}");
    }
}

#[test]
fn their_client_shows_a_certificate() {
    if !has_openssl() {
        return;
    }
    let authority = Authority::new("Root");
    let folder = tempfile();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let good = authority.issue(&["client.test"], Kind::Rsa);
    let (chain, key) = (file("chain", &good.chain), file("key", &good.key));
    let clients = Clients::Required(Validation {
        trusted_ca: Some(source("ca.pem", &authority.pem)),
        ..Validation::default()
    });
    let acceptor = acceptor(&authority.issue(&["a.test"], Kind::Ecdsa), clients);
    for version in ["-tls1_2", "-tls1_3"] {
        let (text, _) = visit(&acceptor, &[version, "-cert", &chain, "-key", &key]);
        assert!(text.contains("answered"), "{version}: {text}");
        let (text, state) = visit(&acceptor, &[version]);
        assert!(
            !text.contains("answered") && state == State::Failed,
            "{text}"
        );
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn our_client_and_their_server() {
    if !has_openssl() {
        return;
    }
    let authority = Authority::new("Root");
    let folder = tempfile();
    for kind in [Kind::Ecdsa, Kind::Rsa] {
        let pair = authority.issue(&["a.test"], kind);
        let path = |name: &str| folder.join(name).display().to_string();
        let (chain, key) = (path("chain"), path("key"));
        std::fs::write(&chain, &pair.chain).unwrap();
        std::fs::write(&key, &pair.key).unwrap();
        for version in ["-tls1_2", "-tls1_3"] {
            let fixed = [
                "s_server",
                "-accept",
                "127.0.0.1:0",
                "-rev",
                "-naccept",
                "2",
            ];
            let more = ["-cert", &chain, "-key", &key, version];
            let mut child = openssl(&[&fixed[..], &more].concat());
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let ready = lines.find_map(|line| {
                let line = line.ok()?;
                line.strip_prefix("ACCEPT ").map(str::to_owned)
            });
            let address = ready.expect("s_server says where it listens");
            let reader = std::thread::spawn(move || lines.count());
            converse(&address, &authority, version);
            child.wait().unwrap();
            reader.join().unwrap();
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// Two visits to `s_server -rev`, which says every line backwards; the second one is resumed.
fn converse(address: &str, authority: &Authority, version: &str) {
    let config = ConnectorConfig {
        validation: Validation {
            trusted_ca: Some(source("ca.pem", &authority.pem)),
            ..Validation::default()
        },
        checks_name: true,
        certificate: None,
        parameters: Parameters::default(),
        alpn: vec![],
        server_name: Some("a.test"),
        resumes: true,
    };
    let connector = Connector::new(&config, &clock()).unwrap();
    for is_resumed in [false, true] {
        let socket = TcpStream::connect(address).unwrap();
        let stream = connector.stream(None, [127, 0, 0, 1].into()).unwrap();
        let mut wire = Wire::new(stream, socket);
        while wire.stream.state() == State::Handshaking && wire.read() {}
        wire.say(SAID);
        while wire.plain.len() < SAID.len() && wire.read() {}
        assert_eq!(wire.plain, b"seirarbil owt ssorca\n", "{version}");
        let facts = wire.stream.facts().unwrap();
        assert_eq!(facts.is_resumed, is_resumed, "{version}");
        let expect = if version == "-tls1_2" {
            Version::Tls12
        } else {
            Version::Tls13
        };
        assert_eq!(facts.version, expect);
        wire.close();
        while wire.read() {}
    }
}

/// A folder of its own.
fn tempfile() -> std::path::PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("penstock-tls-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
