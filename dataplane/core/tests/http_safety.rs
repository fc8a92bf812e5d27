//! The attack table against the codec alone: one test per rule, every row whole, byte by byte and
//! in pieces. What the origin would have seen is what the encoder writes.

#[path = "../testdata/cases.rs"]
mod cases;

use std::ops::ControlFlow;

use cases::Case;
use penstock_core::buffer::Buffer;
use penstock_core::config::listener::{HostOptions, StripPort};
use penstock_core::fault::{Cause, Fault, Side};
use penstock_core::http::h1::{
    BodyDecoder, ConnectionHeader, HeadLimits, HeadScanner, RequestOptions, Underscores,
    decode_request, decode_response, encode_chunk, encode_last_chunk, encode_request,
    encode_response,
};
use penstock_core::http::path::{EscapedSlashes, PathOptions, PathOutcome, normalize};
use penstock_core::http::{BodyLength, Method, Refusal, RequestHead, ResponseHead, authority, hop};
use penstock_core::reply::reply_to;

/// Declares one test per rule; the rule is the name up to the first underscore.
macro_rules! rules {
    ($($name:ident,)*) => {
        $(#[test] fn $name() { check(stringify!($name)); })*
        const RULES: &[&str] = &[$(stringify!($name),)*];
    };
}

rules! {
    f01_length_beside_coding,
    f02_length_twice,
    f03_length_malformed,
    f04_length_empty,
    f05_length_with_leading_zeros,
    f06_coding_other_than_chunked,
    f07_coding_in_http10,
    f08_chunk_size,
    f09_whitespace_behind_chunk_size,
    f10_chunk_extensions,
    f11_chunk_line_ends,
    f12_trailers_malformed,
    f13_trailers_forbidden,
    f14_no_length,
    f15_body_on_any_method,
    f16_end_of_stream,
    l01_line_ends,
    l02_control_bytes,
    l03_high_bytes,
    l04_folded_lines,
    l05_field_names,
    l06_underscores,
    l07_empty_lines,
    l08_head_limits,
    t01_request_line,
    t02_method,
    t03_version,
    t04_target,
    t05_absolute_form,
    t06_other_forms,
    t07_host,
    c01_answer_before_body,
    c02_pipelining,
    c03_overtaking_answer,
    c04_reuse,
    c05_idle_connection,
    c06_hop_by_hop,
    c07_expect,
    c08_tunnel,
    c09_upgrade_with_body_and_h2c,
    c10_unnamed_upgrade,
    r01_status_line,
    r02_response_fields,
    r03_response_framing,
    r04_body_where_none_may_be,
    r05_read_to_close,
    r06_truncated_response,
    r07_interim_responses,
    r08_response_head_limits,
    r09_chunk_fault_in_response,
    n01_normalization,
    n02_escapes,
    n03_query,
    n04_parameters,
    n05_segment_prefix,
    n06_repeated_fields,
    n07_host_options,
    n08_claims,
    n09_client_address,
}

fn id_of(name: &str) -> &str {
    name.split('_').next().unwrap_or_default()
}

#[test]
fn every_row_has_its_rule_and_every_rule_its_row() {
    let cases = cases::all();
    for case in &cases {
        assert!(
            RULES.iter().any(|rule| id_of(rule) == case.id()),
            "{}",
            case.name
        );
        assert!(!case.statuses.is_empty(), "{} says no status", case.name);
        assert!(!case.client.is_empty(), "{} sends nothing", case.name);
    }
    for rule in RULES {
        assert!(
            cases.iter().any(|case| case.id() == id_of(rule)),
            "{rule} has no row"
        );
    }
    let mut names: Vec<_> = cases.iter().map(|case| &case.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "two rows have the same name");
}

fn check(rule: &str) {
    for case in cases::all() {
        if case.id() == id_of(rule) && !case.needs_gateway {
            for piece in [usize::MAX, 1, 2, 7, 100] {
                check_case(&case, piece);
            }
        }
    }
}

fn check_case(case: &Case, piece: usize) {
    let name = format!("{} in pieces of {piece}", case.name);
    let request = take_requests(case, piece);
    let response = match (&case.origin, &request.statuses[..]) {
        (Some(origin), [200]) => take_response(case, origin, piece),
        _ => Taken {
            statuses: request.statuses.clone(),
            ..Taken::default()
        },
    };
    assert!(
        case.statuses.contains(&response.statuses),
        "{name}: {:?}",
        response.statuses
    );
    let closes = request.closes || response.closes;
    assert!(
        case.closed.is_none_or(|closed| closed == closes),
        "{name}: closes {closes}"
    );
    assert!(
        !case.untouched || request.bytes.is_empty(),
        "{name}: the origin saw bytes"
    );
    let text = String::from_utf8_lossy(&request.bytes);
    for marker in &case.seen {
        assert!(
            contains(&request.bytes, marker),
            "{name}: missing {marker:?} in\n{text}"
        );
    }
    for marker in &case.unseen {
        assert!(
            !contains(&request.bytes, marker),
            "{name}: {marker:?} in\n{text}"
        );
    }
    let text = String::from_utf8_lossy(&response.bytes);
    for marker in case.answer.iter().filter(|_| case.origin.is_some()) {
        assert!(
            contains(&response.bytes, marker),
            "{name}: missing {marker:?} in\n{text}"
        );
    }
    for marker in &case.no_answer {
        assert!(
            !contains(&response.bytes, marker),
            "{name}: {marker:?} in\n{text}"
        );
    }
}

fn contains(bytes: &[u8], marker: &[u8]) -> bool {
    bytes.windows(marker.len()).any(|window| window == marker)
}

/// What a codec made of one side's bytes.
#[derive(Default)]
struct Taken {
    statuses: Vec<u16>,
    bytes: Vec<u8>,
    closes: bool,
}

impl Taken {
    fn refuse(&mut self, side: Side, refusal: Refusal) {
        let fault = Fault::connection(side, Cause::Malformed(refusal));
        self.statuses.push(reply_to(fault).status);
        self.closes = true;
    }
}

struct Options {
    request: RequestOptions,
    path: PathOptions,
    host: HostOptions,
    trailers: bool,
}

fn options(profile: &str) -> Options {
    let mut options = Options {
        request: RequestOptions::default(),
        path: PathOptions {
            normalize: true,
            ..PathOptions::default()
        },
        host: HostOptions::default(),
        trailers: false,
    };
    match profile {
        "default" => {}
        "http10" => {
            options.request.accept_http10 = true;
            options.request.default_host = "default.test".into();
        }
        "trailers" => options.trailers = true,
        "underscores_reject" => options.request.underscores = Underscores::Reject,
        "underscores_drop" => options.request.underscores = Underscores::Drop,
        "merge_slashes" => options.path.merge_slashes = true,
        "slashes_keep" => options.path.escaped_slashes = EscapedSlashes::Keep,
        "slashes_redirect" => options.path.escaped_slashes = EscapedSlashes::UnescapeAndRedirect,
        "slashes_forward" => options.path.escaped_slashes = EscapedSlashes::UnescapeAndForward,
        "host_strip" => {
            options.host = HostOptions {
                strip_port: StripPort::Any,
                strip_trailing_dot: true,
            };
        }
        _ => panic!("unknown profile {profile}"),
    }
    options
}

fn take_requests(case: &Case, piece: usize) -> Taken {
    let options = options(&case.profile);
    let mut taken = Taken::default();
    let mut rest = &case.client[..];
    while !rest.is_empty() && !taken.closes {
        match take_request(rest, piece, &options, &mut taken) {
            Ok(ControlFlow::Continue(len)) => rest = &rest[len..],
            Ok(ControlFlow::Break(())) => break,
            Err(refusal) => taken.refuse(Side::Downstream, refusal),
        }
    }
    taken
}

/// Takes one request; how long it was, or a break if it is incomplete.
fn take_request(
    bytes: &[u8],
    piece: usize,
    options: &Options,
    taken: &mut Taken,
) -> Result<ControlFlow<(), usize>, Refusal> {
    let limits = HeadLimits {
        bytes_max: options.request.head_bytes_max,
        fields_max: options.request.fields_max,
    };
    let Some(len) = scan(HeadScanner::request(), bytes, piece, &limits)? else {
        return Ok(ControlFlow::Break(()));
    };
    let mut head = RequestHead::default();
    let framing = decode_request(&bytes[..len], &options.request, &mut head)?;
    let mut path = Vec::new();
    if normalize(head.target(), &options.path, &mut path)? != PathOutcome::Same {
        head.set_target(&path);
    }
    authority::strip(&mut head, &options.host, 80);
    hop::strip_request(&mut head.fields);
    encode_request(&head, framing.body, true, None, &mut taken.bytes);
    let trailers = options.trailers;
    let (used, _) = take_body(
        framing.body,
        framing.body,
        &bytes[len..],
        piece,
        trailers,
        taken,
    )?;
    taken.statuses.push(200);
    taken.closes = !framing.keep_alive;
    Ok(ControlFlow::Continue(len + used))
}

fn scan(
    mut scanner: HeadScanner,
    bytes: &[u8],
    piece: usize,
    limits: &HeadLimits,
) -> Result<Option<usize>, Refusal> {
    let mut end = 0;
    while end < bytes.len() {
        end = end.saturating_add(piece).min(bytes.len());
        if let Some(len) = scanner.scan(&bytes[..end], limits)? {
            return Ok(Some(len));
        }
    }
    Ok(None)
}

/// Decodes a body and frames what came of it anew as one piece, so that the rows do not depend on
/// the pieces; how many bytes it took and whether it is complete.
fn take_body(
    body: BodyLength,
    towards: BodyLength,
    bytes: &[u8],
    piece: usize,
    trailers: bool,
    taken: &mut Taken,
) -> Result<(usize, bool), Refusal> {
    let mut decoder = BodyDecoder::new(body);
    let (mut used, mut payload) = (0, Vec::new());
    while !decoder.is_finished() && used < bytes.len() {
        let len = piece.min(bytes.len() - used);
        let mut buffer = Buffer::with_payload(len);
        buffer.fill_from(&bytes[used..used + len]);
        let decoded = decoder.decode(&mut buffer)?;
        used += len - decoded.rest.map_or(0, |(start, end)| end - start);
        payload.extend_from_slice(buffer.as_slice());
    }
    let mut buffer = Buffer::with_payload(payload.len());
    buffer.fill_from(&payload);
    assert!(towards != BodyLength::Chunked || encode_chunk(&mut buffer));
    taken.bytes.extend_from_slice(buffer.as_slice());
    if decoder.is_finished() && towards == BodyLength::Chunked {
        let kept = decoder.trailers().filter(|_| trailers);
        encode_last_chunk(kept, &mut taken.bytes);
    }
    Ok((used, decoder.is_finished()))
}

fn take_response(case: &Case, bytes: &[u8], piece: usize) -> Taken {
    let mut taken = Taken::default();
    match response_head(case, bytes, piece, &mut taken) {
        Err(refusal) => {
            taken.refuse(Side::Upstream, refusal);
            taken.closes = false;
        }
        Ok(None) => {}
        Ok(Some((len, body))) => {
            let done = take_body(body, body, &bytes[len..], piece, true, &mut taken);
            taken.closes = done.is_err();
        }
    }
    taken
}

fn response_head(
    case: &Case,
    bytes: &[u8],
    piece: usize,
    taken: &mut Taken,
) -> Result<Option<(usize, BodyLength)>, Refusal> {
    let Some(len) = scan(
        HeadScanner::response(),
        bytes,
        piece,
        &HeadLimits::default(),
    )?
    else {
        return Ok(None);
    };
    let method = case
        .client
        .split(|&byte| byte == b' ')
        .next()
        .unwrap_or_default();
    let mut head = ResponseHead::default();
    let framing = decode_response(&bytes[..len], Method::parse(method), &mut head)?;
    hop::strip_response(&mut head);
    encode_response(
        &head,
        framing.body,
        ConnectionHeader::None,
        &mut taken.bytes,
    );
    taken.statuses.push(head.status);
    Ok(Some((len, framing.body)))
}
