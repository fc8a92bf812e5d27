//! The start-up self-test: does this kernel behave as its version promises?
//!
//! Everything the driver relies on is tried on loopback connections, byte for byte. A feature that
//! answers wrongly is left out; if the ground under all of them does, io_uring is. No answer in
//! time is no wrong answer on a machine that is busy: it is tried again, on a new ring and with
//! more patience. Takes a few milliseconds.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use fastpath_sys::errno;
use fastpath_sys::pipe::Pipe;
use fastpath_sys::socket;
use fastpath_sys::uring::{
    Block, Completion, Parcel, Push, Readiness, Returned, Ring, RingOptions, Shots,
};

use super::caps::{Caps, Feature, Loss};

/// How long any step may take, try by try; only one that fails takes that long.
const PATIENCE: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_millis(1500),
    Duration::from_secs(5),
];
/// Bytes per test buffer; the pattern does not divide by it.
const ROOM: usize = 512;
const BUFFERS: usize = 4;
const PATTERN: usize = 3 * ROOM + 77;

/// A ring of its own for each try: what a failed one left behind must not disturb the next.
struct Trial {
    ring: Ring,
    patience: Duration,
}

/// Tries one feature.
type Test = fn(&mut Trial) -> io::Result<()>;

/// Tries everything that `caps` allows and returns what is left. An error means: no io_uring.
pub(super) fn run(mut caps: Caps) -> io::Result<Caps> {
    caps.note(small_ring(&caps)?.features());
    attempt(&caps, basics)?;
    let tests: [(Feature, Test); 4] = [
        (Feature::BufferRing, one_shot_receive),
        (Feature::MultishotRecv, multishot_receive),
        (Feature::MultishotAccept, multishot_accept),
        (Feature::Splice, splice_beside_a_receive),
    ];
    for (feature, test) in tests {
        if caps.has(feature)
            && let Err(error) = attempt(&caps, test)
        {
            caps.lose(feature, Loss::of(&error));
        }
    }
    no_worker_threads()?;
    Ok(caps)
}

fn attempt(caps: &Caps, test: Test) -> io::Result<()> {
    persist(|patience| {
        let ring = small_ring(caps)?;
        test(&mut Trial { ring, patience })
    })
}

/// Tries until there is an answer, right or wrong, and three times at most.
fn persist(mut attempt: impl FnMut(Duration) -> io::Result<()>) -> io::Result<()> {
    let mut answer = Ok(());
    for patience in PATIENCE {
        answer = attempt(patience);
        if !answer.as_ref().is_err_and(is_late) {
            break;
        }
    }
    answer
}

/// True if it is no answer at all. A socket with a time limit says it in the second way.
fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

impl Loss {
    fn of(error: &io::Error) -> Self {
        if is_late(error) {
            Loss::Unanswered
        } else {
            Loss::Missing
        }
    }
}

fn small_ring(caps: &Caps) -> io::Result<Ring> {
    let options = caps.ring_options();
    let buffers = options.buffers.min(BUFFERS as u16);
    Ring::new(&RingOptions {
        submissions: 64,
        completions: 256,
        buffers,
        ..options
    })
}

/// Connect and accept, a send of several blocks, readiness, cancel, close; all of it on sockets
/// that do not block, on which the ring has to wait all the same.
fn basics(trial: &mut Trial) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let client = socket::outgoing(address)?;
    trial.ring.accept(listener.as_fd(), Shots::Once, 1);
    trial.ring.connect(client.as_fd(), address, 2);
    let (first, second) = (next(trial)?, next(trial)?);
    let (connected, accepted) = if first.token == 2 {
        (first, second)
    } else {
        (second, first)
    };
    expect(connected.token == 2 && connected.result == Ok(0))?;
    let Returned::Accepted(server) = accepted.cargo else {
        return Err(odd());
    };
    let poll = trial
        .ring
        .poll(server.as_fd(), Readiness::Readable, Shots::Once, 3);
    trial.ring.cancel(poll);
    expect(next(trial)?.result == Err(errno::ECANCELED))?;
    send_pattern(trial, &client, Parcel::LIMIT)?;
    trial
        .ring
        .poll(server.as_fd(), Readiness::Readable, Shots::Once, 4);
    expect(next(trial)?.result.is_ok())?;
    let mut got = vec![0; PATTERN];
    let mut server = TcpStream::from(server);
    server.set_nonblocking(false)?;
    server.set_read_timeout(Some(trial.patience))?;
    server.read_exact(&mut got)?;
    expect(got == pattern())?;
    trial.ring.close(client);
    trial.ring.enter(0, None)?;
    expect(server.read(&mut got)? == 0)
}

/// Receives of one shot each: every byte, in order, in buffers of the ring; the first one waits.
fn one_shot_receive(trial: &mut Trial) -> io::Result<()> {
    let (mut client, server) = pair()?;
    let mut got = Vec::new();
    while got.len() < PATTERN {
        stock(&mut trial.ring)?;
        trial.ring.recv(server.as_fd(), Shots::Once, 1);
        if got.is_empty() {
            waits(&mut trial.ring)?;
            client.write_all(&pattern())?;
        }
        let completion = next(trial)?;
        expect(!completion.more)?;
        take(completion, &mut got)?;
    }
    expect(got == pattern())
}

/// Multishot receives: the pattern, starvation and going on after it, an end by cancel, an end by
/// FIN.
fn multishot_receive(trial: &mut Trial) -> io::Result<()> {
    let (mut client, server) = pair()?;
    let mut got = Vec::new();
    let mut starved = 0;
    stock(&mut trial.ring)?;
    trial.ring.recv(server.as_fd(), Shots::Multi, 1);
    waits(&mut trial.ring)?;
    // Twelve buffers' worth for four buffers: it must starve, and say so.
    for _ in 0..3 {
        client.write_all(&pattern())?;
    }
    while got.len() < 3 * PATTERN {
        let completion = next(trial)?;
        let more = completion.more;
        if completion.result == Err(errno::ENOBUFS) {
            expect(!more)?;
            starved += 1;
        } else {
            take(completion, &mut got)?;
        }
        if !more {
            stock(&mut trial.ring)?;
            trial.ring.recv(server.as_fd(), Shots::Multi, 1);
        }
    }
    expect(starved > 0 && got.chunks(PATTERN).all(|chunk| chunk == pattern()))?;
    end_by_cancel_and_fin(trial, client)
}

fn end_by_cancel_and_fin(trial: &mut Trial, before: TcpStream) -> io::Result<()> {
    // The receive of before ends by FIN and gives no buffer away.
    stock(&mut trial.ring)?;
    drop(before);
    loop {
        let end = next(trial)?;
        if !end.more && end.result != Err(errno::ENOBUFS) {
            break expect(end.result == Ok(0))?;
        }
        expect(end.result == Err(errno::ENOBUFS))?;
    }
    let (_client, server) = pair()?;
    let flight = trial.ring.recv(server.as_fd(), Shots::Multi, 2);
    trial.ring.cancel(flight);
    let end = next(trial)?;
    expect(end.result == Err(errno::ECANCELED) && !end.more && trial.ring.stocked() == BUFFERS)
}

/// One accept for several connections, ended by cancel.
fn multishot_accept(trial: &mut Trial) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let flight = trial.ring.accept(listener.as_fd(), Shots::Multi, 1);
    for _ in 0..2 {
        let client = TcpStream::connect(listener.local_addr()?)?;
        let completion = next(trial)?;
        let Returned::Accepted(fd) = completion.cargo else {
            return Err(odd());
        };
        expect(completion.more && socket::remote_address(fd.as_fd())? == client.local_addr()?)?;
    }
    trial.ring.cancel(flight);
    let end = next(trial)?;
    expect(end.result == Err(errno::ECANCELED) && !end.more)
}

/// Bytes pass through a pipe while the other direction is received by the ring.
fn splice_beside_a_receive(trial: &mut Trial) -> io::Result<()> {
    let ((mut source, from), (mut sink, to)) = (pair()?, pair()?);
    let poll = trial.ring.stock_limit() == 0;
    stock(&mut trial.ring)?;
    match poll {
        true => trial
            .ring
            .poll(to.as_fd(), Readiness::Readable, Shots::Once, 1),
        false => trial.ring.recv(to.as_fd(), Shots::Once, 1),
    };
    waits(&mut trial.ring)?;
    let pipe = Pipe::new(PATTERN)?;
    expect(pipe.fill_from(from.as_fd(), PATTERN).is_err())?;
    source.write_all(&pattern())?;
    let mut got = Vec::new();
    while got.len() < PATTERN {
        let count = pipe.fill_from(from.as_fd(), PATTERN)?;
        expect(pipe.drain_into(to.as_fd(), count)? == count)?;
        let start = got.len();
        got.resize(start + count, 0);
        sink.set_read_timeout(Some(trial.patience))?;
        sink.read_exact(&mut got[start..])?;
    }
    trial.ring.enter(0, None)?;
    expect(got == pattern() && !trial.ring.has_completions())?;
    sink.write_all(&[1])?;
    expect(next(trial)?.result.is_ok_and(|count| count > 0))?;
    trial
        .ring
        .poll(to.as_fd(), Readiness::Writable, Shots::Once, 2);
    expect(next(trial)?.token == 2)
}

/// No operation above may have needed a worker thread of the kernel.
fn no_worker_threads() -> io::Result<()> {
    for task in fs::read_dir("/proc/self/task")? {
        let name = fs::read_to_string(task?.path().join("comm")).unwrap_or_default();
        expect(!name.starts_with("iou-wrk"))?;
    }
    Ok(())
}

fn send_pattern(trial: &mut Trial, socket: &impl AsFd, parts: usize) -> io::Result<()> {
    let mut parcel = trial.ring.parcel();
    for part in pattern().chunks(PATTERN.div_ceil(parts)) {
        let block = Block {
            bytes: part.into(),
            window: 0..part.len(),
        };
        parcel.push(block).map_err(|_| odd())?;
    }
    trial.ring.send(socket.as_fd(), parcel, Push::Now, 9);
    let sent = next(trial)?;
    expect(sent.result == Ok(PATTERN as u32) && matches!(sent.cargo, Returned::Sent(_)))
}

fn stock(ring: &mut Ring) -> io::Result<()> {
    while ring.stocked() < BUFFERS.min(ring.stock_limit()) {
        let block = Block {
            bytes: vec![0; ROOM + 16].into(),
            window: 8..8 + ROOM,
        };
        ring.stock(block).map_err(|_| odd())?;
    }
    Ok(())
}

fn take(completion: Completion, got: &mut Vec<u8>) -> io::Result<()> {
    let Returned::Received(block) = completion.cargo else {
        return Err(odd());
    };
    expect(completion.result == Ok(block.window.len() as u32))?;
    // The room around the window is ours.
    let (before, after) = (&block.bytes[..8], &block.bytes[8 + ROOM..]);
    expect(before.iter().chain(after).all(|&byte| byte == 0))?;
    got.extend_from_slice(&block.bytes[block.window]);
    Ok(())
}

fn next(trial: &mut Trial) -> io::Result<Completion> {
    let end = Instant::now() + trial.patience;
    loop {
        if let Some(completion) = trial.ring.poll_completion() {
            return Ok(completion);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(late());
        }
        trial.ring.enter(1, Some(left))?;
    }
}

/// What was started must wait: nothing has come for it yet.
fn waits(ring: &mut Ring) -> io::Result<()> {
    ring.enter(0, None)?;
    expect(!ring.has_completions())
}

/// A client, and the other end as the driver has it: non-blocking.
fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let server = listener.accept()?.0;
    server.set_nonblocking(true)?;
    Ok((client, server))
}

fn pattern() -> Vec<u8> {
    (0..PATTERN)
        .map(|index| (index * 7 + index / 251) as u8)
        .collect()
}

fn expect(truth: bool) -> io::Result<()> {
    if truth { Ok(()) } else { Err(odd()) }
}

fn odd() -> io::Error {
    io::Error::other("the kernel failed the self-test")
}

fn late() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "no answer in the self-test")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answers: &[fn() -> io::Result<()>], expect: Result<(), Loss>) {
        let mut left = answers.iter();
        let mut patience = Duration::ZERO;
        let answer = persist(|more| {
            assert!(more > patience, "the next try is more patient");
            patience = more;
            left.next().expect("no further try")()
        });
        assert_eq!(answer.map_err(|error| Loss::of(&error)), expect);
        assert_eq!(left.len(), 0, "tries that were not made");
    }

    #[test]
    fn what_is_late_is_tried_again_and_what_is_wrong_is_not() {
        check(&[|| Ok(())], Ok(()));
        check(&[|| Err(odd())], Err(Loss::Missing));
        check(&[|| Err(late()), || Ok(())], Ok(()));
        check(&[|| Err(late()), || Err(odd())], Err(Loss::Missing));
        let blocked = || Err(ErrorKind::WouldBlock.into());
        check(&[blocked, || Err(late()), || Ok(())], Ok(()));
        let never = || Err(late());
        check(&[never, never, never], Err(Loss::Unanswered));
    }
}
