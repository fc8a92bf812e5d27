//! Any bytes: whatever the pieces they come in, the same comes of them, and nothing panics.

#[path = "../../testdata/h2_properties.rs"]
mod properties;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::wire::*;

/// Frames that a client might send, most of them good.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let stream = select(vec![0u32, 1, 1, 3, 3, 5, 7, 2]);
    let kind = 0..11u8;
    let flags = select(vec![0u8, 1, 4, 5, 8, 13, 0x25]);
    let payload = prop_oneof![
        Just(block(&GET)),
        Just(block(
            &[
                &POST[..],
                &[("content-length", "10"), ("cookie", "a"), ("cookie", "b")]
            ]
            .concat()
        )),
        Just(block(&[("grpc-status", "0")])),
        Just(vec![
            0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab,
            0x90, 0xf4, 0xff
        ]),
        Just(vec![0xbe, 0xbf, 0x84]),
        prop::collection::vec(any::<u8>(), 0..40),
        Just(vec![0; 8]),
        Just(vec![0, 0, 0, 4]),
    ];
    let any_frame = (kind, flags, stream, payload)
        .prop_map(|(kind, flags, stream, payload)| frame(kind, flags, stream, &payload));
    let good = select(vec![
        get(1),
        post(1),
        get(3),
        post(3),
        get(5),
        frame(DATA, 1, 1, b"0123456789"),
        frame(DATA, 0, 3, b"01234"),
    ]);
    prop_oneof![3 => good, 2 => any_frame]
}

/// A connection's worth of bytes, with some of them changed.
fn connection_bytes() -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<Index>(), any::<u8>()), 0..3);
    (prop::collection::vec(frames(), 0..12), changes, 0..4u8).prop_map(
        |(frames, changes, damage)| {
            let mut bytes = frames.concat();
            if damage == 0 {
                for (at, byte) in changes {
                    if !bytes.is_empty() {
                        let at = at.index(bytes.len());
                        bytes[at] = byte;
                    }
                }
            }
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_split_is_the_same(bytes in connection_bytes()) {
        properties::frames(&bytes);
    }

    #[test]
    fn any_block_is_the_same(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        properties::block(&bytes);
    }
}

#[test]
fn a_good_connection_may_be_cut_at_every_byte() {
    let bytes = [
        get(1),
        post(3),
        frame(DATA, PADDED, 3, b"\x02hello\0\0"),
        frame(HEADERS, END_STREAM, 5, &block(&GET)[..9]),
        frame(CONTINUATION, 0, 5, &block(&GET)[9..20]),
        frame(CONTINUATION, END_HEADERS, 5, &block(&GET)[20..]),
        settings(&[(4, 70_000)]),
        frame(PING, 0, 0, &[3; 8]),
        frame(77, 0, 0, b"unknown"),
        window_update(3, 100),
        headers(3, END_STREAM, &[("x-trailer", "1")]),
        frame(DATA, 0, 1, b"late"),
    ]
    .concat();
    let whole = properties::outcome(&[&bytes]);
    for cut in 0..bytes.len() {
        assert_eq!(
            properties::outcome(&[&bytes[..cut], &bytes[cut..]]),
            whole,
            "{cut}"
        );
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(properties::outcome(&single), whole);
}
