//! What must hold for any bytes whatever; property tests and fuzz targets include this file by
//! path. Each function panics when its property is broken.

use penstock_core::buffer::Buffer;
use penstock_core::http::h1::{
    BodyDecoder, ConnectionHeader, HeadLimits, HeadScanner, RequestFraming, RequestOptions,
    ResponseFraming, decode_request, decode_response, encode_chunk, encode_last_chunk,
    encode_request, encode_response,
};
use penstock_core::http::path::{EscapedSlashes, PathOptions, PathOutcome, normalize};
use penstock_core::http::{
    BodyLength, HeaderId, Method, Refusal, RequestHead, ResponseHead, Version, hop,
};

/// A small generator (SplitMix64), so that a file of bytes is a whole case.
pub(crate) struct Seed(u64);

impl Seed {
    /// From the bytes themselves (FNV-1a).
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let hash =
            |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Self(bytes.iter().fold(0xcbf2_9ce4_8422_2325, hash))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn flip(&mut self) -> bool {
        self.next() & 1 == 1
    }

    /// Where to cut `len` bytes: rising ends, the last one is `len`.
    fn cuts(&mut self, len: usize) -> Vec<usize> {
        let longest = 1 + self.below(64);
        let (mut cuts, mut at) = (Vec::new(), 0);
        while at < len {
            at = (at + 1 + self.below(longest)).min(len);
            cuts.push(at);
        }
        cuts
    }
}

/// Any split gives the same verdict; what is accepted is accepted by the tokenizer alone too, and
/// what we write for it reads as exactly one request with the same model.
pub(crate) fn request_head(bytes: &[u8]) {
    let mut seed = Seed::of(bytes);
    let options = RequestOptions {
        accept_http10: seed.flip(),
        default_host: if seed.flip() { "a.test" } else { "" }.into(),
        ..RequestOptions::default()
    };
    let Some(len) = scan_alike(HeadScanner::request(), bytes, &mut seed) else {
        return;
    };
    let head = &bytes[..len];
    let mut model = RequestHead::default();
    let Ok(framing) = decode_request(head, &options, &mut model) else {
        return;
    };
    assert_tokenizer_accepts(head);
    assert_strict_lines(head);
    assert_no_framing_fields(&model.fields);
    let upgrade = framing
        .upgrade
        .then(|| model.fields.value(HeaderId::Upgrade).unwrap_or(b""));
    let upgrade = upgrade.map(<[u8]>::to_vec);
    hop::strip_request(&mut model.fields);
    let mut written = Vec::new();
    encode_request(
        &model,
        framing.body,
        framing.keep_alive,
        upgrade.as_deref(),
        &mut written,
    );
    assert_one_request(&written, &model, framing, upgrade.as_deref());
}

fn assert_one_request(
    written: &[u8],
    model: &RequestHead,
    framing: RequestFraming,
    upgrade: Option<&[u8]>,
) {
    let options = RequestOptions {
        head_bytes_max: usize::MAX,
        fields_max: 128,
        ..RequestOptions::default()
    };
    let limits = HeadLimits {
        bytes_max: usize::MAX,
        fields_max: 128,
    };
    let end = HeadScanner::request().scan(written, &limits);
    assert_eq!(
        end,
        Ok(Some(written.len())),
        "not exactly one head: {}",
        show(written)
    );
    let mut again = RequestHead::default();
    let reread = decode_request(written, &options, &mut again)
        .unwrap_or_else(|refusal| panic!("{refusal:?}: {}", show(written)));
    assert_eq!(again.fields.value(HeaderId::Upgrade), upgrade);
    hop::strip_request(&mut again.fields);
    assert_eq!(again.version, Version::Http11);
    assert_eq!(again.method_text(), model.method_text());
    assert_eq!(again.authority(), model.authority());
    assert_eq!(again.target(), model.target());
    assert!(
        again.fields.iter().eq(model.fields.iter()),
        "{}",
        show(written)
    );
    assert_eq!(reread.body, framing.body);
    assert_eq!(reread.upgrade, framing.upgrade);
    assert_eq!(reread.expect_continue, framing.expect_continue);
    assert!(upgrade.is_some() || reread.keep_alive == framing.keep_alive);
}

/// The same for responses.
pub(crate) fn response_head(bytes: &[u8]) {
    let mut seed = Seed::of(bytes);
    let method = [Method::Get, Method::Head, Method::Connect][seed.below(3)];
    let Some(len) = scan_alike(HeadScanner::response(), bytes, &mut seed) else {
        return;
    };
    let mut model = ResponseHead::default();
    let Ok(framing) = decode_response(&bytes[..len], method, &mut model) else {
        return;
    };
    assert_strict_lines(&bytes[..len]);
    assert_no_framing_fields(&model.fields);
    hop::strip_response(&mut model);
    let switching = model.status == 101;
    let connection = match (switching, framing.keep_alive) {
        (true, _) => ConnectionHeader::Upgrade,
        (_, true) => ConnectionHeader::None,
        (_, false) => ConnectionHeader::Close,
    };
    let mut written = Vec::new();
    encode_response(&model, framing.body, connection, &mut written);
    assert_one_response(&written, method, &model, framing);
}

fn assert_one_response(
    written: &[u8],
    method: Method,
    model: &ResponseHead,
    framing: ResponseFraming,
) {
    let limits = HeadLimits {
        bytes_max: usize::MAX,
        fields_max: 128,
    };
    let end = HeadScanner::response().scan(written, &limits);
    assert_eq!(
        end,
        Ok(Some(written.len())),
        "not exactly one head: {}",
        show(written)
    );
    let mut again = ResponseHead::default();
    let reread = decode_response(written, method, &mut again)
        .unwrap_or_else(|refusal| panic!("{refusal:?}: {}", show(written)));
    hop::strip_response(&mut again);
    assert_eq!(again.status, model.status);
    assert_eq!(again.declared_length, model.declared_length);
    assert!(
        again.fields.iter().eq(model.fields.iter()),
        "{}",
        show(written)
    );
    assert_eq!(reread.body, framing.body);
    assert!(model.status == 101 || reread.keep_alive == framing.keep_alive);
}

/// Scans whole and in pieces; the verdicts must agree.
fn scan_alike(scanner: HeadScanner, bytes: &[u8], seed: &mut Seed) -> Option<usize> {
    let limits = HeadLimits::default();
    let mut whole = scanner;
    let at_once = whole.scan(bytes, &limits);
    let mut pieces = scanner;
    let mut step_by_step = Ok(None);
    for cut in seed.cuts(bytes.len()) {
        step_by_step = pieces.scan(&bytes[..cut], &limits);
        if step_by_step != Ok(None) {
            break;
        }
    }
    assert_eq!(at_once, step_by_step, "{}", show(bytes));
    at_once.ok().flatten()
}

fn assert_tokenizer_accepts(head: &[u8]) {
    let mut room = [httparse::EMPTY_HEADER; 128];
    let mut parts = httparse::Request::new(&mut room);
    assert!(
        parts.parse(head).is_ok_and(|status| status.is_complete()),
        "{}",
        show(head)
    );
}

/// L01, L02: every line ends in CRLF and no other control byte but HTAB is inside.
fn assert_strict_lines(head: &[u8]) {
    for (at, &byte) in head.iter().enumerate() {
        let good = match byte {
            b'\r' => head.get(at + 1) == Some(&b'\n'),
            b'\n' => at > 0 && head[at - 1] == b'\r',
            _ => byte == b'\t' || byte >= b' ' && byte != 0x7f,
        };
        assert!(good, "byte {at} of {}", show(head));
    }
}

fn assert_no_framing_fields(fields: &penstock_core::http::Fields) {
    for id in [
        HeaderId::Host,
        HeaderId::ContentLength,
        HeaderId::TransferEncoding,
    ] {
        assert!(fields.value(id).is_none(), "{id:?} stayed");
    }
}

/// What became of a body.
#[derive(PartialEq, Eq, Debug)]
struct Body {
    payload: Vec<u8>,
    taken: usize,
    finished: bool,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

fn decode_chunks(bytes: &[u8], cuts: &[usize]) -> Result<Body, Refusal> {
    let mut decoder = BodyDecoder::new(BodyLength::Chunked);
    let mut body = Body {
        payload: Vec::new(),
        taken: 0,
        finished: false,
        trailers: Vec::new(),
    };
    for &cut in cuts {
        let piece = &bytes[body.taken..cut];
        let mut buffer = Buffer::with_payload(piece.len());
        buffer.fill_from(piece);
        let decoded = decoder.decode(&mut buffer)?;
        body.payload.extend_from_slice(buffer.as_slice());
        body.taken = cut;
        assert_eq!(decoded.finished, decoder.is_finished());
        if let Some((start, end)) = decoded.rest {
            assert!(decoded.finished && !buffer.block(start..end).is_empty());
            body.taken -= end - start;
            assert_eq!(buffer.block(start..end), &bytes[body.taken..cut]);
        }
        if decoded.finished {
            break;
        }
    }
    body.finished = decoder.is_finished();
    assert_eq!(decoder.finish_at_eof().is_ok(), body.finished);
    if let Some(trailers) = decoder.trailers() {
        let owned = |(name, value): (&[u8], &[u8])| (name.to_vec(), value.to_vec());
        body.trailers = trailers.iter().map(owned).collect();
    }
    Ok(body)
}

/// Any split of a chunked body gives the same payload, trailers, end or refusal; and a complete
/// one, framed anew, is itself again.
pub(crate) fn chunked(bytes: &[u8]) {
    let mut seed = Seed::of(bytes);
    let whole = decode_chunks(bytes, &[bytes.len()]);
    let pieces = decode_chunks(bytes, &seed.cuts(bytes.len()));
    assert_eq!(whole, pieces, "{}", show(bytes));
    let Ok(Body {
        payload,
        finished: true,
        trailers,
        ..
    }) = whole
    else {
        return;
    };
    let mut fields = penstock_core::http::Fields::default();
    trailers
        .iter()
        .for_each(|(name, value)| fields.push(name, value));
    let mut written = Vec::new();
    let mut from = 0;
    for cut in seed.cuts(payload.len()) {
        let mut buffer = Buffer::with_payload(cut - from);
        buffer.fill_from(&payload[from..cut]);
        assert!(encode_chunk(&mut buffer));
        written.extend_from_slice(buffer.as_slice());
        from = cut;
    }
    encode_last_chunk(Some(&fields), &mut written);
    let again = decode_chunks(&written, &[written.len()]);
    let taken = written.len();
    assert_eq!(
        again,
        Ok(Body {
            payload,
            taken,
            finished: true,
            trailers
        })
    );
}

/// A normalized path is a fixed point, not longer, without dot segments, with the query as it was.
pub(crate) fn path(target: &[u8]) {
    let mut seed = Seed::of(target);
    let slashes = [
        EscapedSlashes::Keep,
        EscapedSlashes::Reject,
        EscapedSlashes::UnescapeAndForward,
        EscapedSlashes::UnescapeAndRedirect,
    ];
    let options = PathOptions {
        normalize: seed.flip(),
        merge_slashes: seed.flip(),
        escaped_slashes: slashes[seed.below(4)],
    };
    let mut out = Vec::new();
    let normal = match normalize(target, &options, &mut out) {
        Err(_) => return,
        Ok(PathOutcome::Same) => target,
        Ok(_) => &out[..],
    };
    assert!(normal.len() <= target.len());
    let (path, query) = split_query(normal);
    assert_eq!(query, split_query(target).1, "{}", show(target));
    if path.starts_with(b"/") {
        let mut segments = path.split(|&byte| byte == b'/').skip(1);
        let plain = segments.all(|segment| segment != b"." && segment != b"..");
        assert!(!options.normalize || plain, "{}", show(target));
        let merged = !path.windows(2).any(|pair| pair == b"//");
        assert!(!options.merge_slashes || merged, "{}", show(target));
    }
    let mut again = Vec::new();
    let outcome = normalize(normal, &options, &mut again);
    assert_eq!(
        outcome,
        Ok(PathOutcome::Same),
        "{} {options:?}",
        show(target)
    );
}

fn split_query(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match target.iter().position(|&byte| byte == b'?') {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    }
}

fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
