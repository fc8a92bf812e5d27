//! An origin that records every byte it receives and answers by script.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use crate::process::PATIENCE;

/// What the origin does in the present case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    /// The answer to the first request; `None` for the usual one.
    pub(crate) first: Option<Vec<u8>>,
    /// Sent behind the first answer.
    pub(crate) late: Vec<u8>,
    /// Close after the first answer.
    pub(crate) ends: bool,
    /// The first answer leaves as soon as the request's head is there.
    pub(crate) overtakes: bool,
}

/// The answer that is usually given.
pub(crate) const USUAL: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A recording origin on a port of its own.
pub(crate) struct Origin {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    case: Mutex<Case>,
    changed: Condvar,
}

#[derive(Default)]
struct Case {
    script: Script,
    answered: usize,
    received: Vec<u8>,
    connections: Vec<TcpStream>,
    threads: Vec<JoinHandle<()>>,
    closed: usize,
}

impl Origin {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(State::default());
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (state, copy) = (shared.clone(), stream.try_clone().expect("descriptors"));
                let mut case = shared.case.lock().unwrap();
                case.connections.push(copy);
                let thread = thread::spawn(move || serve(stream, &state));
                case.threads.push(thread);
            }
        });
        Self { address, state }
    }

    /// Ends every connection, waits until the gateway has let go of them, and begins anew.
    pub(crate) fn play(&self, script: Script) {
        let threads = {
            let mut case = self.state.case.lock().unwrap();
            for stream in case.connections.drain(..) {
                // It may be closed already.
                let _ = stream.shutdown(Shutdown::Write);
            }
            std::mem::take(&mut case.threads)
        };
        threads
            .into_iter()
            .for_each(|thread| thread.join().expect("no panic there"));
        let mut case = self.state.case.lock().unwrap();
        *case = Case {
            script,
            ..Case::default()
        };
    }

    /// Everything received in this case, once all of `awaited` is in it or nothing more comes.
    pub(crate) fn received_with(&self, awaited: &[Vec<u8>]) -> Vec<u8> {
        let case = self.state.case.lock().unwrap();
        let lacks = |case: &mut Case| {
            awaited
                .iter()
                .any(|text| !text.is_empty() && find(&case.received, text).is_none())
        };
        let waited = self.state.changed.wait_timeout_while(case, PATIENCE, lacks);
        waited.expect("no panic there").0.received.clone()
    }

    /// Waits until the gateway has closed at least one connection of this case.
    pub(crate) fn wait_closed(&self) -> bool {
        let case = self.state.case.lock().unwrap();
        let waited = self
            .state
            .changed
            .wait_timeout_while(case, PATIENCE, |case| case.closed == 0);
        !waited.expect("no panic there").1.timed_out()
    }
}

fn serve(mut stream: TcpStream, state: &State) {
    let mut unread = Vec::new();
    let mut bytes = [0; 16 * 1024];
    let mut ended = false;
    // Reset or closed: both are the end.
    while let Ok(count @ 1..) = stream.read(&mut bytes) {
        unread.extend_from_slice(&bytes[..count]);
        let mut case = state.case.lock().unwrap();
        case.received.extend_from_slice(&bytes[..count]);
        state.changed.notify_all();
        while let Some(len) = answerable(&unread, &case) {
            unread.drain(..len);
            let first = case.answered == 0;
            case.answered += 1;
            if ended {
                continue;
            }
            let script = &case.script;
            let (answer, late) = match (&script.first, first) {
                (Some(answer), true) => (answer.as_slice(), script.late.as_slice()),
                (None, true) => (USUAL, script.late.as_slice()),
                (_, false) => (USUAL, &b""[..]),
            };
            // The gateway may have closed already.
            let _ = stream.write_all(answer);
            let _ = stream.write_all(late);
            if first && script.ends {
                ended = true;
                let _ = stream.shutdown(Shutdown::Write);
            }
        }
    }
    state.case.lock().unwrap().closed += 1;
    state.changed.notify_all();
}

/// Length of what is to be answered now.
fn answerable(unread: &[u8], case: &Case) -> Option<usize> {
    if case.script.overtakes && case.answered == 0 {
        return find(unread, b"\r\n\r\n").map(|at| at + 4);
    }
    request_len(unread)
}

/// Length of the first complete request, head and body. As simple as what a gateway sends allows.
fn request_len(bytes: &[u8]) -> Option<usize> {
    let head = find(bytes, b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let field = |name: &str| {
        let lines = text.lines().filter_map(|line| line.split_once(": "));
        lines
            .clone()
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value.to_owned())
    };
    if let Some(length) = field("content-length") {
        let len = head + length.parse::<usize>().ok()?;
        return (bytes.len() >= len).then_some(len);
    }
    if field("transfer-encoding").is_none() {
        return Some(head);
    }
    let mut at = head;
    loop {
        let line = find(&bytes[at..], b"\r\n")?;
        let size =
            usize::from_str_radix(std::str::from_utf8(&bytes[at..at + line]).ok()?, 16).ok()?;
        at += line + 2;
        if size == 0 {
            // Trailers end with an empty line.
            loop {
                let line = find(&bytes[at..], b"\r\n")?;
                at += line + 2;
                if line == 0 {
                    return Some(at);
                }
            }
        }
        at += size + 2;
        if at > bytes.len() {
            return None;
        }
    }
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes
        .windows(pattern.len())
        .position(|window| window == pattern)
}
