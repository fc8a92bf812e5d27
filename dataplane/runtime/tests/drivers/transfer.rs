//! Bytes through real sockets, on every driver: order, wholeness, back-pressure, ends and faults.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use crate::support::{
    self, Duty, HIGH, World, echo, origin, read_pattern, start, start_at, until, write_pattern,
};
use penstock_core::event::{Close, IoFault};
use penstock_runtime::{Options, Placement, Preference};

const MIB: u64 = 1024 * 1024;

/// One module per driver, every case in each.
macro_rules! on_both_drivers {
    ($($case:ident)*) => {
        mod epoll {
            $(#[test] fn $case() { super::$case(super::Preference::Epoll); })*
        }

        /// Where io_uring is denied, this is epoll once more.
        mod uring {
            $(#[test] fn $case() { super::$case(super::Preference::Auto); })*
        }
    };
}

on_both_drivers! {
    echo_returns_8_mib
    wildcard_and_ipv6_addresses
    relay_carries_8_mib_both_ways
    slow_reader_stops_the_sender
    half_close_passes_through
    client_reset_reaches_the_origin
    refused_connect_resets_the_client
    early_answer_survives_the_reset_behind_it
    thousands_of_connections
    four_buffers_are_enough
    close_with_bytes_on_the_way
    close_at_once
    many_segments_of_few_bytes
    hang_up_is_told_while_receive_is_off
    an_end_waits_while_receive_is_off
    a_flood_starves_nobody
    a_reset_frees_what_a_flood_held
    all_who_starved_are_fed
    drained_only_when_the_backlog_is_served
    no_client_is_reset_by_a_drain
    drain_takes_the_backlog
    listener_moves_to_another_port
}

fn echo_returns_8_mib(driver: Preference) {
    let world = start(driver, 1, Duty::Echo, 256);
    echo(&world.client(), 1, 8 * MIB);
    world.end();
}

fn wildcard_and_ipv6_addresses(driver: Preference) {
    // The machine checks that the local address is the loopback one, not the wildcard.
    let ends = [
        ("0.0.0.0:0", "127.0.0.1"),
        ("[::1]:0", "::1"),
        ("[::]:0", "::1"),
    ];
    for (bound, ip) in ends {
        let placement = Placement {
            cpus: vec![0],
            pinned: true,
        };
        let options = Options {
            driver,
            ..Options::new(placement)
        };
        let world = start_at(bound, options, Duty::Echo, 16);
        let client = TcpStream::connect((ip, world.address.port())).unwrap();
        echo(&client, 1, 100_000);
        world.end();
    }
}

fn relay_carries_8_mib_both_ways(driver: Preference) {
    let address = origin(|stream| {
        thread::scope(|scope| {
            scope.spawn(|| write_pattern(&stream, 7, 8 * MIB));
            read_pattern(&stream, 8, 8 * MIB);
        });
    });
    let world = start(driver, 1, Duty::Relay(address), 256);
    let client = world.client();
    thread::scope(|scope| {
        scope.spawn(|| write_pattern(&client, 8, 8 * MIB));
        read_pattern(&client, 7, 8 * MIB);
    });
    world.end();
}

fn slow_reader_stops_the_sender(driver: Preference) {
    let world = start(driver, 1, Duty::Echo, 256);
    let client = world.client();
    client.set_nonblocking(true).unwrap();
    let block: Vec<u8> = (0..MIB).map(|offset| support::pattern(3, offset)).collect();
    // Nothing is read: the kernel's buffers fill, then the proxy stops, then our own sends block.
    let mut sent = 0_u64;
    let mut refusals = 0;
    while refusals < 100 {
        let from = (sent % MIB) as usize;
        match (&client).write(&block[from..]) {
            Ok(count) => (sent, refusals) = (sent + count as u64, 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                refusals += 1;
                thread::yield_now();
            }
            Err(error) => panic!("{error}"),
        }
        assert!(sent < 64 * MIB, "the proxy takes without end");
    }
    client.set_nonblocking(false).unwrap();
    let most = world.tally.queued_most.load(SeqCst);
    // One receive may overshoot; io_uring delivers what it had taken already.
    assert!(most <= HIGH + 132 * 16 * 1024, "queued {most}");
    client.shutdown(Shutdown::Write).unwrap();
    let mut back = Vec::new();
    (&client).read_to_end(&mut back).unwrap();
    assert_eq!(back.len() as u64, sent);
    assert!(
        back.chunks(MIB as usize)
            .all(|chunk| *chunk == block[..chunk.len()])
    );
    world.end();
}

fn half_close_passes_through(driver: Preference) {
    // The origin answers only after it has seen the client's FIN.
    let address = origin(|mut stream| {
        let mut request = Vec::new();
        stream.read_to_end(&mut request).unwrap();
        assert_eq!(request, b"question");
        stream.write_all(b"answer").unwrap();
    });
    let world = start(driver, 1, Duty::Relay(address), 16);
    let mut client = world.client();
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"answer");
    world.end();
}

fn client_reset_reaches_the_origin(driver: Preference) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let world = start(driver, 1, Duty::Relay(listener.local_addr().unwrap()), 16);
    let mut client = world.client();
    client.write_all(b"x").unwrap();
    let (mut at_origin, _) = listener.accept().unwrap();
    at_origin.read_exact(&mut [0; 1]).unwrap();
    fastpath_sys::socket::reset_on_close(client.as_fd()).unwrap();
    drop(client);
    let error = at_origin.read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    world.settle();
    assert_eq!(*world.tally.faults.lock().unwrap(), [IoFault::Reset]);
    world.end();
}

fn refused_connect_resets_the_client(driver: Preference) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let world = start(driver, 1, Duty::Relay(address), 16);
    let error = world.client().read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    world.settle();
    assert_eq!(*world.tally.faults.lock().unwrap(), [IoFault::Refused]);
    world.end();
}

fn early_answer_survives_the_reset_behind_it(driver: Preference) {
    // The origin answers and closes with the upload unread, so its RST follows the answer.
    let address = origin(|mut stream| {
        stream.read_exact(&mut [0; 1]).unwrap();
        stream.write_all(b"enough").unwrap();
    });
    let world = start(driver, 1, Duty::Relay(address), 64);
    for _ in 0..20 {
        let client = world.client();
        let mut answer = Vec::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                let block = [0; 16 * 1024];
                while (&client).write_all(&block).is_ok() {}
            });
            let _ = (&client).read_to_end(&mut answer);
            let _ = client.shutdown(Shutdown::Both);
        });
        // The answer came, or our own RST overtook it in the client's kernel; it never comes cut.
        assert!(answer == b"enough" || answer.is_empty());
    }
    world.settle();
    world.end();
}

fn thousands_of_connections(driver: Preference) {
    fastpath_sys::process::raise_descriptor_limit().unwrap();
    let world = start(driver, 2, Duty::Echo, 512);
    let clients: Vec<TcpStream> = (0..3000).map(|_| world.client()).collect();
    until(|| world.tally.open.load(SeqCst) == clients.len());
    for round in 0..3_u8 {
        for mut client in &clients {
            client.write_all(&[round; 10]).unwrap();
        }
        for mut client in &clients {
            let mut answer = [0; 10];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(answer, [round; 10]);
        }
    }
    drop(clients);
    world.settle();
    world.end();
}

fn four_buffers_are_enough(driver: Preference) {
    let world = start(driver, 1, Duty::Echo, 4);
    thread::scope(|scope| {
        for seed in 0..8 {
            let world = &world;
            scope.spawn(move || echo(&world.client(), seed, MIB));
        }
    });
    world.settle();
    world.end();
}

fn close_with_bytes_on_the_way(driver: Preference) {
    for how in [Close::Normal, Close::Reset] {
        let world = start(driver, 1, Duty::CloseAtFirstBytes(how), 64);
        for _ in 0..50 {
            let mut client = world.client();
            // Bytes are unread when it closes: RST either way.
            while client.write_all(&[1; 32 * 1024]).is_ok() {}
        }
        world.settle();
        world.end();
    }
}

fn close_at_once(driver: Preference) {
    let world = start(driver, 1, Duty::CloseAtOnce, 16);
    for _ in 0..200 {
        assert_eq!(world.client().read(&mut [0; 1]).unwrap(), 0);
    }
    world.settle();
    world.end();
}

fn many_segments_of_few_bytes(driver: Preference) {
    let world = start(driver, 1, Duty::Echo, 256);
    let client = world.client();
    client.set_nodelay(true).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for offset in 0..5000 {
                (&client).write_all(&[support::pattern(5, offset)]).unwrap();
            }
            client.shutdown(Shutdown::Write).unwrap();
        });
        read_pattern(&client, 5, 5000);
    });
    world.end();
}

fn hang_up_is_told_while_receive_is_off(driver: Preference) {
    let world = start(driver, 1, Duty::Mute, 64);
    for bytes in [0, 4 * MIB as usize] {
        let mut client = world.client();
        client.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while sent < bytes {
            match client.write(&[0; 16 * 1024]) {
                Ok(count) => sent += count,
                Err(_) => break,
            }
        }
        until(|| world.tally.open.load(SeqCst) == 1);
        fastpath_sys::socket::reset_on_close(client.as_fd()).unwrap();
        drop(client);
        world.settle();
    }
    assert_eq!(*world.tally.faults.lock().unwrap(), [IoFault::Reset; 2]);
    // What had been taken already, not the whole flood.
    assert!(world.tally.muted.load(SeqCst) < 2 * MIB as usize);
    world.end();
}

fn a_flood_starves_nobody(driver: Preference) {
    let world = start(driver, 1, Duty::Echo, 64);
    let flood = world.client();
    thread::scope(|scope| {
        scope.spawn(|| while (&flood).write_all(&[0; 64 * 1024]).is_ok() {});
        scope.spawn(|| {
            let mut block = [0; 64 * 1024];
            while (&flood).read(&mut block).is_ok_and(|count| count > 0) {}
        });
        let mut client = world.client();
        for round in 0..500_u16 {
            client.write_all(&round.to_be_bytes()).unwrap();
            let mut answer = [0; 2];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(answer, round.to_be_bytes());
        }
        flood.shutdown(Shutdown::Both).unwrap();
    });
    drop(flood);
    world.settle();
    world.end();
}

fn an_end_waits_while_receive_is_off(driver: Preference) {
    let world = start(driver, 1, Duty::Pause, 64);
    let say = |mut client: &TcpStream, word: &[u8]| {
        client.write_all(word).unwrap();
        client.read_exact(&mut [0; 1]).unwrap();
    };
    let (paused, other) = (world.client(), world.client());
    // The machine checks that no end comes while it has switched receive off.
    say(&paused, b"a");
    say(&paused, b"p");
    paused.shutdown(Shutdown::Write).unwrap();
    (0..100).for_each(|_| say(&other, b"x"));
    assert_eq!(world.tally.open.load(SeqCst), 2);
    say(&other, b"g");
    assert_eq!((&paused).read(&mut [0; 1]).unwrap(), 0);
    drop((paused, other));
    world.settle();
    world.end();
}

/// A client that sends without reading until its echo holds all buffers.
fn flood(world: &World) -> TcpStream {
    let client = world.client();
    client.set_nonblocking(true).unwrap();
    let mut refusals = 0;
    while refusals < 1000 {
        refusals = match (&client).write(&[0; 64 * 1024]) {
            Ok(_) => 0,
            Err(_) => refusals + 1,
        };
        thread::yield_now();
    }
    client
}

fn a_reset_frees_what_a_flood_held(driver: Preference) {
    let world = start(driver, 1, Duty::Echo, 8);
    let client = flood(&world);
    fastpath_sys::socket::reset_on_close(client.as_fd()).unwrap();
    drop(client);
    world.settle();
    world.end();
}

fn all_who_starved_are_fed(driver: Preference) {
    let world = start(driver, 1, Duty::Echo, 8);
    let flood = flood(&world);
    let mut clients: Vec<TcpStream> = (0..200).map(|_| world.client()).collect();
    until(|| world.tally.open.load(SeqCst) == 201);
    fastpath_sys::socket::reset_on_close(flood.as_fd()).unwrap();
    drop(flood);
    until(|| world.tally.open.load(SeqCst) == 200);
    // The buffers are back and nothing else happens: the last in the line is heard all the same.
    for client in clients.iter_mut().rev() {
        client.write_all(b"ping").unwrap();
        client.read_exact(&mut [0; 4]).unwrap();
    }
    drop(clients);
    world.settle();
    world.end();
}

fn drained_only_when_the_backlog_is_served(driver: Preference) {
    let world = start(driver, 1, Duty::Echo, 64);
    let gate = world.tally.gate.lock().unwrap();
    world.runtime.drain();
    let clients: Vec<TcpStream> = (0..10).map(|_| world.client()).collect();
    drop(gate);
    until(|| world.tally.accepted.load(SeqCst) == 10);
    assert!(world.runtime.wait_drained(Duration::ZERO).is_err());
    clients.iter().for_each(|client| echo(client, 1, 1000));
    world.runtime.wait_drained(support::PATIENCE).unwrap();
    world.runtime.stop();
}

fn no_client_is_reset_by_a_drain(driver: Preference) {
    for _ in 0..3 {
        let world = start(driver, 2, Duty::Echo, 64);
        let accepted = || world.tally.accepted.load(SeqCst);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while let Ok(mut client) = TcpStream::connect(world.address) {
                        client.write_all(b"ping").unwrap();
                        client.read_exact(&mut [0; 4]).unwrap();
                        fastpath_sys::socket::reset_on_close(client.as_fd()).unwrap();
                    }
                });
            }
            until(|| accepted() > 100);
            world.runtime.drain();
        });
        world.runtime.wait_drained(support::PATIENCE).unwrap();
        world.runtime.stop();
    }
}

fn drain_takes_the_backlog(driver: Preference) {
    let world = start(driver, 1, Duty::Echo, 64);
    let clients: Vec<TcpStream> = (0..100).map(|_| world.client()).collect();
    world.runtime.drain();
    for client in &clients {
        echo(client, 1, 1000);
    }
    world.runtime.wait_drained(support::PATIENCE).unwrap();
    assert_eq!(world.tally.accepted.load(SeqCst), 100);
    until_refused(&world);
    world.runtime.stop();
}

fn listener_moves_to_another_port(driver: Preference) {
    let world = start(driver, 2, Duty::Echo, 64);
    let old = world.client();
    echo_some(&world, &old);
    let group = support::another_group(2);
    let address = group.address;
    let ticket = world.runtime.apply(std::sync::Arc::default(), vec![group]);
    world.runtime.wait(ticket, support::PATIENCE).unwrap();
    until_refused(&world);
    echo(&old, 1, 1000);
    let new = TcpStream::connect(address).unwrap();
    echo(&new, 1, 1000);
    // Of the two configurations only the current one may still be held.
    assert!(world.runtime.sweep() <= 1);
    world.settle();
    world.end();
}

/// A listener closes a moment after the command; until then it takes those who came before it.
fn until_refused(world: &World) {
    until(|| match TcpStream::connect(world.address) {
        Ok(_) => false,
        Err(error) => error.kind() == ErrorKind::ConnectionRefused,
    });
}

fn echo_some(world: &World, mut client: &TcpStream) {
    client.write_all(b"ping").unwrap();
    client.read_exact(&mut [0; 4]).unwrap();
    assert!(world.tally.accepted.load(SeqCst) >= 1);
}
