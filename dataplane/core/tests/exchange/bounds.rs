//! Clients that try to take more of the worker than their share.

use std::sync::Arc;

use penstock_core::config::listener::Http;
use penstock_core::config::route::{Action, DirectResponse, PathMatch, RouteConfig, VirtualHost};
use penstock_core::event::{ConnId, IoFault};
use penstock_core::route::RouteTable;

use crate::world::{World, WorldOptions, route};
use crate::{GET, OK};

/// Answers everything by itself with a kibibyte.
fn answers_itself(http: &mut Http) {
    let direct = DirectResponse {
        status: 200,
        body: vec![b'x'; 1024].into(),
    };
    let config = RouteConfig {
        name: "direct".into(),
        virtual_hosts: vec![VirtualHost {
            name: "any".into(),
            domains: vec!["*".into()],
            routes: vec![route(
                PathMatch::Prefix("/".into()),
                Action::Direct(Box::new(direct)),
            )],
            ..VirtualHost::default()
        }],
        ..RouteConfig::default()
    };
    http.routes = Arc::new(RouteTable::compile(config).expect("the table is valid"));
}

/// A world in which nobody reads until [`World::release_sent`].
fn unread() -> World {
    let options = WorldOptions {
        keep_sent: true,
        ..WorldOptions::default()
    };
    World::serving(options, answers_itself)
}

#[test]
fn a_client_that_pipelines_and_does_not_read_is_held_back() {
    let mut world = unread();
    let client = world.accept();
    let count = 300;
    world.client_sends(client, &GET.repeat(count));
    assert_eq!(world.receiving(client), Some(false));
    assert!(world.buffers_in_use() < 40, "{}", world.buffers_in_use());
    let mut answers = 0;
    loop {
        let sent = world.sent_to(client);
        if sent.is_empty() {
            break;
        }
        answers += sent.matches("HTTP/1.1 200").count();
        world.release_sent(client);
        assert!(world.buffers_in_use() < 40, "{}", world.buffers_in_use());
    }
    assert_eq!(answers, count);
    assert_eq!(world.receiving(client), Some(true));
    assert!(world.closed().is_empty());
}

#[test]
fn what_was_under_way_when_it_was_held_back_is_answered() {
    let mut world = unread();
    let client = world.accept();
    world.client_sends(client, &GET.repeat(100));
    let first = world.sent_to(client).matches("HTTP/1.1 200").count();
    world.client_sends(client, GET);
    assert_eq!(world.sent_to(client), "");
    let mut answers = first;
    for _ in 0..20 {
        world.release_sent(client);
        answers += world.sent_to(client).matches("HTTP/1.1 200").count();
    }
    assert_eq!(answers, 101);
}

#[test]
fn s06_answers_that_nobody_reads_are_given_up_between_requests() {
    for requests in [1, 100] {
        let mut world = World::serving(
            WorldOptions {
                keep_sent: true,
                ..WorldOptions::default()
            },
            |http| {
                answers_itself(http);
                http.idle_timeout = None;
            },
        );
        let client = world.accept();
        world.client_sends(client, &GET.repeat(requests));
        world.wait_seconds(59);
        assert!(world.closed().is_empty());
        world.wait_seconds(2);
        assert_eq!(world.closed(), [client], "{requests}");
        assert_eq!(world.counters().timeouts_flush.value(), 1);
    }
}

#[test]
fn a_client_that_read_everything_may_idle() {
    let mut world = World::serving(
        WorldOptions {
            keep_sent: true,
            ..WorldOptions::default()
        },
        |http| {
            answers_itself(http);
            http.idle_timeout = None;
        },
    );
    let client = world.accept();
    world.client_sends(client, GET);
    world.wait_seconds(30);
    world.release_sent(client);
    world.wait_seconds(1000);
    assert!(world.closed().is_empty());
}

#[test]
fn an_answer_that_finds_no_buffers_frees_what_the_client_holds() {
    let mut world = World::with(WorldOptions {
        keep_sent: true,
        ..WorldOptions::default()
    });
    let client = world.accept();
    world.client_sends(client, GET);
    world.take_buffers_but(0);
    world.refuse_connect(IoFault::Refused);
    assert!(world.closed().contains(&client));
}

#[test]
fn s04_an_upload_may_pause_once_it_is_being_answered() {
    let mut world = World::new();
    let client = world.accept();
    world.client_sends(
        client,
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    );
    let origin = world.connected();
    world.origin_sends(
        origin,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    world.wait_seconds(120);
    assert!(world.closed().is_empty());
    world.client_sends(client, "0\r\n\r\n");
    world.origin_sends(origin, "2\r\nhi\r\n0\r\n\r\n");
    assert!(world.sent_to(client).ends_with("2\r\nhi\r\n0\r\n\r\n"));
    assert!(world.closed().is_empty());
}

#[test]
fn c01_an_early_answer_to_a_fast_upload_is_not_reset_away() {
    let mut world = World::new();
    let client = world.accept();
    world.client_sends(
        client,
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n",
    );
    let origin = world.connected();
    world.origin_sends(origin, "HTTP/1.1 413 X\r\nContent-Length: 0\r\n\r\n");
    assert!(world.sent_to(client).starts_with("HTTP/1.1 413"));
    for _ in 0..80 {
        world.client_sends(client, &"x".repeat(16 * 1024));
    }
    assert_eq!(world.receiving(client), Some(false));
    assert!(!world.closed().contains(&client));
    world.wait_seconds(2);
    assert!(world.closed().contains(&client));
}

/// A world in which clients that never finish their heads have filled what there is for them.
pub(crate) fn full_of_heads() -> (World, Vec<ConnId>) {
    let mut world = World::with(WorldOptions {
        many: true,
        ..WorldOptions::default()
    });
    let head = format!("GET /a HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(59 * 1024));
    let hogs: Vec<_> = (0..600).map(|_| world.accept()).collect();
    for hog in &hogs {
        world.client_sends(*hog, &head);
    }
    (world, hogs)
}

#[test]
fn heads_that_nobody_finishes_give_way() {
    let (mut world, hogs) = full_of_heads();
    for _ in 0..100 {
        let honest = world.accept();
        let (first, second) = GET.split_at(20);
        world.client_sends(honest, first);
        world.client_sends(honest, second);
        let origin = match world.try_connected() {
            Some(origin) => origin,
            None => world.last_origin(),
        };
        world.origin_sends(origin, OK);
        assert!(world.sent_to(honest).starts_with("HTTP/1.1 200"));
    }
    let shed = world.counters().unparsed_refused.value();
    assert!(shed > 30, "{shed}");
    let answered = hogs.iter().filter(|hog| {
        let answer = world.sent_to(**hog);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 503"));
        !answer.is_empty()
    });
    assert_eq!(answered.count() as u64, shed);
    assert_eq!(world.counters().overload.value(), shed);
}
