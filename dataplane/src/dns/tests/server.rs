//! A small DNS server: one UDP socket, answers as the test sets them.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::CNAME;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// What a question is answered with.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// An alias, if there is one, and addresses, each with its lifetime.
    Records {
        alias: Option<(String, u32)>,
        addresses: Vec<IpAddr>,
        lifetime: u32,
    },
    NoSuchName,
    NoData,
    Failure,
    Silence,
}

impl Reply {
    pub(super) fn addresses(addresses: &[&str], lifetime: u32) -> Self {
        let parse = |address: &&str| address.parse().expect("an address");
        Self::Records {
            alias: None,
            addresses: addresses.iter().map(parse).collect(),
            lifetime,
        }
    }

    pub(super) fn alias(to: &str, of: u32, addresses: &[&str], lifetime: u32) -> Self {
        match Self::addresses(addresses, lifetime) {
            Self::Records { addresses, .. } => Self::Records {
                alias: Some((to.into(), of)),
                addresses,
                lifetime,
            },
            other => other,
        }
    }
}

pub(super) struct Server {
    address: SocketAddr,
    zone: Arc<Zone>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Zone {
    state: Mutex<State>,
    asked: Condvar,
}

#[derive(Default)]
struct State {
    replies: HashMap<(String, RecordType), Reply>,
    asked: HashMap<String, usize>,
    stopped: bool,
}

impl Server {
    pub(super) fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("the loopback has a free port");
        let address = socket.local_addr().expect("it is bound");
        let zone = Arc::new(Zone::default());
        let served = Arc::clone(&zone);
        let thread = std::thread::spawn(move || serve(&socket, &served));
        Self {
            address,
            zone,
            thread: Some(thread),
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Questions without a reply set have no data.
    pub(super) fn set(&self, host: &str, kind: RecordType, reply: Reply) {
        let mut state = self.zone.state.lock().expect("no test has panicked");
        state.replies.insert((host.into(), kind), reply);
    }

    /// Questions about a name so far.
    pub(super) fn asked(&self, host: &str) -> usize {
        let state = self.zone.state.lock().expect("no test has panicked");
        state.asked.get(host).copied().unwrap_or(0)
    }

    /// Waits for this many more questions about a name.
    pub(super) fn wait_asked(&self, host: &str, more: usize) {
        let until = self.asked(host) + more;
        let mut state = self.zone.state.lock().expect("no test has panicked");
        while state.asked.get(host).copied().unwrap_or(0) < until {
            state = self.zone.asked.wait(state).expect("no test has panicked");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(mut state) = self.zone.state.lock() {
            state.stopped = true;
        }
        let waker = UdpSocket::bind("127.0.0.1:0").expect("the loopback has a free port");
        waker
            .send_to(&[0], self.address)
            .expect("the loopback delivers");
        if let Some(thread) = self.thread.take() {
            // If it panicked, the test has failed already.
            let _ = thread.join();
        }
    }
}

fn serve(socket: &UdpSocket, zone: &Zone) {
    let mut buffer = [0; 4096];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).expect("the socket is bound");
        if zone.state.lock().expect("no test has panicked").stopped {
            return;
        }
        let Ok(question) = Message::from_vec(&buffer[..length]) else {
            continue;
        };
        if let Some(answer) = answer(zone, &question) {
            let bytes = answer.to_vec().expect("a small message");
            // The one who asked may be gone.
            let _ = socket.send_to(&bytes, from);
        }
    }
}

fn answer(zone: &Zone, question: &Message) -> Option<Message> {
    let query = question.queries.first()?.clone();
    let host = query.name().to_ascii().trim_end_matches('.').to_lowercase();
    let mut message = Message::response(question.metadata.id, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.metadata.recursion_available = true;
    match zone.reply(&host, query.query_type()) {
        Reply::Silence => return None,
        Reply::NoSuchName => message.metadata.response_code = ResponseCode::NXDomain,
        Reply::Failure => message.metadata.response_code = ResponseCode::ServFail,
        Reply::NoData => {}
        Reply::Records {
            alias,
            addresses,
            lifetime,
        } => {
            let mut owner = query.name().clone();
            if let Some((to, lifetime)) = alias {
                let mut to = Name::from_ascii(to).expect("a name");
                to.set_fqdn(true);
                let data = RData::CNAME(CNAME(to.clone()));
                message.add_answer(Record::from_rdata(owner, lifetime, data));
                owner = to;
            }
            for address in addresses {
                let data = RData::from(address);
                message.add_answer(Record::from_rdata(owner.clone(), lifetime, data));
            }
        }
    }
    message.add_query(query);
    Some(message)
}

impl Zone {
    fn reply(&self, host: &str, kind: RecordType) -> Reply {
        let mut state = self.state.lock().expect("no test has panicked");
        *state.asked.entry(host.into()).or_default() += 1;
        self.asked.notify_all();
        let known = state.replies.get(&(host.into(), kind));
        known.cloned().unwrap_or(Reply::NoData)
    }
}
