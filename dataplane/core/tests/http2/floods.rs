//! Section 6: what costs the other side little and us much.

use penstock_core::event::Time;
use penstock_core::http::BodyLength;
use penstock_core::http::h2::{Code, Settings, StreamId};

use crate::wire::*;

const CALM: &str = "lost calm";

/// Feeds what `make` makes until the connection is lost; how many rounds, and the reason.
fn until_lost(wire: &mut Wire, mut make: impl FnMut(&mut Wire, u32) -> Vec<u8>) -> (u32, String) {
    for round in 0..200_000 {
        let bytes = make(wire, round);
        let lines = wire.feed(&bytes);
        if let Some(at) = lines.find(CALM) {
            return (round, lines[at + CALM.len() + 1..].to_owned());
        }
        assert!(!lines.contains("lost"), "{lines}");
    }
    (u32::MAX, String::new())
}

#[test]
fn b01_rapid_reset_cve_2023_44487() {
    let mut wire = Wire::server();
    let lost = until_lost(&mut wire, |wire, round| {
        let id = round * 2 + 1;
        if let Some(before) = id.checked_sub(2) {
            wire.connection.forget(StreamId(before));
        }
        [get(id), rst(id, Code::CANCEL)].concat()
    });
    assert_eq!(lost, (1000, "h2_resets".to_owned()));
}

#[test]
fn b01_a_reset_stream_stays_charged() {
    let mut wire = Wire::server();
    let bytes: Vec<u8> = (0..101)
        .flat_map(|round| [get(round * 2 + 1), rst(round * 2 + 1, Code::CANCEL)].concat())
        .collect();
    let lines = wire.feed(&bytes);
    assert!(lines.contains("rejected 201 h2_refused_stream"), "{lines}");
    assert_eq!(wire.connection.stream_count(), 100);
}

#[test]
fn b01_resets_behind_the_answer_are_free() {
    let mut wire = Wire::server();
    for round in 0..5000 {
        let id = round * 2 + 1;
        wire.feed(&post(id));
        wire.respond(id, 200, BodyLength::Bytes(0));
        let lines = wire.feed(&rst(id, Code::NO_ERROR));
        assert_eq!(lines, format!("reset {id} none remote, HEADERS {id} end"));
        wire.connection.forget(StreamId(id));
    }
}

#[test]
fn b02_made_you_reset_cve_2025_8671() {
    type Fault = fn(u32) -> Vec<u8>;
    let faults: [Fault; 5] = [
        |id| [get(id), window_update(id, 0)].concat(),
        |id| [get(id), window_update(id, (1 << 31) - 1)].concat(),
        |id| [get(id), frame(DATA, 0, id, b"a")].concat(),
        |id| [get(id), frame(PRIORITY, 0, id, &[0; 4])].concat(),
        |id| {
            let fields = [&POST[..], &[("content-length", "1")]].concat();
            [headers(id, 0, &fields), frame(DATA, 0, id, b"ab")].concat()
        },
    ];
    for fault in faults {
        let mut wire = Wire::server();
        let (rounds, reason) = until_lost(&mut wire, |wire, round| {
            wire.connection
                .forget(StreamId((round * 2).saturating_sub(1)));
            fault(round * 2 + 1)
        });
        assert!(rounds <= 1000, "{rounds}");
        assert!(
            ["h2_resets", "h2_frames_without_progress"].contains(&&*reason),
            "{reason}"
        );
    }
}

#[test]
fn b03_no_work_beyond_the_limit() {
    let mut wire = Wire::server();
    let bytes: Vec<u8> = (0..101).flat_map(|round| post(round * 2 + 1)).collect();
    let lines = wire.feed(&bytes);
    assert!(lines.ends_with("head 199, rejected 201 h2_refused_stream, RST 201 refused"));
}

#[test]
fn b04_continuation_flood_cve_2024_27316() {
    let mut wire = Wire::server();
    wire.feed(&frame(HEADERS, 0, 1, &block(&GET)));
    assert!(wire.connection.is_inside_block());
    let small = |_: &mut Wire, _| frame(CONTINUATION, 0, 1, &block(&[("a", "b")]));
    assert_eq!(
        until_lost(&mut wire, small),
        (15, "h2_header_flood".to_owned())
    );
    let mut wire = Wire::server();
    wire.feed(&frame(HEADERS, 0, 1, &block(&GET)));
    let value = "v".repeat(16_000);
    let large = |_: &mut Wire, _| frame(CONTINUATION, 0, 1, &block(&[("a", &value)]));
    assert_eq!(
        until_lost(&mut wire, large),
        (4, "h2_header_flood".to_owned())
    );
}

#[test]
fn b04_one_field_over_many_frames() {
    let value = "v".repeat(30_000);
    let whole = block(&[&GET[..], &[("a", &value)]].concat());
    let mut bytes = frame(HEADERS, END_STREAM, 1, &whole[..100]);
    for fragment in whole[100..].chunks(5000) {
        bytes.extend(frame(CONTINUATION, 0, 1, fragment));
    }
    bytes.extend(frame(CONTINUATION, END_HEADERS, 1, b""));
    let mut wire = Wire::server();
    assert_eq!(wire.feed(&bytes), "head 1 end");
    assert!(wire.head.contains(&value));
}

#[test]
fn b05_too_many_fields_and_crumbs_cve_2026_47774() {
    let crumbs = |count: usize| {
        let fields: Vec<(&str, &str)> = GET
            .into_iter()
            .chain(vec![("cookie", "a=b"); count])
            .collect();
        headers(1, END_STREAM, &fields)
    };
    let mut wire = Wire::server();
    assert_eq!(wire.feed(&crumbs(96)), "head 1 end");
    assert_eq!(wire.head.matches("a=b; ").count(), 95);
    assert_eq!(
        Wire::server().feed(&crumbs(97)),
        "refused 1 head_fields end"
    );
    // Bytes count 32 for each field.
    let mut wire = Wire::server_with(Settings {
        head_bytes_max: 300,
        ..Settings::default()
    });
    let sized = |len| {
        let value = "v".repeat(len);
        headers(1, END_STREAM, &[&GET[..], &[("a", &value)]].concat())
    };
    // 4 x 32 + 12 + 10 + 11 + ... of the pseudo-headers, and 33 of the field.
    let own: usize = GET
        .iter()
        .map(|(name, value)| name.len() + value.len() + 32)
        .sum();
    assert_eq!(wire.feed(&sized(300 - own - 33)), "head 1 end");
    let mut wire = Wire::server_with(Settings {
        head_bytes_max: 300,
        ..Settings::default()
    });
    assert_eq!(
        wire.feed(&sized(300 - own - 32)),
        "refused 1 head_bytes end"
    );
}

#[test]
fn b05_a_refused_head_is_answered() {
    let mut wire = Wire::server_with(Settings {
        fields_max: 5,
        ..Settings::default()
    });
    let fields = [&POST[..], &[("a", "b"), ("c", "d")]].concat();
    let bytes = [headers(1, 0, &fields), frame(DATA, END_STREAM, 1, b"body")].concat();
    assert_eq!(wire.feed(&bytes), "refused 1 head_fields, data 1 4 end");
    wire.respond(1, 431, BodyLength::Bytes(0));
    wire.connection.forget(StreamId(1));
    assert_eq!(wire.replies(), "HEADERS 1 end");
    assert_eq!(wire.feed(&get(3)), "head 3 end");
}

#[test]
fn b05_heads_of_all_streams_share_a_budget() {
    let value = "v".repeat(60_000);
    let fields = [&GET[..], &[("a", &value)]].concat();
    let block = block(&fields);
    let mut wire = Wire::server();
    let mut accepted = 0;
    for id in (1..101).step_by(2) {
        let mut bytes = frame(HEADERS, END_STREAM, id, &block[..16_000]);
        let rest: Vec<&[u8]> = block[16_000..].chunks(16_000).collect();
        for (index, fragment) in rest.iter().enumerate() {
            let end = if index + 1 == rest.len() {
                END_HEADERS
            } else {
                0
            };
            bytes.extend(frame(CONTINUATION, end, id, fragment));
        }
        let lines = wire.feed(&bytes);
        accepted += usize::from(lines.starts_with("head"));
        assert!(
            lines.starts_with("head") || lines.contains("refused"),
            "{lines}"
        );
    }
    assert_eq!(accepted, 17);
    wire.connection.forget(StreamId(1));
    assert!(wire.feed(&get(1001)).starts_with("head"));
}

#[test]
fn b06_hpack_bomb_cve_2016_6581() {
    // One large entry, then a reference to it in every octet.
    let mut fragment = vec![0x40, 1, b'a', 0x7f, 0xf1, 0x1d];
    fragment.extend_from_slice(&[b'v'; 3952]);
    fragment.extend_from_slice(&[0xbe; 12_000]);
    let mut wire = Wire::server();
    let lines = wire.feed(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &fragment));
    assert_eq!(lines, "GOAWAY 1 calm, lost calm h2_header_flood");
    // Less of it is a head that is too large.
    fragment.truncate(6 + 3952 + 40);
    let whole = [&block(&GET)[..], &fragment].concat();
    let lines = Wire::server().feed(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &whole));
    assert_eq!(lines, "refused 1 head_bytes end");
}

#[test]
fn b07_field_counts_never_panic() {
    let mut fragment = block(&GET);
    fragment.extend(std::iter::repeat_n(0x90, 12_000));
    let lines = Wire::server().feed(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &fragment));
    assert_eq!(lines, "GOAWAY 1 calm, lost calm h2_header_flood");
}

#[test]
fn b08_settings_and_ping_floods_cve_2019_9512_9515() {
    let reason = "h2_frames_without_progress".to_owned();
    let mut wire = Wire::server();
    let ping = |_: &mut Wire, _| frame(PING, 0, 0, &[7; 8]);
    assert_eq!(until_lost(&mut wire, ping), (1000, reason.clone()));
    let mut wire = Wire::server();
    let pong = |_: &mut Wire, _| frame(PING, ACK, 0, &[7; 8]);
    assert_eq!(until_lost(&mut wire, pong), (1000, reason.clone()));
    let mut wire = Wire::server();
    let empty = |_: &mut Wire, _| settings(&[]);
    assert_eq!(until_lost(&mut wire, empty), (1000, reason.clone()));
    let mut wire = Wire::server();
    let ack = |_: &mut Wire, _| frame(SETTINGS, ACK, 0, &[]);
    assert_eq!(until_lost(&mut wire, ack), (1000, reason.clone()));
    let mut wire = Wire::server();
    let unknown = |_: &mut Wire, _| frame(99, 0, 0, b"x");
    assert_eq!(until_lost(&mut wire, unknown), (1000, reason));
}

#[test]
fn b08_honest_pings_are_answered_for_ever() {
    let mut wire = Wire::server();
    for round in 0..5000 {
        wire.now = Time(round * 40_000_000);
        assert_eq!(wire.feed(&frame(PING, 0, 0, &[1; 8])), "PING ack");
    }
}

#[test]
fn b09_replies_that_nobody_reads_cve_2019_9517() {
    let mut wire = Wire::server();
    let mut at = 0;
    let mut bytes = Vec::new();
    // Each request pays for its pings, so only the outbound bound can stop this.
    for round in 0..600u32 {
        bytes.extend(frame(PING, 0, 0, &[7; 8]));
        bytes.extend(frame(PING, 0, 0, &[8; 8]));
        bytes.extend(get(round * 2 + 1));
    }
    let lost = loop {
        match wire.connection.next(Time(0), &bytes, &mut at) {
            Ok(None) => break None,
            Ok(Some(penstock_core::http::h2::Message::Head { stream, .. })) => {
                wire.connection.forget(stream);
            }
            Ok(Some(_)) => {}
            Err(error) => break Some(error),
        }
        assert!(wire.connection.output_len() < 64 * 1024);
    };
    let error = lost.expect("nothing took the output");
    assert_eq!(error.code, Code::ENHANCE_YOUR_CALM);
    assert!(["h2_outbound_flood", "h2_resets"].contains(&error.reason.label()));
}

#[test]
fn b10_empty_frames_cve_2019_9518_rustsec_2026_0258() {
    let reason = "h2_empty_frames".to_owned();
    let mut wire = Wire::server();
    wire.feed(&post(1));
    let data = |_: &mut Wire, _| frame(DATA, 0, 1, b"");
    assert_eq!(until_lost(&mut wire, data), (1, reason.clone()));
    let mut wire = Wire::server();
    wire.feed(&frame(HEADERS, 0, 1, b""));
    let continuation = |_: &mut Wire, _| frame(CONTINUATION, 0, 1, b"");
    assert_eq!(until_lost(&mut wire, continuation), (0, reason.clone()));
    // Padding alone is nothing either (B11).
    let mut wire = Wire::server();
    wire.feed(&post(1));
    let padding = |_: &mut Wire, _| frame(DATA, PADDED, 1, &[99; 100]);
    assert_eq!(until_lost(&mut wire, padding), (1, reason));
}

#[test]
fn b11_tiny_data_frames() {
    let mut wire = Wire::server();
    wire.consumes = true;
    wire.feed(&post(1));
    let tiny = |_: &mut Wire, _| frame(DATA, 0, 1, b"x");
    assert_eq!(
        until_lost(&mut wire, tiny),
        (50_008, "h2_small_data".to_owned())
    );
    // A stream of messages at a human pace goes on.
    let mut wire = Wire::server();
    wire.consumes = true;
    wire.feed(&post(1));
    for round in 0..100_000u64 {
        wire.now = Time(round * 100_000);
        assert!(
            wire.feed(&frame(DATA, 0, 1, b"message"))
                .starts_with("data 1 7")
        );
    }
}

#[test]
fn b13_window_update_flood() {
    let mut wire = Wire::server();
    let flood = |_: &mut Wire, _| window_update(0, 1);
    assert_eq!(
        until_lost(&mut wire, flood),
        (5, "h2_window_updates".to_owned())
    );
    let mut wire = Wire::server();
    wire.feed(&post(1));
    let flood = |_: &mut Wire, _| window_update(1, 1);
    assert_eq!(
        until_lost(&mut wire, flood),
        (7, "h2_window_updates".to_owned())
    );
}

#[test]
fn b15_priority_churn_cve_2019_9513() {
    let mut wire = Wire::server();
    let churn = |_: &mut Wire, round| frame(PRIORITY, 0, round * 2 + 1, &[0; 5]);
    assert_eq!(
        until_lost(&mut wire, churn),
        (100, "h2_frames_without_progress".to_owned())
    );
}

#[test]
fn b16_empty_names_and_values() {
    let with = |field: (&'static str, &'static str)| {
        headers(1, END_STREAM, &[&GET[..], &[field]].concat())
    };
    let lines = Wire::server().feed(&with(("", "a")));
    assert_eq!(lines, "rejected 1 field_name, RST 1 protocol");
    let mut wire = Wire::server();
    assert_eq!(wire.feed(&with(("a", ""))), "head 1 end");
}

#[test]
fn b18_hostile_servers() {
    // Push.
    let mut wire = Wire::client();
    let push = frame(
        PUSH_PROMISE,
        END_HEADERS,
        1,
        &[&[0, 0, 0, 2][..], &block(&GET)].concat(),
    );
    assert_eq!(wire.feed(&push), "GOAWAY 0 protocol, lost protocol h2_push");
    let mut wire = Wire::client();
    let lines = wire.feed(&headers(2, 0, &[(":status", "200")]));
    assert_eq!(lines, "GOAWAY 0 protocol, lost protocol h2_stream_id");
    // A head that is too large.
    let mut wire = Wire::client();
    let fields: Vec<(&str, &str)> = [(":status", "200")]
        .into_iter()
        .chain([("a", "b"); 100])
        .collect();
    let lines = wire.feed(&headers(1, 0, &fields));
    assert_eq!(lines, "reset 1 protocol head_fields, RST 1 protocol");
    // DATA in front of the head.
    let mut wire = Wire::client();
    let lines = wire.feed(&frame(DATA, 0, 1, b"a"));
    assert_eq!(lines, "reset 1 protocol h2_malformed, RST 1 protocol");
    // Interim responses cost tokens.
    let mut wire = Wire::client();
    let interim = |_: &mut Wire, _| headers(1, 0, &[(":status", "103")]);
    assert_eq!(
        until_lost(&mut wire, interim),
        (1000, "h2_frames_without_progress".to_owned())
    );
}
