//! The examples of RFC 7541 appendix C, what must be refused, and that encoding comes back.

use super::decode::Decoded;
use super::*;
use crate::http::HeaderId;

/// Collects fields as text.
#[derive(Default)]
struct Collected {
    arena: Vec<u8>,
    fields: Vec<(String, String)>,
    never_indexed: usize,
    refuses: bool,
}

impl Sink for Collected {
    fn arena(&mut self) -> &mut Vec<u8> {
        &mut self.arena
    }

    fn wants_text(&self) -> bool {
        !self.refuses
    }

    fn field(&mut self, field: Decoded) -> Result<(), Error> {
        let start = self.arena.len()
            - if self.refuses {
                0
            } else {
                field.name_len + field.value_len
            };
        let text = self.arena.split_off(start);
        let (name, value) = text.split_at(if self.refuses { 0 } else { field.name_len });
        let string = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.fields.push((string(name), string(value)));
        self.never_indexed += usize::from(field.never_indexed);
        Ok(())
    }
}

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

fn block(decoder: &mut Decoder, bytes: &[u8]) -> Result<Vec<(String, String)>, Error> {
    decoder.begin();
    let mut sink = Collected::default();
    let taken = decoder.decode(bytes, &mut sink)?;
    if taken < bytes.len() {
        return Err(Error::Truncated);
    }
    Ok(sink.fields)
}

/// The octets of a block, its fields, and the size of the table behind it.
type Example<'a> = (&'a str, &'a [(&'a str, &'a str)], usize);

/// Decodes `blocks` with one decoder.
fn check(size_max: usize, blocks: &[Example<'_>]) {
    let mut decoder = Decoder::new(4096);
    if size_max == 256 {
        block(&mut decoder, &octets("3f e1 01")).expect("a size update");
    }
    for (hex, expect, size) in blocks {
        let fields = block(&mut decoder, &octets(hex)).expect("the example is good");
        let expect: Vec<(String, String)> = expect
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        assert_eq!(fields, expect);
        assert_eq!(decoder.table().size(), *size, "{hex}");
    }
}

const FIRST: &[(&str, &str)] = &[
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/"),
    (":authority", "www.example.com"),
];
const SECOND: &[(&str, &str)] = &[
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/"),
    (":authority", "www.example.com"),
    ("cache-control", "no-cache"),
];
const THIRD: &[(&str, &str)] = &[
    (":method", "GET"),
    (":scheme", "https"),
    (":path", "/index.html"),
    (":authority", "www.example.com"),
    ("custom-key", "custom-value"),
];

#[test]
fn appendix_c2_representations() {
    check(
        4096,
        &[(
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            &[("custom-key", "custom-header")],
            55,
        )],
    );
    let path = "040c 2f73 616d 706c 652f 7061 7468";
    check(4096, &[(path, &[(":path", "/sample/path")], 0)]);
    let secret = "1008 7061 7373 776f 7264 0673 6563 7265 74";
    check(4096, &[(secret, &[("password", "secret")], 0)]);
    check(4096, &[("82", &[(":method", "GET")], 0)]);
}

#[test]
fn appendix_c3_requests() {
    check(
        4096,
        &[
            (
                "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                FIRST,
                57,
            ),
            ("8286 84be 5808 6e6f 2d63 6163 6865", SECOND, 110),
            (
                "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
                THIRD,
                164,
            ),
        ],
    );
}

#[test]
fn appendix_c4_requests_with_huffman() {
    check(
        4096,
        &[
            ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", FIRST, 57),
            ("8286 84be 5886 a8eb 1064 9cbf", SECOND, 110),
            (
                "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
                THIRD,
                164,
            ),
        ],
    );
}

const DATE: &str = "Mon, 21 Oct 2013 20:13:21 GMT";
const LATER: &str = "Mon, 21 Oct 2013 20:13:22 GMT";
const PLACE: &str = "https://www.example.com";
const CRUMB: &str = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";

fn responses() -> [Vec<(&'static str, &'static str)>; 3] {
    let usual = [
        ("cache-control", "private"),
        ("date", DATE),
        ("location", PLACE),
    ];
    [
        [&[(":status", "302")], &usual[..]].concat(),
        [&[(":status", "307")], &usual[..]].concat(),
        vec![
            (":status", "200"),
            ("cache-control", "private"),
            ("date", LATER),
            ("location", PLACE),
            ("content-encoding", "gzip"),
            ("set-cookie", CRUMB),
        ],
    ]
}

#[test]
fn appendix_c5_responses_with_eviction() {
    let [first, second, third] = responses();
    check(
        256,
        &[
            (
                "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 \
                 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 \
                 6c65 2e63 6f6d",
                &first,
                222,
            ),
            ("4803 3330 37c1 c0bf", &second, 222),
            (
                "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d \
                 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 \
                 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e \
                 3d31",
                &third,
                215,
            ),
        ],
    );
}

#[test]
fn appendix_c6_responses_with_huffman_and_eviction() {
    let [first, second, third] = responses();
    check(
        256,
        &[
            (
                "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 \
                 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
                &first,
                222,
            ),
            ("4883 640e ffc1 c0bf", &second, 222),
            (
                "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab \
                 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f \
                 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
                &third,
                215,
            ),
        ],
    );
}

#[test]
fn h10_blocks_that_are_refused() {
    for (hex, expect) in [
        ("80", Error::Index),
        ("be", Error::Index),
        ("7e00", Error::Index),
        ("ff ff ff ff ff ff 0f", Error::Integer),
        ("00 81 ff 00", Error::Huffman),
        ("82 20", Error::SizeUpdate),
        ("20 20 20", Error::SizeUpdate),
        ("3f e2 1f", Error::SizeUpdate),
        ("40", Error::Truncated),
        ("40 05 61", Error::Truncated),
        ("ff", Error::Truncated),
    ] {
        let found = block(&mut Decoder::new(4096), &octets(hex));
        assert_eq!(found, Err(expect), "{hex}");
    }
    assert_eq!(
        block(&mut Decoder::new(4096), &octets("20 3f e1 1f 82")).map(|f| f.len()),
        Ok(1)
    );
}

#[test]
fn h10_a_smaller_table_must_be_confirmed() {
    let mut decoder = Decoder::new(100);
    assert!(block(&mut decoder, &octets("82")).is_ok());
    decoder.acknowledged();
    assert_eq!(block(&mut decoder, &octets("82")), Err(Error::SizeUpdate));
    assert!(block(&mut decoder, &octets("3f 45 82")).is_ok());
    assert_eq!(
        block(&mut decoder, &octets("3f 46")),
        Err(Error::SizeUpdate)
    );
}

#[test]
fn a_block_may_be_cut_anywhere() {
    let whole = octets(
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e \
         919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
    );
    let expect = block(&mut Decoder::new(4096), &whole);
    for cut in 0..whole.len() {
        let mut decoder = Decoder::new(4096);
        decoder.begin();
        let mut sink = Collected::default();
        let taken = decoder.decode(&whole[..cut], &mut sink).unwrap();
        let rest = decoder.decode(&whole[taken..], &mut sink).unwrap();
        assert_eq!(taken + rest, whole.len());
        assert_eq!(Ok(sink.fields), expect);
    }
}

#[test]
fn a_refused_block_keeps_the_tables_alike() {
    let mut decoder = Decoder::new(4096);
    decoder.begin();
    let mut sink = Collected {
        refuses: true,
        ..Collected::default()
    };
    decoder.decode(&octets("4001 6101 62"), &mut sink).unwrap();
    assert!(sink.arena.is_empty());
    let fields = block(&mut decoder, &octets("be"));
    assert_eq!(fields, Ok(vec![("a".into(), "b".into())]));
}

fn encode(encoder: &mut Encoder, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.begin(&mut out);
    for (name, value) in fields {
        let id = HeaderId::of(name.as_bytes());
        encoder.field(id, name.as_bytes(), value.as_bytes(), &mut out);
    }
    out
}

#[test]
fn what_comes_twice_is_indexed_the_third_time() {
    let (mut encoder, mut decoder) = (Encoder::new(4096), Decoder::new(4096));
    let fields = [
        ("user-agent", "a/1"),
        ("x-b", "some value"),
        ("accept-encoding", "gzip, deflate"),
    ];
    let lens: Vec<usize> = (0..4)
        .map(|_| {
            let bytes = encode(&mut encoder, &fields);
            assert_eq!(block(&mut decoder, &bytes).unwrap().len(), fields.len());
            bytes.len()
        })
        .collect();
    assert!(lens[0] > 10 && lens[1] > 10);
    assert_eq!(lens[2..], [3, 3]);
}

#[test]
fn secrets_are_never_indexed() {
    let (mut encoder, mut decoder) = (Encoder::new(4096), Decoder::new(4096));
    let fields = [("authorization", "a"), ("cookie", "b"), ("set-cookie", "c")];
    for _ in 0..3 {
        let bytes = encode(&mut encoder, &fields);
        let mut sink = Collected::default();
        decoder.begin();
        decoder.decode(&bytes, &mut sink).unwrap();
        assert_eq!(sink.never_indexed, fields.len());
        assert_eq!(decoder.table().size(), 0);
    }
}

#[test]
fn size_updates_follow_the_other_sides_settings() {
    let (mut encoder, mut decoder) = (Encoder::new(4096), Decoder::new(4096));
    let fields = [("x-a", "1")];
    let both = |encoder: &mut Encoder, decoder: &mut Decoder| {
        let bytes = encode(encoder, &fields);
        assert_eq!(block(decoder, &bytes).unwrap().len(), 1);
        bytes
    };
    for _ in 0..3 {
        both(&mut encoder, &mut decoder);
    }
    encoder.limit(0);
    encoder.limit(100);
    assert!(both(&mut encoder, &mut decoder).starts_with(&[0x20, 0x3f, 100 - 31]));
    assert_eq!(decoder.table().size_max(), 100);
    encoder.limit(1 << 20);
    assert!(both(&mut encoder, &mut decoder).starts_with(&[0x3f, 0xe1, 0x1f]));
    for _ in 0..3 {
        both(&mut encoder, &mut decoder);
    }
    encoder.release();
    assert_eq!(encoder.memory(), 0);
    assert!(both(&mut encoder, &mut decoder).starts_with(&[0x20, 0x3f, 0xe1, 0x1f]));
}

mod generated {
    use proptest::prelude::*;

    use super::*;

    fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
        let name = prop::sample::select(vec!["x-a", "x-b", "cookie", "date", "accept", "etag"]);
        let value = prop_oneof!["[a-c]{0,2}", "[ -~]{0,300}", "\\PC{0,20}"];
        let field = (name, value).prop_map(|(name, value)| (name.to_owned(), value));
        prop::collection::vec(field, 0..20)
    }

    proptest! {
        /// One encoder and one decoder over many blocks, with the bound moving.
        #[test]
        fn blocks_come_back(blocks in prop::collection::vec((fields(), 0..5000usize), 1..20)) {
            let (mut encoder, mut decoder) = (Encoder::new(4096), Decoder::new(4096));
            for (fields, limit) in blocks {
                if limit <= 4096 {
                    encoder.limit(limit);
                }
                let borrowed: Vec<(&str, &str)> =
                    fields.iter().map(|(name, value)| (&name[..], &value[..])).collect();
                let bytes = encode(&mut encoder, &borrowed);
                prop_assert_eq!(block(&mut decoder, &bytes).unwrap(), fields);
            }
        }

        #[test]
        fn any_octets_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = block(&mut Decoder::new(4096), &bytes);
        }
    }
}
