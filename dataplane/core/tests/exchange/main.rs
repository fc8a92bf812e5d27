//! Exchanges through the engine, one event at a time: what is sent where, and what is closed.
//!
//! The world here is a script, not a network: the simulator does that. It shows the plain path and
//! every answer that Penstock gives by itself.

mod attack_table;
mod bounds;
mod counters;
mod duration;
mod forwarded;
mod relay;
mod reuse;
mod world;

use std::time::Duration;

use penstock_core::event::{IoFault, Time};
use world::{World, WorldOptions};

const GET: &str = "GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn a_request_and_its_response_pass() {
    let mut world = World::new();
    let client = world.accept();
    world.client_sends(client, GET);
    let origin = world.connected();
    let request = world.sent_to(origin);
    assert!(
        request.starts_with("GET /a HTTP/1.1\r\nhost: a.example\r\n"),
        "{request}"
    );
    assert!(
        request.contains("\r\nx-forwarded-for: 192.0.2.1\r\n"),
        "{request}"
    );
    assert!(request.contains("\r\nx-request-id: "), "{request}");
    world.origin_sends(origin, OK);
    let response = world.sent_to(client);
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\nhi"), "{response}");
    assert!(!response.contains("connection: close"), "{response}");
    assert!(world.closed().is_empty());
    let counters = world.counters();
    assert_eq!(counters.bytes_received.value(), GET.len() as u64);
    assert_eq!(counters.bytes_sent.value(), response.len() as u64);
}

#[test]
fn the_pooled_connection_serves_the_next_request() {
    let mut world = World::new();
    let client = world.accept();
    world.client_sends(client, GET);
    let origin = world.connected();
    world.sent_to(origin);
    world.origin_sends(origin, OK);
    world.sent_to(client);
    world.client_sends(client, GET);
    assert!(world.sent_to(origin).starts_with("GET /a"));
    assert!(world.connects().is_empty());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut world = World::new();
    let client = world.accept();
    world.client_sends(
        client,
        &[GET, &GET.replace("/a", "/b"), &GET.replace("/a", "/c")].concat(),
    );
    let origin = world.connected();
    for path in ["/a", "/b", "/c"] {
        let request = world.sent_to(origin);
        assert!(request.starts_with(&format!("GET {path} ")), "{request}");
        assert_eq!(request.matches("GET").count(), 1);
        world.origin_sends(origin, OK);
        assert!(world.sent_to(client).ends_with("hi"));
    }
}

#[test]
fn what_waits_for_timeouts_does_not_grow_with_requests() {
    let mut world = World::new();
    let kept = world.accept();
    for round in 0..2000 {
        world.pass(Duration::from_millis(1));
        world.client_sends(kept, GET);
        if round == 0 {
            world.connected();
        }
        let origin = world.last_origin();
        world.origin_sends(origin, OK);
        let short = world.accept();
        world.client_ends(short);
        assert!(world.closed().contains(&short));
    }
    assert!(world.timer_nodes() < 32, "{} nodes", world.timer_nodes());
}

#[test]
fn a_head_may_come_byte_by_byte() {
    let mut world = World::new();
    let client = world.accept();
    for byte in GET.as_bytes() {
        world.client_sends(client, std::str::from_utf8(&[*byte]).unwrap());
    }
    let origin = world.connected();
    assert!(world.sent_to(origin).starts_with("GET /a"));
    for byte in OK.as_bytes() {
        world.origin_sends(origin, std::str::from_utf8(&[*byte]).unwrap());
    }
    assert!(world.sent_to(client).ends_with("\r\n\r\nhi"));
}

#[test]
fn bodies_pass_both_ways_in_chunks() {
    let mut world = World::new();
    let client = world.accept();
    world.client_sends(
        client,
        "POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    );
    let origin = world.connected();
    let head = world.sent_to(origin);
    assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
    assert!(head.ends_with("\r\n\r\n5\r\nhello\r\n"), "{head}");
    world.client_sends(client, "6;x=y\r\n world\r\n0\r\n\r\n");
    assert_eq!(world.sent_to(origin), "6\r\n world\r\n0\r\n\r\n");
    world.origin_sends(
        origin,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    );
    assert!(world.sent_to(client).ends_with("\r\n\r\n3\r\nabc\r\n"));
    world.origin_sends(origin, "2\r\nde\r\n0\r\n\r\n");
    assert_eq!(world.sent_to(client), "2\r\nde\r\n0\r\n\r\n");
    world.client_sends(client, GET);
    assert!(
        world.sent_to(origin).starts_with("GET /a"),
        "the connection was pooled"
    );
}

#[test]
fn http10_gets_a_close_delimited_body() {
    let mut world = World::with(WorldOptions {
        accept_http10: true,
        ..WorldOptions::default()
    });
    let client = world.accept();
    world.client_sends(client, "GET /a HTTP/1.0\r\nHost: a\r\n\r\n");
    let origin = world.connected();
    world.origin_sends(
        origin,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    );
    let response = world.sent_to(client);
    assert!(response.contains("connection: close\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\nabc"), "{response}");
    world.client_ends(client);
    assert_eq!(world.closed(), [client]);
}

#[test]
fn a_refused_origin_is_503_and_the_client_may_go_on() {
    let mut world = World::new();
    let client = world.accept();
    world.client_sends(client, GET);
    world.refuse_connect(IoFault::Refused);
    let response = world.sent_to(client);
    assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
    assert!(!response.contains("connection: close"), "{response}");
}

#[test]
fn a_stale_pooled_connection_costs_nothing_a_client_can_see() {
    let mut world = World::new();
    let client = world.accept();
    world.client_sends(client, GET);
    let stale = world.connected();
    world.sent_to(stale);
    world.origin_sends(stale, OK);
    world.sent_to(client);
    world.client_sends(client, GET);
    assert!(world.sent_to(stale).starts_with("GET"));
    world.origin_ends(stale);
    let fresh = world.connected();
    assert_ne!(stale, fresh);
    assert!(world.sent_to(fresh).starts_with("GET /a"));
    world.origin_sends(fresh, OK);
    assert!(world.sent_to(client).starts_with("HTTP/1.1 200"));
}

#[test]
fn a_post_on_a_stale_connection_is_not_repeated() {
    let mut world = World::new();
    let client = world.accept();
    world.client_sends(client, GET);
    let stale = world.connected();
    world.origin_sends(stale, OK);
    world.sent_to(client);
    world.client_sends(
        client,
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
    );
    world.origin_ends(stale);
    assert!(world.connects().is_empty());
    assert!(world.sent_to(client).starts_with("HTTP/1.1 503"));
}

#[test]
fn a_client_that_said_close_is_not_waited_for() {
    let last = "GET /a HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
    let upload = "POST /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx";
    let behind = [last, "\r\n"].concat();
    // What follows an upload or was already sent would be answered with a reset.
    for (request, waits) in [(last, false), (upload, true), (&behind, true)] {
        let mut world = World::new();
        let client = world.accept();
        world.client_sends(client, request);
        let origin = world.connected();
        world.sent_to(origin);
        world.origin_sends(origin, OK);
        assert!(world.sent_to(client).ends_with("hi"));
        assert_eq!(world.shut(), [client], "FIN is with the last bytes");
        assert_eq!(world.closed().contains(&client), !waits, "{request}");
        world.client_ends(client);
        assert!(world.closed().contains(&client), "{request}");
    }
}

#[test]
fn malformed_heads_are_refused_and_closed() {
    let cases = [
        ("GET / HTTP/1.1\nHost: a\n\n", "400"),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
            "501",
        ),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
    ];
    for (head, status) in cases {
        let mut world = World::new();
        let client = world.accept();
        world.client_sends(client, head);
        let response = world.sent_to(client);
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status} ")),
            "{head:?}: {response}"
        );
        assert!(response.contains("connection: close\r\n"), "{response}");
        assert!(world.connects().is_empty());
        world.client_ends(client);
        assert_eq!(world.closed(), [client], "{head:?}");
    }
}

#[test]
fn timeouts_answer_by_phase() {
    let mut world = World::new();
    let client = world.accept();
    world.client_sends(client, "GET / HTTP/1.1\r\n");
    world.wait_seconds(11);
    assert!(world.sent_to(client).starts_with("HTTP/1.1 408"));

    let slow = world.accept();
    world.client_sends(slow, GET);
    let origin = world.connected();
    world.sent_to(origin);
    world.wait_seconds(16);
    assert!(world.sent_to(slow).starts_with("HTTP/1.1 504"));
    assert!(world.closed().contains(&origin));

    let idle = world.accept();
    world.wait_seconds(62);
    assert!(world.closed().contains(&idle));
}

#[test]
fn connect_timeout_is_503() {
    let mut world = World::new();
    let client = world.accept();
    world.client_sends(client, GET);
    assert_eq!(world.connects().len(), 1);
    world.wait_seconds(6);
    assert!(world.sent_to(client).starts_with("HTTP/1.1 503"));
}

#[test]
fn an_upgrade_becomes_a_tunnel() {
    let mut world = World::new();
    let client = world.accept();
    world.client_sends(
        client,
        "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly",
    );
    let origin = world.connected();
    let request = world.sent_to(origin);
    assert!(
        request.contains("connection: upgrade\r\nupgrade: websocket\r\n"),
        "{request}"
    );
    assert!(
        !request.contains("early"),
        "C08: nothing passes before the 101"
    );
    world.origin_sends(
        origin,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\
         first",
    );
    let response = world.sent_to(client);
    assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
    assert!(response.ends_with("\r\n\r\nfirst"), "{response}");
    assert_eq!(world.sent_to(origin), "early");
    world.client_sends(client, "ping");
    assert_eq!(world.sent_to(origin), "ping");
    world.origin_sends(origin, "pong");
    assert_eq!(world.sent_to(client), "pong");
    world.client_ends(client);
    assert_eq!(world.shut(), [origin]);
    world.origin_ends(origin);
    assert!(world.closed().contains(&client) && world.closed().contains(&origin));
}

#[test]
fn an_answer_that_overtakes_the_request_ends_both_connections() {
    let mut world = World::new();
    let client = world.accept();
    world.client_sends(
        client,
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345",
    );
    let origin = world.connected();
    world.origin_sends(
        origin,
        "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n",
    );
    let response = world.sent_to(client);
    assert!(response.starts_with("HTTP/1.1 413"), "{response}");
    assert!(response.contains("connection: close"), "{response}");
    assert!(world.closed().contains(&origin));
    world.client_sends(client, "67890");
    world.client_ends(client);
    assert!(world.closed().contains(&client));
}

#[test]
fn expect_continue_is_answered_before_the_body() {
    let mut world = World::new();
    let client = world.accept();
    world.client_sends(
        client,
        "POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
    );
    let origin = world.connected();
    assert!(!world.sent_to(origin).contains("\r\nexpect:"));
    assert_eq!(world.sent_to(client), "HTTP/1.1 100 Continue\r\n\r\n");
    world.client_sends(client, "ok");
    assert_eq!(world.sent_to(origin), "ok");
    world.origin_sends(origin, OK);
    assert!(world.sent_to(client).ends_with("hi"));
}

#[test]
fn back_pressure_reaches_the_origin_and_lets_go() {
    let mut world = World::with(WorldOptions {
        keep_sent: true,
        ..WorldOptions::default()
    });
    let client = world.accept();
    world.client_sends(client, GET);
    let origin = world.connected();
    world.release_sent(origin);
    world.origin_sends(origin, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    let piece = "x".repeat(16 * 1024);
    for _ in 0..3 {
        world.origin_sends(origin, &piece);
    }
    assert_eq!(world.receiving(origin), Some(false));
    world.release_sent(client);
    assert_eq!(world.receiving(origin), Some(true));
}

#[test]
fn a_truncated_response_never_looks_complete() {
    let mut world = World::new();
    let client = world.accept();
    world.client_sends(client, GET);
    let origin = world.connected();
    world.origin_sends(
        origin,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    );
    world.origin_ends(origin);
    let response = world.sent_to(client);
    assert!(response.ends_with("3\r\nabc\r\n"), "{response}");
    world.client_ends(client);
    assert!(world.closed().contains(&client));
}

#[test]
fn drain_lets_the_exchange_finish_and_says_close() {
    let mut world = World::new();
    let (busy, idle) = (world.accept(), world.accept());
    world.client_sends(busy, GET);
    let origin = world.connected();
    world.drain();
    assert_eq!(world.unlistening(), 1);
    world.wait_seconds(2);
    assert_eq!(world.closed(), [idle]);
    world.origin_sends(origin, OK);
    assert!(world.sent_to(busy).contains("connection: close\r\n"));
    assert!(!world.is_drained());
    world.client_ends(busy);
    assert!(!world.is_drained(), "clients may still come");
    world.unlistened();
    assert!(world.is_drained(), "{:?}", world.closed());
}

#[test]
fn the_backlog_of_a_removed_listener_is_served_as_before() {
    let mut world = World::new();
    world.remove_listener();
    assert_eq!(world.unlistening(), 1);
    let client = world.accept();
    world.client_sends(client, GET);
    let origin = world.connected();
    world.origin_sends(origin, OK);
    let answer = world.sent_to(client);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    world.client_ends(client);
    assert!(world.holds_first());
    world.unlistened();
    assert!(!world.holds_first());
    assert_eq!(world.offer(), None);
}

#[test]
fn buffers_and_timers_are_all_back_at_the_end() {
    let mut world = World::new();
    for _ in 0..3 {
        let client = world.accept();
        world.client_sends(client, GET);
        let origin = match world.try_connected() {
            Some(origin) => origin,
            None => world.last_origin(),
        };
        world.origin_sends(origin, OK);
        world.client_ends(client);
    }
    world.drain();
    world.unlistened();
    assert!(world.is_drained());
    assert_eq!(world.buffers_in_use(), 0);
    world.wait_seconds(100_000);
    assert_eq!(world.next_timeout(), Time::NEVER);
}

#[test]
fn s04_a_body_that_trickles_is_given_up() {
    let mut world = World::new();
    let client = world.accept();
    world.client_sends(
        client,
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
    );
    let origin = world.connected();
    for _ in 0..45 {
        world.client_sends(client, "x");
        world.wait_seconds(1);
    }
    assert!(world.sent_to(client).starts_with("HTTP/1.1 408"));
    assert!(world.closed().contains(&origin));
}

#[test]
fn s06_a_tunnel_that_the_client_does_not_read_is_cut() {
    let mut world = World::with(WorldOptions {
        keep_sent: true,
        ..WorldOptions::default()
    });
    let client = world.accept();
    world.client_sends(
        client,
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    let origin = world.connected();
    world.origin_sends(
        origin,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    world.origin_sends(origin, &"x".repeat(64 * 1024));
    world.wait_seconds(62);
    assert_eq!(world.closed(), [client, origin]);
}

#[test]
fn s06_a_client_that_reads_nothing_is_cut() {
    let mut world = World::with(WorldOptions {
        keep_sent: true,
        ..WorldOptions::default()
    });
    let client = world.accept();
    world.client_sends(client, GET);
    let origin = world.connected();
    world.origin_sends(origin, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    world.origin_sends(origin, &"x".repeat(64 * 1024));
    // The route's timeout ends the exchange after 15 s, then the rest has 60 s to leave.
    world.wait_seconds(16);
    assert_eq!(world.closed(), [origin]);
    world.wait_seconds(62);
    assert_eq!(world.closed(), [origin, client]);
}

#[test]
fn at_max_connections_one_that_idles_at_another_endpoint_serves() {
    let mut world = World::with(WorldOptions {
        two_of_each: true,
        ..WorldOptions::default()
    });
    let clients: Vec<_> = (0..4).map(|_| world.accept()).collect();
    world.client_sends(clients[0], GET);
    let busy = world.connected();
    world.client_sends(clients[1], GET);
    let other = world.connected();
    assert!(world.sent_to(other).starts_with("GET"));
    // The next two wait, one for each endpoint.
    world.client_sends(clients[2], GET);
    world.client_sends(clients[3], GET);
    assert!(world.connects().is_empty());
    for client in &clients[1..] {
        world.origin_sends(other, OK);
        assert!(world.sent_to(*client).starts_with("HTTP/1.1 200"));
    }
    assert!(world.sent_to(busy).starts_with("GET"), "untouched since");
    // It is idle now, wherever the next request is picked to go.
    for _ in 0..2 {
        world.client_sends(clients[1], GET);
        assert!(world.sent_to(other).starts_with("GET"));
        world.origin_sends(other, OK);
        assert!(world.sent_to(clients[1]).starts_with("HTTP/1.1 200"));
    }
    assert!(world.connects().is_empty());
}
