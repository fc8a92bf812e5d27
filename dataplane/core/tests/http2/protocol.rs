//! Section 5: what the protocol forbids, and which code and scope answer it.

use penstock_core::event::Time;
use penstock_core::http::BodyLength;
use penstock_core::http::h2::{Code, Connection, PREFACE, Settings, StreamId};

use crate::wire::*;

/// A fresh server, and what comes of bytes.
fn check(bytes: &[Vec<u8>], expect: &str) {
    let bytes = bytes.concat();
    assert_eq!(Wire::server().feed(&bytes), expect, "{bytes:?}");
}

#[test]
fn h01_preface() {
    let lost = "GOAWAY 0 protocol, lost protocol h2_preface";
    let start = "SETTINGS, WINDOW_UPDATE 0 983041";
    let bare = || Wire::bare(Connection::server(Settings::default(), Time(0)), false);
    for bytes in [
        b"GET / HTTP/1.1\r\n".to_vec(),
        [&PREFACE[..23], b"x"].concat(),
        [&PREFACE[..], &frame(PING, 0, 0, &[0; 8])].concat(),
        [&PREFACE[..], &frame(SETTINGS, ACK, 0, &[])].concat(),
        [&PREFACE[..], &get(1)].concat(),
    ] {
        assert_eq!(bare().feed(&bytes), format!("{start}, {lost}"), "{bytes:?}");
    }
    let mut wire = bare();
    assert_eq!(wire.feed(&PREFACE[..10]), start);
    assert_eq!(wire.feed(&PREFACE[10..]), "");
    assert_eq!(wire.feed(&settings(&[])), "settings, SETTINGS ack");
    let mut client = Wire::bare(Connection::client(Settings::default(), Time(0)), true);
    client.replies();
    assert_eq!(client.feed(&frame(PING, 0, 0, &[0; 8])), lost);
}

#[test]
fn h01_frame_sizes() {
    let lost = "GOAWAY 0 frame_size, lost frame_size h2_frame_size";
    for bytes in [
        frame(DATA, 0, 1, &[0; 16_385])[..9].to_vec(),
        frame(200, 0, 1, &[0; 16_385])[..9].to_vec(),
        frame(PING, 0, 0, &[0; 7]),
        frame(PING, ACK, 0, &[0; 9]),
        frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
        frame(SETTINGS, 0, 0, &[0; 7]),
        frame(GOAWAY, 0, 0, &[0; 7]),
        frame(RST_STREAM, 0, 1, &[0; 5]),
    ] {
        check(&[bytes], lost);
    }
    let lost = lost.replace("AWAY 0", "AWAY 1");
    check(
        &[get(1), frame(RST_STREAM, 0, 1, &[0; 3])],
        &format!("head 1 end, {lost}"),
    );
}

#[test]
fn h02_settings() {
    let flow = "GOAWAY 0 flow_control, lost flow_control h2_setting";
    let protocol = "GOAWAY 0 protocol, lost protocol h2_setting";
    let size = "GOAWAY 0 frame_size, lost frame_size h2_frame_size";
    check(&[frame(SETTINGS, ACK, 0, &[0; 6])], size);
    check(&[settings(&[(4, 1 << 31)])], flow);
    check(&[settings(&[(5, 16_383)])], protocol);
    check(&[settings(&[(5, 1 << 24)])], protocol);
    check(&[settings(&[(2, 2)])], protocol);
    check(
        &[settings(&[(1, 0), (3, 0), (5, 1 << 20), (99, 7)])],
        "settings, SETTINGS ack",
    );
}

#[test]
fn h02_a_window_that_overflows_by_settings() {
    check(
        &[
            post(1),
            window_update(1, (1 << 31) - 1 - 65_535),
            settings(&[(4, 65_536)]),
        ],
        "head 1, GOAWAY 1 flow_control, lost flow_control h2_window",
    );
}

#[test]
fn h03_stream_ids() {
    let lost = "GOAWAY 0 protocol, lost protocol h2_stream_id";
    for bytes in [
        frame(DATA, 0, 0, b"a"),
        frame(HEADERS, END_HEADERS, 0, &block(&GET)),
        frame(PRIORITY, 0, 0, &[0; 5]),
        frame(RST_STREAM, 0, 0, &[0; 4]),
        frame(SETTINGS, 0, 1, &[]),
        frame(PING, 0, 1, &[0; 8]),
        frame(GOAWAY, 0, 1, &[0; 8]),
        get(2),
        frame(DATA, 0, 1, b"a"),
        rst(1, Code::CANCEL),
        window_update(1, 1),
    ] {
        check(&[bytes], lost);
    }
    let lost = lost.replace("AWAY 0", "AWAY 5");
    check(&[get(5), get(3)], &format!("head 5 end, {lost}"));
    check(
        &[frame(PUSH_PROMISE, END_HEADERS, 1, &[0; 8])],
        "GOAWAY 0 protocol, lost protocol h2_push",
    );
}

#[test]
fn h04_blocks_are_not_interrupted() {
    let lost = "GOAWAY 1 protocol, lost protocol h2_header_block";
    let open = || frame(HEADERS, 0, 1, &block(&GET));
    for bytes in [
        frame(DATA, 0, 1, b"a"),
        frame(PING, 0, 0, &[0; 8]),
        frame(200, 0, 0, &[]),
        frame(CONTINUATION, END_HEADERS, 3, &[]),
        get(3),
    ] {
        check(&[open(), bytes], lost);
    }
    check(
        &[frame(CONTINUATION, END_HEADERS, 1, &[])],
        &lost.replace("AWAY 1", "AWAY 0"),
    );
    check(
        &[get(1), frame(CONTINUATION, END_HEADERS, 1, &[])],
        &format!("head 1 end, {lost}"),
    );
}

#[test]
fn h05_frames_behind_the_end() {
    let rejected = "head 1 end, reset 1 stream_closed h2_stream_closed, RST 1 stream_closed";
    check(&[get(1), frame(DATA, 0, 1, b"a")], rejected);
    check(&[get(1), get(1)], rejected);
    check(&[get(1), frame(DATA, END_STREAM, 1, b"")], rejected);
    // After a reset by the client.
    let reset = "head 1, reset 1 cancel remote, RST 1 stream_closed";
    check(
        &[post(1), rst(1, Code::CANCEL), frame(DATA, 0, 1, b"a")],
        reset,
    );
    check(&[post(1), rst(1, Code::CANCEL), headers(1, 1, &[])], reset);
}

#[test]
fn h05_frames_on_closed_streams() {
    for late in [frame(DATA, 0, 1, b"a"), get(1)] {
        let mut wire = Wire::server();
        wire.feed(&get(1));
        wire.respond(1, 200, BodyLength::Bytes(0));
        wire.connection.forget(StreamId(1));
        assert_eq!(wire.replies(), "HEADERS 1 end");
        let late = wire.feed(&late);
        assert_eq!(
            late,
            "GOAWAY 1 stream_closed, lost stream_closed h2_stream_closed"
        );
    }
    // Long forgotten.
    let mut wire = Wire::server();
    for id in (1..1000).step_by(2) {
        wire.feed(&get(id));
        wire.respond(id, 200, BodyLength::Bytes(0));
        wire.connection.forget(StreamId(id));
    }
    let late = wire.feed(&frame(DATA, 0, 1, b"a"));
    assert!(
        late.ends_with("lost stream_closed h2_stream_closed"),
        "{late}"
    );
}

#[test]
fn h05_what_was_on_its_way_is_ignored() {
    let mut wire = Wire::server();
    wire.feed(&post(1));
    wire.connection.reset(StreamId(1), Code::CANCEL);
    assert_eq!(wire.replies(), "RST 1 cancel");
    let late = [
        frame(DATA, 0, 1, &[0; 1000]),
        window_update(1, 9),
        rst(1, Code::CANCEL),
    ]
    .concat();
    assert_eq!(wire.feed(&late), "");
    wire.connection.forget(StreamId(1));
    assert_eq!(
        wire.feed(
            &[
                frame(DATA, 0, 1, b"a"),
                headers(1, END_STREAM, &[("a", "b")])
            ]
            .concat()
        ),
        ""
    );
    assert_eq!(wire.feed(&get(3)), "head 3 end");
}

#[test]
fn h06_padding() {
    let lost = "head 1, GOAWAY 1 protocol, lost protocol h2_padding";
    check(&[post(1), frame(DATA, PADDED, 1, &[3, 0, 0])], lost);
    check(&[post(1), frame(DATA, PADDED, 1, &[])], lost);
    let lost = lost.replace("head 1, ", "").replace("AWAY 1", "AWAY 0");
    check(&[frame(HEADERS, PADDED | END_HEADERS, 1, &[9, 0])], &lost);
    check(
        &[
            post(1),
            frame(DATA, PADDED | END_STREAM, 1, b"\x03abc\0\0\0"),
        ],
        "head 1, data 1 3 end",
    );
}

#[test]
fn h07_window_updates() {
    let most = (1 << 31) - 1;
    check(
        &[window_update(0, 0)],
        "GOAWAY 0 protocol, lost protocol h2_window",
    );
    check(
        &[window_update(0, most)],
        "GOAWAY 0 flow_control, lost flow_control h2_window",
    );
    check(
        &[post(1), window_update(1, 0)],
        "head 1, reset 1 protocol h2_window, RST 1 protocol",
    );
    check(
        &[post(1), window_update(1, most)],
        "head 1, reset 1 flow_control h2_window, RST 1 flow_control",
    );
    check(
        &[
            post(1),
            window_update(1, most - 65_535),
            window_update(0, 1),
        ],
        "head 1",
    );
}

#[test]
fn h08_data_beyond_the_window() {
    let full = |stream| frame(DATA, 0, stream, &[0; 16_384]);
    let stream: Vec<Vec<u8>> = (0..5).map(|_| full(1)).collect();
    let expect = "head 1, data 1 16384, data 1 16384, data 1 16384, data 1 16384, \
                  reset 1 flow_control h2_flow_control, RST 1 flow_control";
    check(&[vec![post(1)], stream].concat(), expect);
    let mut wire = Wire::server();
    for id in (1..33).step_by(2) {
        wire.feed(&[post(id), full(id), full(id), full(id), full(id)].concat());
    }
    wire.feed(&post(33));
    let late = wire.feed(&frame(DATA, 0, 33, b"a"));
    assert_eq!(
        late,
        "GOAWAY 33 flow_control, lost flow_control h2_flow_control"
    );
}

#[test]
fn h09_priorities() {
    let itself = |stream: u32| {
        frame(
            PRIORITY,
            0,
            stream,
            &[&stream.to_be_bytes()[..], &[0]].concat(),
        )
    };
    let reset = "head 1, reset 1 protocol h2_priority, RST 1 protocol";
    check(&[post(1), itself(1)], reset);
    let size = "head 1, reset 1 frame_size h2_priority, RST 1 frame_size";
    check(&[post(1), frame(PRIORITY, 0, 1, &[0; 4])], size);
    check(&[frame(PRIORITY, 0, 9, &[0; 5]), get(1)], "head 1 end");
    check(&[itself(1)], "GOAWAY 0 protocol, lost protocol h2_priority");
    let payload = [&[0, 0, 0, 1, 0][..], &block(&GET)].concat();
    check(
        &[
            frame(HEADERS, END_HEADERS | END_STREAM | 0x20, 1, &payload),
            get(3),
        ],
        "rejected 1 h2_priority, head 3 end, RST 1 protocol",
    );
}

#[test]
fn h10_compression() {
    for fragment in [
        &[0x80][..],
        &[0xff; 7],
        &[0x00, 0x81, 0xff],
        &[0x3f, 0xe2, 0x1f],
        &[0x40],
    ] {
        check(
            &[frame(HEADERS, END_HEADERS | END_STREAM, 1, fragment)],
            "GOAWAY 1 compression, lost compression h2_compression",
        );
    }
}

#[test]
fn h10_a_refused_block_keeps_the_tables() {
    // `x-a: b` goes into the table of a malformed request, and is used by the next.
    let first = [&[0x40, 3][..], b"x-a", &[1], b"b", &[0x82]].concat();
    let second = [&block(&GET)[..], &[0xbe]].concat();
    let mut wire = Wire::server();
    let flags = END_HEADERS | END_STREAM;
    let bytes = [
        frame(HEADERS, flags, 1, &first),
        frame(HEADERS, flags, 3, &second),
    ]
    .concat();
    assert_eq!(
        wire.feed(&bytes),
        "rejected 1 pseudo_header, head 3 end, RST 1 protocol"
    );
    assert_eq!(wire.head, "GET a.test / None\nx-a: b\n");
}

#[test]
fn h11_second_heads_and_trailers() {
    let malformed = "head 1, reset 1 protocol h2_malformed, RST 1 protocol";
    check(&[post(1), headers(1, 0, &[("a", "b")])], malformed);
    check(
        &[post(1), headers(1, END_STREAM, &[(":path", "/")])],
        "head 1, reset 1 protocol pseudo_header, RST 1 protocol",
    );
    let mut wire = Wire::server();
    let trailers = headers(
        1,
        END_STREAM,
        &[("grpc-status", "0"), ("host", "x"), ("content-md5", "y")],
    );
    let all = [post(1), frame(DATA, 0, 1, b"abc"), trailers].concat();
    assert_eq!(wire.feed(&all), "head 1, data 1 3, trailers 1");
    assert_eq!(wire.head, "grpc-status: 0\n");
}

#[test]
fn h12_more_streams_than_allowed() {
    let mut wire = Wire::server_with(Settings {
        streams_max: 2,
        ..Settings::default()
    });
    let refused = "head 1, head 3 end, rejected 5 h2_refused_stream, RST 5 refused";
    assert_eq!(wire.feed(&[post(1), get(3), get(5)].concat()), refused);
    // Its stream counts until the work is over.
    assert_eq!(wire.feed(&rst(3, Code::CANCEL)), "reset 3 cancel remote");
    assert_eq!(
        wire.feed(&get(7)),
        "rejected 7 h2_refused_stream, RST 7 refused"
    );
    wire.connection.forget(StreamId(3));
    assert_eq!(wire.feed(&get(9)), "head 9 end");
}

#[test]
fn h13_unknown_is_ignored() {
    check(
        &[
            frame(77, 0xff, 0, &[0; 100]),
            frame(78, 0, 31, b""),
            frame(HEADERS, !(PADDED | 0x20), 1, &block(&GET)),
            settings(&[(0xffff, 1)]),
            frame(PING, 0xfe, 0, &[0; 8]),
        ],
        "head 1 end, settings, SETTINGS ack, PING ack",
    );
}

#[test]
fn goaway_is_honoured_both_ways() {
    let mut wire = Wire::client();
    wire.request("GET");
    wire.replies();
    let goaway = frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0, b'x']);
    assert_eq!(wire.feed(&goaway), "goaway 1 none");
    assert!(wire.connection.open().is_none());
    let above: Vec<StreamId> = wire.connection.above(StreamId(1)).collect();
    assert_eq!(above, [StreamId(3)]);
    let mut server = Wire::server();
    server.feed(&get(1));
    server.connection.shut_down();
    assert_eq!(server.replies(), "GOAWAY 2147483647 none");
    assert_eq!(server.feed(&get(3)), "head 3 end");
    server.connection.goaway(Code::NO_ERROR);
    assert_eq!(server.replies(), "GOAWAY 3 none");
    assert_eq!(
        server.feed(&[post(5), frame(DATA, 0, 5, b"a"), frame(DATA, 0, 5, b"a")].concat()),
        ""
    );
    server.respond(3, 200, BodyLength::None);
    assert_eq!(server.replies(), "HEADERS 3 end");
}

#[test]
fn settings_acknowledgement_is_awaited() {
    let mut wire = Wire::bare(Connection::server(Settings::default(), Time(7)), false);
    assert_eq!(
        wire.connection.settings_unacknowledged_since(),
        Some(Time(7))
    );
    wire.feed(&[&PREFACE[..], &settings(&[]), &frame(SETTINGS, ACK, 0, &[])].concat());
    assert_eq!(wire.connection.settings_unacknowledged_since(), None);
}
