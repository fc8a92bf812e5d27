//! Plans to bytes. The writer of the simulator, independent of the core's.

use super::{
    Accident, BodyPlan, FieldPair, Framing, Half, RequestId, RequestPlan, ResponsePlan, Spoil,
    body_bytes,
};
use crate::dice::Dice;

/// Head and body of a request, apart (the body may have to wait for a 100).
pub fn request_bytes(plan: &RequestPlan, dice: &mut Dice) -> (Vec<u8>, Vec<u8>) {
    let version = if plan.http10 { "HTTP/1.0" } else { "HTTP/1.1" };
    let target = if plan.absolute {
        format!("http://{}{}", plan.host, plan.target)
    } else {
        plan.target.clone()
    };
    let mut head = format!("{} {} {version}\r\n", plan.method, target).into_bytes();
    let mut fields = vec![
        ("Host".to_owned(), plan.host.clone()),
        ("x-sim-id".to_owned(), plan.id.to_string()),
    ];
    fields.extend(plan.fields.iter().cloned());
    if plan.expect {
        fields.push(("Expect".into(), "100-continue".into()));
    }
    let mut options = named(&plan.hop_fields);
    if plan.tunnel.is_some() {
        fields.push(("Upgrade".into(), "websocket".into()));
        options.push("upgrade".into());
    }
    if plan.http10 && plan.keep_alive {
        options.push("keep-alive".into());
    } else if !plan.http10 && !plan.keep_alive {
        options.push("close".into());
    }
    fields.extend(plan.hop_fields.iter().cloned());
    push_connection(&mut fields, options);
    push_framing(&mut fields, &plan.body, plan.body.len);
    write_fields(&mut head, &fields);
    let mut body = body(plan.id, Half::Request, &plan.body, dice);
    if let Some(spoil) = plan.spoil {
        body.truncate(body.len() - b"0\r\n\r\n".len());
        body.extend(spoilt_end(spoil));
    }
    (head, body)
}

/// What follows the last good chunk instead of the end of the body.
fn spoilt_end(spoil: Spoil) -> Vec<u8> {
    match spoil {
        Spoil::Size => b"+5\r\nhello\r\n0\r\n\r\n".to_vec(),
        Spoil::LineFeed => b"0\n\r\n".to_vec(),
        Spoil::Overlong => b"5\r\nhello!\r\n0\r\n\r\n".to_vec(),
        Spoil::Trailer => b"0\r\nx-t : 1\r\n\r\n".to_vec(),
        Spoil::Extension => format!("0;{}\r\n\r\n", "e".repeat(300)).into_bytes(),
    }
}

/// The bytes of an answer, as its accident leaves them.
pub fn response_bytes(plan: &RequestPlan, dice: &mut Dice) -> Vec<u8> {
    let response = &plan.response;
    let mut bytes = interims(plan);
    let head = response_head(plan);
    let payload = if response.has_body(plan.method) {
        body(plan.id, Half::Response, &response.body, dice)
    } else {
        Vec::new()
    };
    match response.accident {
        Accident::CloseBefore | Accident::ResetBefore | Accident::Silence => bytes.clear(),
        Accident::CloseInHead => bytes.extend(&head[..dice.below(head.len() as u64 - 1) as usize]),
        Accident::CloseInBody | Accident::ResetInBody | Accident::SilenceInBody => {
            bytes.extend(head);
            bytes.extend(&payload[..dice.below(payload.len() as u64) as usize]);
        }
        Accident::Garbage => bytes.extend(b"\x16\x03\x01 this is not HTTP\r\n\r\n"),
        Accident::BadChunk => bad_chunk(&mut bytes, head, payload),
        Accident::ExtraBytes => {
            bytes.extend(head);
            bytes.extend(payload);
            bytes.extend(b"garbage\r\n\r\n");
        }
        _ => {
            bytes.extend(head);
            bytes.extend(payload);
        }
    }
    bytes
}

fn interims(plan: &RequestPlan) -> Vec<u8> {
    let mut bytes = Vec::new();
    let extra = match plan.response.accident {
        Accident::Interims => 20,
        _ => 0,
    };
    let repeated = std::iter::repeat_n(&103u16, extra);
    for status in plan.response.interims.iter().chain(repeated) {
        let line = format!("HTTP/1.1 {status} Wait\r\nx-sim-id: {}\r\n\r\n", plan.id);
        bytes.extend(line.into_bytes());
    }
    bytes
}

/// Valid up to a chunk whose size is no number.
fn bad_chunk(bytes: &mut Vec<u8>, head: Vec<u8>, payload: Vec<u8>) {
    bytes.extend(head);
    let keep = payload.len() - b"0\r\n\r\n".len();
    bytes.extend(&payload[..keep]);
    bytes.extend(b"0x5\r\nhello\r\n0\r\n\r\n");
}

fn response_head(plan: &RequestPlan) -> Vec<u8> {
    let response = &plan.response;
    let version = if response.http10 {
        "HTTP/1.0"
    } else {
        "HTTP/1.1"
    };
    let status = match response.accident {
        Accident::Switching => 101,
        _ => response.status,
    };
    let mut head = format!("{version} {status} Planned\r\n").into_bytes();
    let mut fields = vec![("X-Sim-Id".to_owned(), plan.id.to_string())];
    fields.extend(response.fields.iter().cloned());
    let mut options = named(&response.hop_fields);
    if response.close && !response.http10 {
        options.push("close".into());
    }
    if status == 101 {
        fields.push(("Upgrade".into(), "websocket".into()));
        options.push("upgrade".into());
    }
    fields.extend(response.hop_fields.iter().cloned());
    push_connection(&mut fields, options);
    if status != 204 && status != 101 {
        push_framing(&mut fields, &response.body, response.body.len);
    }
    push_accident(&mut fields, response);
    write_fields(&mut head, &fields);
    head
}

fn push_accident(fields: &mut Vec<FieldPair>, response: &ResponsePlan) {
    let length = |fields: &mut Vec<FieldPair>, value: u64| {
        fields.push(("Content-Length".into(), value.to_string()));
    };
    match response.accident {
        Accident::LengthAndCoding => {
            fields.retain(|(name, _)| name != "Content-Length" && name != "Transfer-Encoding");
            length(fields, response.body.len);
            fields.push(("Transfer-Encoding".into(), "chunked".into()));
        }
        Accident::TwoLengths => {
            fields.retain(|(name, _)| name != "Transfer-Encoding");
            length(fields, response.body.len + 1);
            length(fields, response.body.len + 2);
        }
        Accident::SplitField => fields.push(("x-split".into(), "a\rb".into())),
        Accident::HugeHead => fields.push(("x-huge".into(), "y".repeat(70_000))),
        _ => {}
    }
}

/// Names for the Connection field.
fn named(fields: &[FieldPair]) -> Vec<String> {
    fields.iter().map(|(name, _)| name.clone()).collect()
}

fn push_connection(fields: &mut Vec<FieldPair>, options: Vec<String>) {
    if !options.is_empty() {
        fields.push(("Connection".into(), options.join(", ")));
    }
}

fn push_framing(fields: &mut Vec<FieldPair>, body: &BodyPlan, len: u64) {
    match body.framing {
        Framing::Length => fields.push(("Content-Length".into(), len.to_string())),
        Framing::Chunked => fields.push(("Transfer-Encoding".into(), "chunked".into())),
        Framing::None | Framing::ToClose => {}
    }
}

fn write_fields(head: &mut Vec<u8>, fields: &[FieldPair]) {
    for (name, value) in fields {
        head.extend(name.as_bytes());
        head.extend(b": ");
        head.extend(value.as_bytes());
        head.extend(b"\r\n");
    }
    head.extend(b"\r\n");
}

fn body(id: RequestId, side: Half, plan: &BodyPlan, dice: &mut Dice) -> Vec<u8> {
    match plan.framing {
        Framing::None => Vec::new(),
        Framing::Length | Framing::ToClose => body_bytes(id, side, 0, plan.len),
        Framing::Chunked => chunked(id, side, plan, dice),
    }
}

fn chunked(id: RequestId, side: Half, plan: &BodyPlan, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut offset = 0;
    while offset < plan.len {
        let size = dice.between(1, plan.chunk_max).min(plan.len - offset);
        let digits = match dice.below(3) {
            0 => format!("{size:x}"),
            1 => format!("{size:X}"),
            _ => format!("{size:05x}"),
        };
        let extension = if plan.extensions { ";sim=\"a b\"" } else { "" };
        bytes.extend(format!("{digits}{extension}\r\n").into_bytes());
        bytes.extend(body_bytes(id, side, offset, size));
        bytes.extend(b"\r\n");
        offset += size;
    }
    bytes.extend(b"0\r\n");
    write_fields(&mut bytes, &plan.trailers);
    bytes
}
