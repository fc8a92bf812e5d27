//! The ring against the running kernel. Where io_uring is denied there is nothing to test: the
//! drivers' own tests then see epoll chosen.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use super::*;

const PATIENCE: Option<Duration> = Some(Duration::from_secs(30));

fn ring(buffers: u16) -> Option<Ring> {
    match Ring::new(&RingOptions {
        buffers,
        ..RingOptions::default()
    }) {
        Ok(ring) => Some(ring),
        Err(error) => {
            eprintln!("io_uring is not to be had here: {error}");
            None
        }
    }
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

fn block(text: &[u8]) -> Block {
    let mut bytes = vec![b'.'; 8 + text.len() + 4].into_boxed_slice();
    bytes[8..8 + text.len()].copy_from_slice(text);
    Block {
        bytes,
        window: 8..8 + text.len(),
    }
}

fn next(ring: &mut Ring) -> Completion {
    loop {
        if let Some(completion) = ring.poll_completion() {
            return completion;
        }
        ring.enter(1, PATIENCE).unwrap();
    }
}

#[test]
fn received_blocks_come_back_and_only_their_window_is_written() {
    let Some(mut ring) = ring(4) else { return };
    let (mut client, server) = pair();
    ring.stock(block(&[0; 5])).unwrap();
    ring.recv(server.as_fd(), Shots::Multi, 42);
    client.write_all(b"hello world").unwrap();
    let first = next(&mut ring);
    assert_eq!((first.token, first.result, first.more), (42, Ok(5), true));
    let Returned::Received(got) = first.cargo else {
        panic!("no block")
    };
    assert_eq!(&*got.bytes, b"........hello....");
    assert_eq!(got.window, 8..13);
    // The ring is empty now, so the receive ends; a new one goes on where it stopped.
    let second = next(&mut ring);
    assert_eq!((second.result, second.more), (Err(libc::ENOBUFS), false));
    assert_eq!(ring.in_flight(), 0);
    ring.stock(block(&[0; 16])).unwrap();
    ring.recv(server.as_fd(), Shots::Once, 43);
    let third = next(&mut ring);
    let Returned::Received(got) = third.cargo else {
        panic!("no block")
    };
    assert_eq!(
        (third.more, &got.bytes[got.window]),
        (false, &b" world"[..])
    );
}

#[test]
fn stock_is_bounded_and_an_end_costs_no_block() {
    let Some(mut ring) = ring(2) else { return };
    let (client, server) = pair();
    ring.stock(block(&[0; 4])).unwrap();
    ring.stock(block(&[0; 4])).unwrap();
    assert!(ring.stock(block(&[0; 4])).is_err());
    ring.recv(server.as_fd(), Shots::Multi, 1);
    drop(client);
    let end = next(&mut ring);
    assert_eq!((end.result, end.more), (Ok(0), false));
    assert!(matches!(end.cargo, Returned::Nothing));
    assert_eq!(ring.stocked(), 2);
}

#[test]
fn parcels_leave_in_order_and_come_back() {
    let Some(mut ring) = ring(0) else { return };
    let (mut client, server) = pair();
    for count in [1, 3] {
        let mut parcel = ring.parcel();
        for text in [&b"one "[..], b"two ", b"three"].into_iter().take(count) {
            parcel.push(block(text)).unwrap();
        }
        ring.send(server.as_fd(), parcel, Push::Now, 9);
        let sent = next(&mut ring);
        let Returned::Sent(mut parcel) = sent.cargo else {
            panic!("no parcel")
        };
        assert_eq!(parcel.drain().count(), count);
        ring.keep_parcel(parcel);
    }
    let mut text = [0; 17];
    client.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"one one two three");
}

#[test]
fn accept_connect_close() {
    let Some(mut ring) = ring(0) else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let accept = ring.accept(listener.as_fd(), Shots::Multi, 1);
    let socket = crate::socket::outgoing(address).unwrap();
    ring.connect(socket.as_fd(), address, 2);
    let mut accepted = None;
    for _ in 0..2 {
        let completion = next(&mut ring);
        match (completion.token, completion.cargo) {
            (1, Returned::Accepted(fd)) => accepted = Some(fd),
            (2, Returned::Nothing) => assert_eq!(completion.result, Ok(0)),
            other => panic!("{other:?}"),
        }
    }
    ring.close(accepted.unwrap());
    ring.cancel(accept);
    let end = next(&mut ring);
    assert_eq!(
        (end.token, end.result, end.more),
        (1, Err(libc::ECANCELED), false)
    );
    assert_eq!(to_the_end(socket), 0);
}

#[test]
fn a_cancel_that_misses_is_repeated() {
    let Some(mut ring) = ring(0) else { return };
    // In flight for us, but not to be found for the kernel: as an operation is that runs.
    let flight = ring.flights.take_off(7, Cargo::None);
    ring.cancel(flight);
    for count in 1..4 {
        ring.enter(1, PATIENCE).unwrap();
        assert!(ring.poll_completion().is_none());
        assert_eq!(ring.counts().cancels_missed, count);
    }
    // Now it waits, under the same name.
    let (_client, server) = pair();
    let fd = types::Fd(server.as_raw_fd());
    let poll = opcode::PollAdd::new(fd, libc::POLLIN as u32).build();
    ring.push(poll.user_data(flight.0.get()));
    let end = next(&mut ring);
    assert_eq!((end.token, end.result), (7, Err(libc::ECANCELED)));
}

#[test]
fn a_cancel_that_comes_too_late_is_not_repeated() {
    let Some(mut ring) = ring(0) else { return };
    let (mut client, server) = pair();
    client.write_all(b"x").unwrap();
    let poll = ring.poll(server.as_fd(), Readiness::Readable, Shots::Once, 1);
    ring.cancel(poll);
    assert_eq!(next(&mut ring).token, 1);
    ring.enter(0, None).unwrap();
    assert!(ring.poll_completion().is_none());
    assert_eq!((ring.counts().cancels_missed, ring.in_flight()), (0, 0));
}

/// Bytes until the end of a non-blocking socket.
fn to_the_end(socket: OwnedFd) -> usize {
    let mut stream = TcpStream::from(socket);
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(PATIENCE).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap()
}

#[test]
fn a_refused_connect_says_so() {
    let Some(mut ring) = ring(0) else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let socket = crate::socket::outgoing(address).unwrap();
    ring.connect(socket.as_fd(), address, 1);
    assert_eq!(next(&mut ring).result, Err(libc::ECONNREFUSED));
}

#[test]
fn operations_wait_on_sockets_that_do_not() {
    let Some(mut ring) = ring(4) else { return };
    let (mut client, server) = pair();
    server.set_nonblocking(true).unwrap();
    for shots in [Shots::Once, Shots::Multi] {
        ring.stock(block(&[0; 5])).unwrap();
        ring.recv(server.as_fd(), shots, 1);
        ring.enter(0, None).unwrap();
        assert!(!ring.has_completions(), "nothing has arrived");
        client.write_all(b"hello").unwrap();
        let got = next(&mut ring);
        assert!(matches!(got.cargo, Returned::Received(_)), "{got:?}");
    }
    // Far more than the socket takes.
    const BYTES: usize = Parcel::LIMIT << 20;
    let mut parcel = ring.parcel();
    for _ in 0..Parcel::LIMIT {
        parcel.push(block(&vec![1; 1 << 20])).unwrap();
    }
    ring.send(server.as_fd(), parcel, Push::Now, 2);
    ring.enter(0, None).unwrap();
    assert!(!ring.has_completions(), "there is no room yet");
    std::thread::scope(|scope| {
        scope.spawn(|| client.read_exact(&mut vec![0; BYTES]).unwrap());
        assert_eq!(next(&mut ring).result, Ok(BYTES as u32));
    });
}

#[test]
fn a_full_submission_queue_loses_nothing() {
    let options = RingOptions {
        submissions: 4,
        buffers: 0,
        ..RingOptions::default()
    };
    let Ok(mut ring) = Ring::new(&options) else {
        return;
    };
    let (mut client, server) = pair();
    for _ in 0..100 {
        ring.poll(server.as_fd(), Readiness::Readable, Shots::Once, 5);
    }
    client.write_all(b"x").unwrap();
    for _ in 0..100 {
        assert_eq!(next(&mut ring).token, 5);
    }
    assert!(ring.counts().sq_full > 0);
    assert_eq!(ring.in_flight(), 0);
}

#[test]
fn a_ring_dropped_in_mid_flight_lets_go_of_everything() {
    let Some(mut ring) = ring(4) else { return };
    let (client, server) = pair();
    ring.stock(block(&[0; 1024])).unwrap();
    ring.recv(server.as_fd(), Shots::Multi, 1);
    // Far more than the socket takes: this send stays in flight.
    let mut parcel = ring.parcel();
    for _ in 0..Parcel::LIMIT {
        parcel.push(block(&vec![1; 1 << 20])).unwrap();
    }
    ring.send(server.as_fd(), parcel, Push::Now, 2);
    ring.enter(0, None).unwrap();
    drop(ring);
    // Nobody holds the socket but `server`: closing it reaches the other end.
    drop(server);
    let mut client = client;
    client.set_read_timeout(PATIENCE).unwrap();
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest);
    assert!(rest.iter().all(|&byte| byte == 1));
}

#[test]
fn a_ring_dropped_with_nothing_in_flight_closes_what_it_was_told_to() {
    let Some(mut ring) = ring(0) else { return };
    let (mut client, server) = pair();
    ring.close(server.into());
    drop(ring);
    client.set_read_timeout(PATIENCE).unwrap();
    assert_eq!(client.read_to_end(&mut Vec::new()).unwrap(), 0);
}

#[test]
fn an_overflow_ends_watches_that_saw_no_hang_up() {
    let options = RingOptions {
        submissions: 4,
        completions: 8,
        buffers: 0,
        ..RingOptions::default()
    };
    let Ok(mut ring) = Ring::new(&options) else {
        return;
    };
    let pairs: Vec<_> = (0..32).map(|_| pair()).collect();
    for (_, server) in &pairs {
        ring.poll(server.as_fd(), Readiness::HangUp, Shots::Multi, 3);
    }
    ring.enter(0, None).unwrap();
    for (client, _) in &pairs {
        client.shutdown(std::net::Shutdown::Write).unwrap();
    }
    let fins: Vec<_> = pairs.iter().map(|_| next(&mut ring)).collect();
    let (on, over): (Vec<_>, Vec<_>) = fins.iter().partition(|fin| fin.more);
    assert!(!on.is_empty() && !over.is_empty(), "{fins:?}");
    let quiet = |fin: &Completion| fin.result.is_ok_and(|bits| !is_hang_up(bits));
    assert!(fins.iter().all(quiet), "{fins:?}");
}

#[test]
fn a_watch_for_hang_ups_sees_the_reset_behind_a_fin() {
    let Some(mut ring) = ring(0) else { return };
    let (mut client, server) = pair();
    ring.poll(server.as_fd(), Readiness::HangUp, Shots::Multi, 3);
    client.write_all(b"bytes are no hang-up").unwrap();
    ring.enter(0, None).unwrap();
    assert!(ring.poll_completion().is_none());
    // The kernel reports a FIN although nobody asked for it; one completion, then it waits on.
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let fin = next(&mut ring);
    assert_eq!((fin.result.map(is_error), fin.more), (Ok(false), true));
    crate::socket::reset_on_close(client.as_fd()).unwrap();
    drop(client);
    assert_eq!(next(&mut ring).result.map(is_error), Ok(true));
}
