//! HTTP/1.1 heads and chunked bodies, from bytes to the model and back.

use std::hint::black_box;

use penstock_core::buffer::Buffer;
use penstock_core::http::h1::{
    ChunkedDecoder, ConnectionHeader, HeadLimits, HeadScanner, RequestOptions, decode_request,
    decode_response, encode_request, encode_response,
};
use penstock_core::http::{BodyLength, Method, Refusal, RequestHead, ResponseHead};
use penstock_core::limits::BUFFER_PAYLOAD;

use super::Case;
use crate::corpus;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, head) in requests() {
        let encoded = head.clone();
        cases.push(Case::new(format!("h1/request/{kind}"), move || {
            request(head.clone())
        }));
        cases.push(Case::new(format!("h1/encode-request/{kind}"), move || {
            request_anew(&encoded)
        }));
    }
    for (kind, head) in responses() {
        let encoded = head.clone();
        cases.push(Case::new(format!("h1/response/{kind}"), move || {
            response(head.clone())
        }));
        cases.push(Case::new(format!("h1/encode-response/{kind}"), move || {
            response_anew(&encoded)
        }));
    }
    cases.push(Case::new("h1/request/refused", refused));
    cases.push(Case::new("h1/request/dribbled", dribbled));
    for (kind, size, extension) in CHUNKS {
        let name = format!("h1/chunked/{kind}");
        cases.push(Case::new(name, move || chunked(size, extension)));
    }
    cases
}

/// The usual ones, and one as large as allowed.
fn requests() -> [(&'static str, Vec<u8>); 4] {
    [
        ("short", corpus::REQUEST_SHORT.to_vec()),
        ("typical", corpus::REQUEST_TYPICAL.to_vec()),
        ("twenty", corpus::request_twenty()),
        ("longest", corpus::request_longest()),
    ]
}

fn responses() -> [(&'static str, Vec<u8>); 3] {
    [
        ("short", corpus::RESPONSE_SHORT.to_vec()),
        ("typical", corpus::RESPONSE_TYPICAL.to_vec()),
        ("twenty", corpus::response_twenty()),
    ]
}

/// Name, bytes of a chunk, and what follows its size: one block, many, and as small as they get.
const CHUNKS: [(&str, usize, &str); 3] = [
    ("8k", 8192, ""),
    ("256", 256, ""),
    ("1-extended", 1, ";a=\"b\""),
];

fn request(head: Vec<u8>) -> impl FnMut() {
    let options = RequestOptions::default();
    let mut model = RequestHead::default();
    take_request(&head, &options, &mut model).expect("the head is acceptable");
    move || {
        let framing = take_request(black_box(&head), &options, &mut model);
        black_box(framing.is_ok());
    }
}

/// Finds the end, then decodes: what an engine does with a head that came at once.
fn take_request(
    bytes: &[u8],
    options: &RequestOptions,
    model: &mut RequestHead,
) -> Result<usize, Refusal> {
    let end = HeadScanner::request().scan(bytes, &options.limits())?;
    let end = end.expect("the head is complete");
    black_box(decode_request(&bytes[..end], options, model)?);
    Ok(end)
}

/// A contradiction at the very end of the largest head.
fn refused() -> impl FnMut() {
    let (head, options) = (corpus::request_refused(), RequestOptions::default());
    let mut model = RequestHead::default();
    assert!(take_request(&head, &options, &mut model).is_err());
    move || {
        black_box(take_request(black_box(&head), &options, &mut model).is_err());
    }
}

/// A head that comes one byte at a time.
fn dribbled() -> impl FnMut() {
    let (head, limits) = (corpus::request_twenty(), HeadLimits::default());
    move || {
        let mut scanner = HeadScanner::request();
        for end in 1..=head.len() {
            let _ = black_box(scanner.scan(black_box(&head[..end]), &limits));
        }
    }
}

fn response(head: Vec<u8>) -> impl FnMut() {
    let mut model = ResponseHead::default();
    assert_eq!(take_response(&head, &mut model), Ok(head.len()));
    move || {
        black_box(take_response(black_box(&head), &mut model).is_ok());
    }
}

fn take_response(bytes: &[u8], model: &mut ResponseHead) -> Result<usize, Refusal> {
    let end = HeadScanner::response().scan(bytes, &HeadLimits::default())?;
    let end = end.expect("the head is complete");
    black_box(decode_response(&bytes[..end], Method::Get, model)?);
    Ok(end)
}

fn request_anew(head: &[u8]) -> impl FnMut() + use<> {
    let (mut model, mut out) = (RequestHead::default(), Vec::new());
    let decoded = decode_request(head, &RequestOptions::default(), &mut model);
    assert!(decoded.is_ok());
    move || {
        out.clear();
        encode_request(black_box(&model), BodyLength::None, true, None, &mut out);
        black_box(out.len());
    }
}

fn response_anew(head: &[u8]) -> impl FnMut() + use<> {
    let (mut model, mut out) = (ResponseHead::default(), Vec::new());
    assert!(decode_response(head, Method::Get, &mut model).is_ok());
    let body = BodyLength::Bytes(1024);
    move || {
        out.clear();
        encode_response(black_box(&model), body, ConnectionHeader::None, &mut out);
        black_box(out.len());
    }
}

/// One buffer full of chunks; the copy into it is counted.
fn chunked(size: usize, extension: &'static str) -> impl FnMut() {
    let body = corpus::letters(BUFFER_PAYLOAD / 2 * size / (size + extension.len() + 5) + 1);
    let framed = corpus::chunked(body.as_bytes(), size, extension);
    let mut buffer = Buffer::with_payload(BUFFER_PAYLOAD);
    move || {
        buffer.reset();
        assert_eq!(buffer.fill_from(black_box(&framed)), framed.len());
        let decoded = ChunkedDecoder::default().decode(&mut buffer);
        assert!(decoded.is_ok_and(|decoded| decoded.finished));
        assert_eq!(black_box(&buffer).len(), body.len());
    }
}
