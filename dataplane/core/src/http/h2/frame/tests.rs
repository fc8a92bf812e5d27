//! Where frames begin and end, and what their payloads are refused for.

use super::*;

/// Pieces as text: every split of the same bytes must come to the same payload.
fn pieces(chunks: &[&[u8]]) -> Result<String, Error> {
    let mut reader = Reader::new();
    let mut text = String::new();
    for bytes in chunks {
        let mut at = 0;
        while let Some(piece) = reader.poll(bytes, &mut at)? {
            match piece {
                Piece::Header(header) => {
                    text += &format!("\n{}:{}:", header.kind, header.stream);
                    match header.kind {
                        kind::DATA => reader.data(header),
                        kind::PING => reader.gather(header),
                        _ => reader.skip(header),
                    }
                }
                Piece::Payload(_, Source::Received(range)) => {
                    text += &String::from_utf8_lossy(&bytes[range]);
                }
                Piece::Payload(_, Source::Gathered) => {
                    text += &String::from_utf8_lossy(&reader.take_gathered());
                }
                Piece::Data {
                    range,
                    padding,
                    last,
                    end,
                    ..
                } => {
                    text += &String::from_utf8_lossy(&bytes[range]);
                    text += &"~".repeat(padding as usize);
                    text += if end { "$" } else { "" };
                    text += if last { ";" } else { "" };
                }
            }
        }
        assert_eq!(at, bytes.len(), "all bytes are used");
    }
    Ok(text)
}

fn stream_of_frames() -> Vec<u8> {
    let mut bytes = Vec::new();
    put(kind::PING, 0, 0, b"12345678", &mut bytes);
    put(kind::DATA, 0, 1, b"hello", &mut bytes);
    put(kind::DATA, flag::PADDED, 3, b"\x02abc\0\0", &mut bytes);
    put(200, 0xff, 7, b"unknown", &mut bytes);
    put(kind::DATA, flag::PADDED, 3, b"\x00", &mut bytes);
    put(kind::DATA, 0, 5, b"", &mut bytes);
    put(
        kind::DATA,
        flag::END_STREAM | flag::PADDED,
        1,
        b"\x01!\0",
        &mut bytes,
    );
    put(kind::PING, 0, 0, b"", &mut bytes);
    bytes
}

#[test]
fn frames_may_be_cut_anywhere() {
    let bytes = stream_of_frames();
    let whole = pieces(&[&bytes]).unwrap();
    let expect = "\n6:0:12345678\n0:1:hello;\n0:3:~abc~~;\n200:7:\n0:3:~;\n0:5:;\n0:1:~!~$;\n6:0:";
    assert_eq!(whole, expect);
    for first in 0..bytes.len() {
        for second in [
            first,
            (first + 1).min(bytes.len()),
            (first + 7).min(bytes.len()),
        ] {
            let cut = [&bytes[..first], &bytes[first..second], &bytes[second..]];
            assert_eq!(pieces(&cut).unwrap(), whole, "{first} {second}");
        }
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(pieces(&single).unwrap(), whole);
}

#[test]
fn h06_padding_of_data() {
    for payload in [&b"\x01"[..], b"\x02a", b"\xffabc"] {
        let mut bytes = Vec::new();
        put(kind::DATA, flag::PADDED, 1, payload, &mut bytes);
        let found = pieces(&[&bytes]);
        assert_eq!(found, Err(Error::protocol(Reason::Padding)), "{payload:?}");
    }
    let mut bytes = Vec::new();
    put(kind::DATA, flag::PADDED, 1, b"", &mut bytes);
    // There is no room for the octet that says how long it is.
    assert_eq!(
        pieces(&[&bytes, b"\x00"]),
        Err(Error::protocol(Reason::Padding))
    );
}

#[test]
fn h06_h09_padding_and_priority_of_headers() {
    let check = |flags: u8, payload: &[u8]| {
        let header = FrameHeader {
            len: payload.len() as u32,
            kind: kind::HEADERS,
            flags,
            stream: 3,
        };
        headers(header, payload).map(|parts| (parts.fragment.to_vec(), parts.depends_on_itself))
    };
    let both = flag::PADDED | flag::PRIORITY;
    assert_eq!(check(0, b"abc"), Ok((b"abc".to_vec(), false)));
    assert_eq!(check(flag::PADDED, b"\x01ab"), Ok((b"a".to_vec(), false)));
    assert_eq!(
        check(flag::PRIORITY, b"\x80\0\0\x01\0x"),
        Ok((b"x".to_vec(), false))
    );
    assert_eq!(
        check(both, b"\x01\x80\0\0\x03\0x\0"),
        Ok((b"x".to_vec(), true))
    );
    assert_eq!(
        check(flag::PADDED, b"\x03ab"),
        Err(Error::protocol(Reason::Padding))
    );
    assert_eq!(check(flag::PADDED, b""), Err(SIZE));
    assert_eq!(check(flag::PRIORITY, b"\0\0\0\0"), Err(SIZE));
    assert_eq!(check(both, b"\x02\0\0\0\0\0\0"), Err(SIZE));
}

#[test]
fn long_blocks_are_cut_into_frames() {
    for (len, expect) in [(0, 1), (5, 1), (10, 1), (11, 2), (20, 2), (31, 4)] {
        let block: Vec<u8> = (0..len).collect();
        let mut out = b"before".to_vec();
        out.extend_from_slice(&[0; HEADER_LEN]);
        out.extend_from_slice(&block);
        frame_block(9, true, 6, 10, &mut out);
        let (mut at, mut found, mut frames) = (6, Vec::new(), 0);
        while at < out.len() {
            let header = FrameHeader::parse(out[at..at + HEADER_LEN].try_into().unwrap());
            let first = frames == 0;
            assert_eq!(
                header.kind,
                if first {
                    kind::HEADERS
                } else {
                    kind::CONTINUATION
                }
            );
            assert_eq!(header.has(flag::END_STREAM), first);
            assert_eq!(header.has(flag::END_HEADERS), frames + 1 == expect);
            assert_eq!(header.stream, 9);
            at += HEADER_LEN;
            found.extend_from_slice(&out[at..at + header.len as usize]);
            at += header.len as usize;
            frames += 1;
        }
        assert_eq!((found, frames), (block, expect));
    }
}
