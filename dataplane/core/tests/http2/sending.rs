//! What we send: grants, windows, whose turn it is, and what stays within the other side's bounds.

use penstock_core::event::Time;
use penstock_core::http::BodyLength;
use penstock_core::http::h2::{Code, Connection, Settings, StreamId};

use crate::wire::*;

/// A server with streams that wait for their bodies.
fn serving(streams: u32, announced: &[(u16, u32)]) -> Wire {
    let mut wire = Wire::server();
    wire.feed(&settings(announced));
    for index in 0..streams {
        wire.feed(&get(index * 2 + 1));
        wire.respond(index * 2 + 1, 200, BodyLength::Chunked);
    }
    wire.replies();
    wire
}

fn grant(wire: &mut Wire, stream: u32, want: u32) -> Option<u32> {
    let granted = wire.connection.data(StreamId(stream), want, false)?;
    let [a, b, c, kind, flags, ..] = granted.header;
    assert_eq!(
        (u32::from_be_bytes([0, a, b, c]), kind, flags),
        (granted.len, 0, 0)
    );
    Some(granted.len)
}

#[test]
fn grants_keep_to_frame_and_windows() {
    let mut wire = serving(1, &[]);
    let lens: Vec<Option<u32>> = (0..5).map(|_| grant(&mut wire, 1, 100_000)).collect();
    assert_eq!(
        lens,
        [Some(16_384), Some(16_384), Some(16_384), Some(16_383), None]
    );
    assert_eq!(wire.feed(&window_update(1, 70_000)), "window 1");
    // Now it is the connection's window that is shut.
    assert_eq!(grant(&mut wire, 1, 100_000), None);
    assert_eq!(wire.feed(&window_update(0, 10_000)), "window 0");
    assert_eq!(wire.connection.poll_writable(), Some(StreamId(1)));
    assert_eq!(grant(&mut wire, 1, 100_000), Some(10_000));
}

#[test]
fn the_last_grant_ends_the_stream() {
    let mut wire = serving(2, &[]);
    let granted = wire.connection.data(StreamId(1), 20_000, true).unwrap();
    assert_eq!((granted.len, granted.header[4]), (16_384, 0));
    let granted = wire.connection.data(StreamId(1), 3616, true).unwrap();
    assert_eq!((granted.len, granted.header[4]), (3616, END_STREAM));
    assert_eq!(wire.connection.data(StreamId(1), 1, true), None);
    let empty = wire.connection.data(StreamId(3), 0, true).unwrap();
    assert_eq!((empty.len, empty.header[4]), (0, END_STREAM));
    assert!(
        !wire
            .connection
            .send_trailers(StreamId(3), &Default::default())
    );
}

#[test]
fn settings_open_and_shut_windows() {
    let mut wire = serving(1, &[(4, 3000)]);
    assert_eq!(grant(&mut wire, 1, 100_000), Some(3000));
    assert_eq!(wire.feed(&settings(&[(4, 2000)])), "settings, SETTINGS ack");
    assert_eq!(grant(&mut wire, 1, 10), None);
    // 1000 below nothing.
    assert_eq!(wire.feed(&window_update(1, 1000)), "");
    assert_eq!(wire.feed(&window_update(1, 1024)), "window 1");
    assert_eq!(grant(&mut wire, 1, 10_000), Some(1024));
    assert_eq!(grant(&mut wire, 1, 10_000), None);
    wire.feed(&settings(&[(4, 5000)]));
    assert_eq!(wire.connection.poll_writable(), Some(StreamId(1)));
    assert_eq!(grant(&mut wire, 1, 10_000), Some(3000));
}

#[test]
fn b12_bodies_are_not_cut_into_crumbs() {
    let mut wire = serving(1, &[]);
    while grant(&mut wire, 1, 100_000).is_some() {}
    wire.feed(&window_update(0, 1 << 20));
    assert_eq!(wire.feed(&window_update(1, 1)), "");
    assert_eq!(grant(&mut wire, 1, 100_000), None);
    assert_eq!(wire.feed(&window_update(1, 1022)), "");
    assert_eq!(wire.feed(&window_update(1, 1)), "window 1");
    assert_eq!(grant(&mut wire, 1, 100_000), Some(1024));
    // A rest that is all there is may go.
    wire.feed(&window_update(1, 10));
    assert_eq!(grant(&mut wire, 1, 10), Some(10));
    // A side that never gives more is served in what it gives.
    let mut wire = serving(1, &[(4, 1)]);
    assert_eq!(grant(&mut wire, 1, 100), Some(1));
    assert_eq!(grant(&mut wire, 1, 100), None);
    assert_eq!(wire.feed(&window_update(1, 1)), "window 1");
    assert_eq!(grant(&mut wire, 1, 100), Some(1));
}

#[test]
fn b14_stalls_are_visible() {
    let mut wire = serving(2, &[(4, 0)]);
    assert_eq!(wire.connection.stalled(), None);
    wire.now = Time(5);
    wire.feed(&[]);
    assert_eq!(grant(&mut wire, 3, 100), None);
    wire.now = Time(9);
    wire.feed(&[]);
    assert_eq!(grant(&mut wire, 1, 100), None);
    assert_eq!(grant(&mut wire, 3, 100), None);
    assert_eq!(wire.connection.stalled(), Some((StreamId(3), Time(5))));
    wire.connection.reset(StreamId(3), Code::CANCEL);
    assert_eq!(wire.connection.stalled(), Some((StreamId(1), Time(9))));
    wire.feed(&window_update(1, 100));
    assert_eq!(grant(&mut wire, 1, 100), Some(100));
    assert_eq!(wire.connection.stalled(), None);
}

#[test]
fn streams_take_turns_at_the_window_of_the_connection() {
    let mut wire = serving(4, &[(4, 1 << 20)]);
    while grant(&mut wire, 1, 100_000).is_some() {}
    for stream in [3, 5, 7] {
        assert_eq!(grant(&mut wire, stream, 100_000), None);
    }
    let mut turns = Vec::new();
    for _ in 0..8 {
        assert_eq!(wire.feed(&window_update(0, 1024)), "window 0");
        let stream = wire.connection.poll_writable().unwrap();
        assert_eq!(grant(&mut wire, stream.0, 100_000), Some(1024));
        assert_eq!(grant(&mut wire, stream.0, 100_000), None);
        assert_eq!(wire.connection.poll_writable(), None);
        turns.push(stream.0);
    }
    assert_eq!(turns, [1, 3, 5, 7, 1, 3, 5, 7]);
    // One that is gone is passed over.
    wire.connection.reset(StreamId(1), Code::CANCEL);
    wire.connection.forget(StreamId(1));
    wire.feed(&window_update(0, 2048));
    assert_eq!(wire.connection.poll_writable(), Some(StreamId(3)));
}

#[test]
fn received_windows_open_by_halves_and_grow() {
    let mut wire = Wire::server();
    wire.feed(&post(1));
    let full = frame(DATA, 0, 1, &[0; 16_384]);
    wire.feed(&[&full[..], &full].concat());
    wire.connection.consumed(StreamId(1), 32_767);
    assert_eq!(wire.replies(), "");
    wire.connection.consumed(StreamId(1), 1);
    // The round trip that was seen took no time, and this took none either.
    assert_eq!(wire.replies(), "WINDOW_UPDATE 1 98304");
    wire.now = Time(1_000_000);
    wire.feed(&[&full[..], &full, &full, &full].concat());
    wire.connection.consumed(StreamId(1), 65_536);
    assert_eq!(wire.replies(), "WINDOW_UPDATE 1 65536");
    // Reporting more than came opens nothing.
    wire.connection.consumed(StreamId(1), 1 << 30);
    assert_eq!(wire.replies(), "");
}

#[test]
fn what_is_not_consumed_comes_back_when_a_stream_is_forgotten() {
    let mut wire = Wire::server();
    let full = frame(DATA, 0, 1, &[0; 16_384]);
    for round in 0..100u32 {
        let id = round * 2 + 1;
        let mut full = full.clone();
        full[5..9].copy_from_slice(&id.to_be_bytes());
        let lines = wire.feed(&[post(id), full.clone(), full.clone(), full].concat());
        assert!(!lines.contains("lost"), "{lines}");
        wire.connection.forget(StreamId(id));
    }
    assert_eq!(wire.connection.stream_count(), 0);
}

#[test]
fn padding_is_given_back_at_once() {
    let mut wire = Wire::server();
    wire.feed(&post(1));
    let padded = frame(DATA, PADDED, 1, &[&[255][..], &[0; 256]].concat());
    let mut lines = String::new();
    for _ in 0..128 {
        lines += &wire.feed(&padded);
    }
    assert!(lines.contains("WINDOW_UPDATE 1 "), "{lines}");
    wire.connection.forget(StreamId(1));
}

#[test]
fn clients_keep_to_the_servers_bound() {
    let mut wire = Wire::bare(Connection::client(Settings::default(), Time(0)), true);
    for _ in 0..100 {
        assert!(wire.connection.open().is_some());
    }
    assert!(wire.connection.open().is_none());
    let mut wire = Wire::client();
    wire.feed(&settings(&[(3, 2)]));
    wire.request("GET");
    assert!(wire.connection.open().is_none());
    wire.feed(&headers(1, END_STREAM, &[(":status", "200")]));
    assert!(wire.connection.open().is_none());
    wire.connection.forget(StreamId(1));
    assert_eq!(wire.connection.open(), Some(StreamId(5)));
}

#[test]
fn forgetting_cancels_what_is_not_over() {
    let mut wire = Wire::client();
    wire.replies();
    wire.connection.forget(StreamId(1));
    assert_eq!(wire.replies(), "RST 1 cancel");
    assert_eq!(
        wire.feed(&headers(1, END_STREAM, &[(":status", "200")])),
        ""
    );
    // Nobody heard of a stream without a head.
    let stream = wire.connection.open().unwrap();
    wire.connection.forget(stream);
    assert_eq!(wire.replies(), "");
}

#[test]
fn pings_measure_and_marks_stay() {
    let mut wire = Wire::client();
    wire.connection.set_mark(StreamId(1), 77);
    assert_eq!(wire.connection.mark(StreamId(1)), Some(77));
    assert!(wire.connection.ping(Time(5)));
    assert!(!wire.connection.ping(Time(6)));
    assert_eq!(wire.replies(), "PING");
    assert_eq!(wire.feed(&frame(PING, ACK, 0, &[0; 8])), "");
    assert_eq!(wire.feed(&frame(PING, ACK, 0, &5u64.to_be_bytes())), "pong");
    assert_eq!(wire.connection.ping_sent_at(), None);
}

#[test]
fn large_heads_leave_in_frames_that_fit() {
    let mut wire = Wire::client();
    let stream = wire.connection.open().unwrap();
    let mut head = penstock_core::http::RequestHead::default();
    head.method_text = head.fields.store(b"GET");
    head.set_target(b"/");
    head.set_authority(b"a.test");
    head.fields.push(b"x-a", &[b'\x7e'; 40_000]);
    assert!(
        wire.connection
            .send_request(stream, &head, BodyLength::None)
    );
    let mut bytes = Vec::new();
    wire.connection.take_output(&mut bytes);
    assert_eq!(
        frames(&bytes),
        ["HEADERS 3 end", "CONTINUATION 3", "CONTINUATION 3"]
    );
    assert_eq!(Wire::server().feed(&bytes), "head 3 end");
}

#[test]
fn a_smaller_window_holds_once_it_is_acknowledged() {
    let settings = Settings {
        stream_window: 1000,
        stream_window_max: 1000,
        ..Settings::default()
    };
    let mut wire = Wire::bare(Connection::server(settings, Time(0)), false);
    let begin = [
        &penstock_core::http::h2::PREFACE[..],
        &crate::wire::settings(&[]),
    ]
    .concat();
    wire.feed(&begin);
    wire.feed(&[post(1), frame(DATA, 0, 1, &[0; 5000])].concat());
    let ack = frame(SETTINGS, ACK, 0, &[]);
    assert_eq!(wire.feed(&ack), "acknowledged");
    wire.connection.consumed(StreamId(1), 5000);
    assert_eq!(wire.replies(), "WINDOW_UPDATE 1 5000");
    let lines = wire.feed(&[post(3), frame(DATA, 0, 3, &[0; 1001])].concat());
    assert_eq!(
        lines,
        "head 3, reset 3 flow_control h2_flow_control, RST 3 flow_control"
    );
}

#[test]
fn streams_that_are_gone_leave_the_queue() {
    let mut wire = serving(0, &[(4, 1 << 20)]);
    for round in 0..3000u32 {
        let id = round * 2 + 1;
        wire.now = Time(u64::from(round) * 1_000_000_000);
        wire.feed(&get(id));
        wire.respond(id, 200, BodyLength::Chunked);
        while grant(&mut wire, id, 100_000).is_some() {}
        wire.feed(&rst(id, Code::CANCEL));
        wire.connection.forget(StreamId(id));
    }
    assert!(
        wire.connection.memory() < 8192,
        "{}",
        wire.connection.memory()
    );
}
