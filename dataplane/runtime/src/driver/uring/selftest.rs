//! The start-up self-test: does this kernel behave as its version promises?
//!
//! Everything the driver relies on is tried on loopback connections, byte for byte. A feature that
//! fails is left out; if the ground under all of them fails, io_uring is. Takes a few milliseconds.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use fastpath_sys::errno;
use fastpath_sys::pipe::Pipe;
use fastpath_sys::socket;
use fastpath_sys::uring::{
    Block, Completion, Parcel, Push, Readiness, Returned, Ring, RingOptions, Shots,
};

use super::caps::{Caps, Feature};

/// How long any step may take; only one that fails takes that long.
const PATIENCE: Duration = Duration::from_millis(500);
/// Bytes per test buffer; the pattern does not divide by it.
const ROOM: usize = 512;
const BUFFERS: usize = 4;
const PATTERN: usize = 3 * ROOM + 77;

/// Tries one feature on a ring of its own.
type Test = fn(&mut Ring) -> io::Result<()>;

/// Tries everything that `caps` allows and returns what is left. An error means: no io_uring.
pub(super) fn run(mut caps: Caps) -> io::Result<Caps> {
    let mut ring = small_ring(&caps)?;
    caps.note(ring.features());
    basics(&mut ring)?;
    let tests: [(Feature, Test); 4] = [
        (Feature::BufferRing, one_shot_receive),
        (Feature::MultishotRecv, multishot_receive),
        (Feature::MultishotAccept, multishot_accept),
        (Feature::Splice, splice_beside_a_receive),
    ];
    for (feature, test) in tests {
        // A ring of its own each: what a failed test left behind must not disturb the next.
        if caps.has(feature) && test(&mut small_ring(&caps)?).is_err() {
            caps.lose(feature);
        }
    }
    no_worker_threads()?;
    Ok(caps)
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
fn basics(ring: &mut Ring) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let client = socket::outgoing(address)?;
    ring.accept(listener.as_fd(), Shots::Once, 1);
    ring.connect(client.as_fd(), address, 2);
    let (first, second) = (next(ring)?, next(ring)?);
    let (connected, accepted) = if first.token == 2 {
        (first, second)
    } else {
        (second, first)
    };
    expect(connected.token == 2 && connected.result == Ok(0))?;
    let Returned::Accepted(server) = accepted.cargo else {
        return Err(odd());
    };
    let poll = ring.poll(server.as_fd(), Readiness::Readable, Shots::Once, 3);
    ring.cancel(poll);
    expect(next(ring)?.result == Err(errno::ECANCELED))?;
    send_pattern(ring, &client, Parcel::LIMIT)?;
    ring.poll(server.as_fd(), Readiness::Readable, Shots::Once, 4);
    expect(next(ring)?.result.is_ok())?;
    let mut got = vec![0; PATTERN];
    let mut server = TcpStream::from(server);
    server.set_nonblocking(false)?;
    server.set_read_timeout(Some(PATIENCE))?;
    server.read_exact(&mut got)?;
    expect(got == pattern())?;
    ring.close(client);
    ring.enter(0, None)?;
    expect(server.read(&mut got)? == 0)
}

/// Receives of one shot each: every byte, in order, in buffers of the ring; the first one waits.
fn one_shot_receive(ring: &mut Ring) -> io::Result<()> {
    let (mut client, server) = pair()?;
    let mut got = Vec::new();
    while got.len() < PATTERN {
        stock(ring)?;
        ring.recv(server.as_fd(), Shots::Once, 1);
        if got.is_empty() {
            waits(ring)?;
            client.write_all(&pattern())?;
        }
        let completion = next(ring)?;
        expect(!completion.more)?;
        take(completion, &mut got)?;
    }
    expect(got == pattern())
}

/// Multishot receives: the pattern, starvation and going on after it, an end by cancel, an end by
/// FIN.
fn multishot_receive(ring: &mut Ring) -> io::Result<()> {
    let (mut client, server) = pair()?;
    let mut got = Vec::new();
    let mut starved = 0;
    stock(ring)?;
    ring.recv(server.as_fd(), Shots::Multi, 1);
    waits(ring)?;
    // Twelve buffers' worth for four buffers: it must starve, and say so.
    for _ in 0..3 {
        client.write_all(&pattern())?;
    }
    while got.len() < 3 * PATTERN {
        let completion = next(ring)?;
        let more = completion.more;
        if completion.result == Err(errno::ENOBUFS) {
            expect(!more)?;
            starved += 1;
        } else {
            take(completion, &mut got)?;
        }
        if !more {
            stock(ring)?;
            ring.recv(server.as_fd(), Shots::Multi, 1);
        }
    }
    expect(starved > 0 && got.chunks(PATTERN).all(|chunk| chunk == pattern()))?;
    end_by_cancel_and_fin(ring, client)
}

fn end_by_cancel_and_fin(ring: &mut Ring, before: TcpStream) -> io::Result<()> {
    // The receive of before ends by FIN and gives no buffer away.
    stock(ring)?;
    drop(before);
    loop {
        let end = next(ring)?;
        if !end.more && end.result != Err(errno::ENOBUFS) {
            break expect(end.result == Ok(0))?;
        }
        expect(end.result == Err(errno::ENOBUFS))?;
    }
    let (_client, server) = pair()?;
    let flight = ring.recv(server.as_fd(), Shots::Multi, 2);
    ring.cancel(flight);
    let end = next(ring)?;
    expect(end.result == Err(errno::ECANCELED) && !end.more && ring.stocked() == BUFFERS)
}

/// One accept for several connections, ended by cancel.
fn multishot_accept(ring: &mut Ring) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let flight = ring.accept(listener.as_fd(), Shots::Multi, 1);
    for _ in 0..2 {
        let client = TcpStream::connect(listener.local_addr()?)?;
        let completion = next(ring)?;
        let Returned::Accepted(fd) = completion.cargo else {
            return Err(odd());
        };
        expect(completion.more && socket::remote_address(fd.as_fd())? == client.local_addr()?)?;
    }
    ring.cancel(flight);
    let end = next(ring)?;
    expect(end.result == Err(errno::ECANCELED) && !end.more)
}

/// Bytes pass through a pipe while the other direction is received by the ring.
fn splice_beside_a_receive(ring: &mut Ring) -> io::Result<()> {
    let ((mut source, from), (mut sink, to)) = (pair()?, pair()?);
    let poll = ring.stock_limit() == 0;
    stock(ring)?;
    match poll {
        true => ring.poll(to.as_fd(), Readiness::Readable, Shots::Once, 1),
        false => ring.recv(to.as_fd(), Shots::Once, 1),
    };
    waits(ring)?;
    let pipe = Pipe::new(PATTERN)?;
    expect(pipe.fill_from(from.as_fd(), PATTERN).is_err())?;
    source.write_all(&pattern())?;
    let mut got = Vec::new();
    while got.len() < PATTERN {
        let count = pipe.fill_from(from.as_fd(), PATTERN)?;
        expect(pipe.drain_into(to.as_fd(), count)? == count)?;
        let start = got.len();
        got.resize(start + count, 0);
        sink.set_read_timeout(Some(PATIENCE))?;
        sink.read_exact(&mut got[start..])?;
    }
    ring.enter(0, None)?;
    expect(got == pattern() && !ring.has_completions())?;
    sink.write_all(&[1])?;
    expect(next(ring)?.result.is_ok_and(|count| count > 0))?;
    ring.poll(to.as_fd(), Readiness::Writable, Shots::Once, 2);
    expect(next(ring)?.token == 2)
}

/// No operation above may have needed a worker thread of the kernel.
fn no_worker_threads() -> io::Result<()> {
    for task in fs::read_dir("/proc/self/task")? {
        let name = fs::read_to_string(task?.path().join("comm")).unwrap_or_default();
        expect(!name.starts_with("iou-wrk"))?;
    }
    Ok(())
}

fn send_pattern(ring: &mut Ring, socket: &impl AsFd, parts: usize) -> io::Result<()> {
    let mut parcel = ring.parcel();
    for part in pattern().chunks(PATTERN.div_ceil(parts)) {
        let block = Block {
            bytes: part.into(),
            window: 0..part.len(),
        };
        parcel.push(block).map_err(|_| odd())?;
    }
    ring.send(socket.as_fd(), parcel, Push::Now, 9);
    let sent = next(ring)?;
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

fn next(ring: &mut Ring) -> io::Result<Completion> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(completion) = ring.poll_completion() {
            return Ok(completion);
        }
        let left = end.saturating_duration_since(Instant::now());
        expect(!left.is_zero())?;
        ring.enter(1, Some(left))?;
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
