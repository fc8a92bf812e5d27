//! What must hold for any bytes on an HTTP/2 connection; property tests and fuzz targets include
//! this file by path. Each function panics when its property is broken.

use penstock_core::event::Time;
use penstock_core::http::h1::encode_request;
use penstock_core::http::h2::{Connection, Message, PREFACE, Settings};
use penstock_core::http::{BodyLength, Fields, RequestHead, ResponseHead, hop};

/// What came of bytes: messages and heads in order, all body bytes, and what was sent.
#[derive(PartialEq, Eq, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) messages: Vec<String>,
    pub(crate) body: Vec<u8>,
    pub(crate) output: Vec<u8>,
}

/// The bytes behind preface and SETTINGS, in any pieces.
pub(crate) fn frames(bytes: &[u8]) {
    let whole = outcome(&[bytes]);
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(outcome(&single), whole);
    // Pieces of lengths that the bytes themselves give.
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    while let Some(&first) = rest.first() {
        let (piece, behind) = rest.split_at(rest.len().min(1 + usize::from(first)));
        pieces.push(piece);
        rest = behind;
    }
    assert_eq!(outcome(&pieces), whole);
    towards_a_client(bytes);
}

/// The bytes as one field block of a request, cut into frames.
pub(crate) fn block(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(16_000)];
    let whole = outcome(&[&framed(&[bytes])]);
    let cut = bytes.len() / 3;
    let three = framed(&[&bytes[..cut], &bytes[cut..cut * 2], &bytes[cut * 2..]]);
    if cut > 0 {
        assert_eq!(outcome(&[&three]), whole);
    }
}

fn framed(fragments: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, fragment) in fragments.iter().enumerate() {
        let kind = if index == 0 { 1 } else { 9 };
        let end_stream = u8::from(index == 0);
        let end_headers = if index + 1 == fragments.len() { 4 } else { 0 };
        out.extend_from_slice(&(fragment.len() as u32).to_be_bytes()[1..]);
        out.extend_from_slice(&[kind, end_stream | end_headers, 0, 0, 0, 1]);
        out.extend_from_slice(fragment);
    }
    out
}

/// What a server makes of pieces. Pieces of one DATA frame count as one.
pub(crate) fn outcome(pieces: &[&[u8]]) -> Outcome {
    let mut connection = Connection::server(Settings::default(), Time(0));
    let begin = [
        &PREFACE[..],
        &[0, 0, 0, 4, 0, 0, 0, 0, 0],
        &[0, 0, 0, 4, 1, 0, 0, 0, 0],
    ]
    .concat();
    let mut outcome = Outcome::default();
    for bytes in std::iter::once(&begin[..]).chain(pieces.iter().copied()) {
        if !feed(&mut connection, bytes, &mut outcome) {
            break;
        }
    }
    connection.take_output(&mut outcome.output);
    let live = connection.streams().count();
    assert!(live <= 100);
    outcome
}

fn feed(connection: &mut Connection, bytes: &[u8], outcome: &mut Outcome) -> bool {
    let mut at = 0;
    loop {
        match connection.next(Time(0), bytes, &mut at) {
            Ok(None) => {
                assert_eq!(at, bytes.len(), "all bytes are used");
                return true;
            }
            Ok(Some(message)) => note(connection, message, bytes, outcome),
            Err(error) => {
                outcome.messages.push(format!("{error:?}"));
                return false;
            }
        }
    }
}

fn note(connection: &mut Connection, message: Message, bytes: &[u8], outcome: &mut Outcome) {
    match message {
        Message::Data { stream, range, end } => {
            assert!(range.start <= range.end && range.end <= bytes.len());
            outcome.body.extend_from_slice(&bytes[range]);
            if end {
                outcome.messages.push(format!("end of {stream:?}"));
            }
        }
        Message::Head { .. } => {
            let mut head = RequestHead::default();
            let framing = connection.take_request(&mut head);
            assert_good(&mut head, framing.body);
            outcome
                .messages
                .push(format!("{message:?} {} {:?}", text(&head), framing));
        }
        Message::Trailers { .. } => {
            let mut fields = Fields::default();
            connection.take_trailers(&mut fields);
            outcome.messages.push(format!(
                "{message:?} {:?}",
                fields.iter().collect::<Vec<_>>()
            ));
        }
        other => outcome.messages.push(format!("{other:?}")),
    }
}

fn text(head: &RequestHead) -> String {
    let fields: Vec<(&[u8], &[u8])> = head.fields.iter().collect();
    format!(
        "{:?} {:?} {:?} {fields:?}",
        head.method_text(),
        head.authority(),
        head.target()
    )
}

/// Whatever is accepted leaves as HTTP/1 in good lines: no byte of it can begin another.
fn assert_good(head: &mut RequestHead, body: BodyLength) {
    hop::strip_request(&mut head.fields);
    let mut out = Vec::new();
    encode_request(head, body, true, None, &mut out);
    let text = out.strip_suffix(b"\r\n\r\n").expect("a head ends so");
    assert!(!text.windows(4).any(|bytes| bytes == b"\r\n\r\n"));
    for line in text.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(!line.is_empty() && !line.contains(&b'\r') && !line.contains(&0));
    }
    let named = |name: &[u8]| {
        let lines = text.split(|&byte| byte == b'\n');
        lines.filter(|line| line.starts_with(name)).count()
    };
    assert_eq!(named(b"host:"), 1);
    assert!(named(b"content-length:") + named(b"transfer-encoding:") <= 1);
}

/// The same bytes from a server: nothing but a refusal or messages may come of them.
fn towards_a_client(bytes: &[u8]) {
    let mut connection = Connection::client(Settings::default(), Time(0));
    let Some(stream) = connection.open() else {
        return;
    };
    let mut head = RequestHead::default();
    head.method_text = head.fields.store(b"GET");
    head.set_target(b"/");
    head.set_authority(b"a.test");
    connection.send_request(stream, &head, BodyLength::None);
    let mut response = ResponseHead::default();
    let bytes = [&[0, 0, 0, 4, 0, 0, 0, 0, 0], bytes].concat();
    let mut at = 0;
    while let Ok(Some(message)) = connection.next(Time(0), &bytes, &mut at) {
        if let Message::Head { .. } = message {
            connection.take_response(&mut response);
            assert!((100..600).contains(&response.status) && response.status != 101);
        }
    }
}
