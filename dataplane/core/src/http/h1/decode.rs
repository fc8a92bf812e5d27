//! Decodes complete heads: httparse finds the parts, everything that decides about framing,
//! identity and forms of the target is decided here (sections 1, 2 and 4 of the safety rules).
//!
//! A head comes in as [`super::HeadScanner`] delimited it: its line ends are checked. It leaves
//! as a model in one arena; what frames the message is taken out of the fields and returned
//! beside it.

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig};

use super::framing::{ConnectionNames, Framing};
use super::{RequestOptions, Underscores, request_line};
use crate::http::{
    BodyLength, Fields, HeaderId, Method, Refusal, RequestHead, ResponseHead, Span, Version,
    authority,
};
use crate::limits;

/// What a request head says about the message around it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RequestFraming {
    /// The body that follows.
    pub body: BodyLength,
    /// May the connection carry another request?
    pub keep_alive: bool,
    /// The client waits for a 100 before it sends the body (C07). Expect is in the fields only
    /// then.
    pub expect_continue: bool,
    /// The client offers to switch to the protocol in Upgrade, which is in the fields only then
    /// (C09).
    pub upgrade: bool,
}

/// What a response head says about the message around it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResponseFraming {
    /// The body that follows.
    pub body: BodyLength,
    /// May the connection carry another response?
    pub keep_alive: bool,
}

/// Fields that fit the array on the usual path.
const FIELDS_USUAL: usize = 128;
const _: () = assert!(FIELDS_USUAL >= limits::HEAD_FIELDS_MAX);

/// Decodes the request head `head` into `out`. Host becomes `out.authority`; Content-Length and
/// Transfer-Encoding become the framing; none of the three stays among the fields.
///
/// # Errors
/// Any rule of sections 1 and 2; `out` is unspecified then.
pub fn decode_request(
    head: &[u8],
    options: &RequestOptions,
    out: &mut RequestHead,
) -> Result<RequestFraming, Refusal> {
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    out.clear();
    if options.fields_max <= FIELDS_USUAL {
        decode_request_within::<FIELDS_USUAL>(head, options, out)
    } else {
        decode_request_within::<{ limits::HEAD_FIELDS_CEILING }>(head, options, out)
    }
}

fn decode_request_within<const FIELDS: usize>(
    head: &[u8],
    options: &RequestOptions,
    out: &mut RequestHead,
) -> Result<RequestFraming, Refusal> {
    let mut storage = [const { MaybeUninit::<Header<'_>>::uninit() }; FIELDS];
    let room = &mut storage[..options.fields_max.min(FIELDS)];
    let mut parts = httparse::Request::new(&mut []);
    let parsed = ParserConfig::default().parse_request_with_uninit_headers(&mut parts, head, room);
    if !matches!(parsed, Ok(httparse::Status::Complete(len)) if len == head.len()) {
        return Err(name_request_fault(head, parsed));
    }
    let (Some(method), Some(target), Some(version)) = (parts.method, parts.path, parts.version)
    else {
        return Err(Refusal::RequestLine);
    };
    out.fields.load(head);
    out.version = accepted_version(version, options)?;
    request_line::check_method(method.as_bytes())?;
    out.method = Method::parse(method.as_bytes());
    out.method_text = span(&out.fields, head, method.as_bytes());
    request_line::check_target(target.as_bytes())?;
    let found = read_request_fields(head, parts.headers, options, out)?;
    place_target(head, target.as_bytes(), found.host, options, out)?;
    found.conclude(out)
}

/// T03: 1.0 only where it is accepted.
fn accepted_version(minor: u8, options: &RequestOptions) -> Result<Version, Refusal> {
    match minor {
        1 => Ok(Version::Http11),
        _ if options.accept_http10 => Ok(Version::Http10),
        _ => Err(Refusal::Http10),
    }
}

/// What the fields of a request say, gathered in one pass.
#[derive(Default)]
struct RequestFields {
    host: Option<Span>,
    framing: Framing,
    connection: ConnectionNames,
    expects: u8,
    expect_known: bool,
    upgrades: u8,
    upgrade_known: bool,
}

fn read_request_fields(
    head: &[u8],
    headers: &[Header<'_>],
    options: &RequestOptions,
    out: &mut RequestHead,
) -> Result<RequestFields, Refusal> {
    let mut found = RequestFields::default();
    for header in headers {
        let (id, name, value) = place(&mut out.fields, head, header);
        match id {
            HeaderId::Other if !keeps_underscores(header.name, options)? => continue,
            HeaderId::Host => {
                found.host(value)?;
                continue;
            }
            HeaderId::ContentLength => {
                found.framing.length_once(header.value);
                continue;
            }
            HeaderId::TransferEncoding => {
                found.framing.coding(header.value);
                continue;
            }
            HeaderId::Http2Settings => continue,
            HeaderId::Connection => found.connection.read(header.value)?,
            HeaderId::Expect => found.expect(header.value),
            HeaderId::Upgrade => found.upgrade(header.value),
            _ => {}
        }
        out.fields.push_spans(id, name, value);
    }
    Ok(found)
}

impl RequestFields {
    /// T07: one Host.
    fn host(&mut self, value: Span) -> Result<(), Refusal> {
        match self.host.replace(value) {
            None => Ok(()),
            Some(_) => Err(Refusal::Host),
        }
    }

    fn expect(&mut self, value: &[u8]) {
        self.expects = self.expects.saturating_add(1);
        self.expect_known = value.eq_ignore_ascii_case(b"100-continue");
    }

    /// C09: one protocol, and not h2c. A list that offers a choice is not offered on.
    fn upgrade(&mut self, value: &[u8]) {
        self.upgrades = self.upgrades.saturating_add(1);
        self.upgrade_known = !value.is_empty()
            && !value.eq_ignore_ascii_case(b"h2c")
            && value
                .iter()
                .all(|&byte| byte == b'/' || request_line::is_token_byte(byte));
    }

    /// Decides what only all fields together can say.
    fn conclude(&self, out: &mut RequestHead) -> Result<RequestFraming, Refusal> {
        let body = self.framing.resolve(out.version)?.unwrap_or_default();
        // F15: TRACE must not carry a body; a body of CONNECT would be read as tunnel by some.
        if body.has_body() && matches!(out.method, Method::Trace | Method::Connect) {
            return Err(Refusal::Body);
        }
        Ok(RequestFraming {
            body,
            keep_alive: self.connection.persists(out.version),
            expect_continue: self.conclude_expect(body, out)?,
            upgrade: self.conclude_upgrade(body, out),
        })
    }

    /// C07: anything but `100-continue` is refused; without a body, and on 1.0, it means nothing.
    fn conclude_expect(&self, body: BodyLength, out: &mut RequestHead) -> Result<bool, Refusal> {
        if self.expects == 0 {
            return Ok(false);
        }
        if out.version == Version::Http11 && (self.expects > 1 || !self.expect_known) {
            return Err(Refusal::Expect);
        }
        let awaited = out.version == Version::Http11 && body.has_body();
        if !awaited {
            out.fields.remove(HeaderId::Expect);
        }
        Ok(awaited)
    }

    /// C09: no upgrade beside a body, and none that Connection does not name.
    fn conclude_upgrade(&self, body: BodyLength, out: &mut RequestHead) -> bool {
        if self.upgrades == 0 {
            return false;
        }
        let offered = self.upgrades == 1
            && self.upgrade_known
            && self.connection.upgrade
            && out.version == Version::Http11
            && !body.has_body();
        if !offered {
            out.fields.remove(HeaderId::Upgrade);
        }
        offered
    }
}

/// Puts target and authority into the model (T05-T07).
fn place_target(
    head: &[u8],
    target: &[u8],
    host: Option<Span>,
    options: &RequestOptions,
    out: &mut RequestHead,
) -> Result<(), Refusal> {
    place_authority(host, options, out)?;
    let form = TargetForm::of(target, out.method)?;
    match form {
        TargetForm::Origin => out.target = span(&out.fields, head, target),
        TargetForm::Authority => {
            authority::check_with_port(target)?;
            let named = span(&out.fields, head, target);
            agree(out, host, named)?;
        }
        TargetForm::Absolute { authority, rest } => {
            authority::check(authority)?;
            let named = span(&out.fields, head, authority);
            agree(out, host, named)?;
            place_absolute_rest(head, rest, out);
        }
    }
    if out.authority.is_empty() {
        return Err(Refusal::Host);
    }
    Ok(())
}

/// T07: Host is there, once, and well formed; 1.0 may do without if its target or the
/// configuration says where to, because what we forward always has one.
fn place_authority(
    host: Option<Span>,
    options: &RequestOptions,
    out: &mut RequestHead,
) -> Result<(), Refusal> {
    match host {
        Some(host) => {
            authority::check(out.fields.text(host))?;
            out.authority = host;
        }
        None if out.version == Version::Http11 => return Err(Refusal::Host),
        None => out.set_authority(options.default_host.as_bytes()),
    }
    Ok(())
}

/// T05: the authority of the target and Host must be the same; without Host it takes its place.
fn agree(out: &mut RequestHead, host: Option<Span>, named: Span) -> Result<(), Refusal> {
    let fields = &out.fields;
    let differs = |host: Span| !fields.text(host).eq_ignore_ascii_case(fields.text(named));
    if host.is_some_and(differs) {
        return Err(Refusal::TargetForm);
    }
    out.authority = named;
    Ok(())
}

/// RFC 9112 section 3.2.1 and 3.2.4: an empty path is `/`, or `*` for OPTIONS without a query.
fn place_absolute_rest(head: &[u8], rest: &[u8], out: &mut RequestHead) {
    out.target = match rest.first() {
        Some(b'/') => span(&out.fields, head, rest),
        Some(_) => out.fields.store_joined(b"/", rest),
        None if out.method == Method::Options => out.fields.store(b"*"),
        None => out.fields.store(b"/"),
    };
}

/// RFC 9112 section 3.2.
enum TargetForm<'a> {
    Origin,
    Authority,
    Absolute { authority: &'a [u8], rest: &'a [u8] },
}

impl<'a> TargetForm<'a> {
    fn of(target: &'a [u8], method: Method) -> Result<Self, Refusal> {
        match target {
            _ if method == Method::Connect => Ok(Self::Authority),
            [b'/', ..] => Ok(Self::Origin),
            b"*" if method == Method::Options => Ok(Self::Origin),
            _ => Self::absolute(target).ok_or(Refusal::TargetForm),
        }
    }

    fn absolute(target: &'a [u8]) -> Option<Self> {
        let rest =
            strip_scheme(target, b"http://").or_else(|| strip_scheme(target, b"https://"))?;
        let end = rest
            .iter()
            .position(|byte| matches!(byte, b'/' | b'?'))
            .unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        Some(Self::Absolute { authority, rest })
    }
}

fn strip_scheme<'a>(target: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = target.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// L06.
fn keeps_underscores(name: &str, options: &RequestOptions) -> Result<bool, Refusal> {
    if options.underscores == Underscores::Allow || !name.as_bytes().contains(&b'_') {
        return Ok(true);
    }
    match options.underscores {
        Underscores::Reject => Err(Refusal::Underscore),
        Underscores::Allow | Underscores::Drop => Ok(false),
    }
}

/// Decodes the response head `head` to a request with `request_method` into `out`. Content-Length
/// and Transfer-Encoding become the framing and do not stay among the fields; a length that is
/// announced without a body is kept in `out.declared_length`.
///
/// # Errors
/// R01-R03; `out` is unspecified then.
pub fn decode_response(
    head: &[u8],
    request_method: Method,
    out: &mut ResponseHead,
) -> Result<ResponseFraming, Refusal> {
    out.clear();
    let mut storage = [const { MaybeUninit::<Header<'_>>::uninit() }; limits::HEAD_FIELDS_CEILING];
    let mut parts = httparse::Response::new(&mut []);
    let parsed =
        ParserConfig::default().parse_response_with_uninit_headers(&mut parts, head, &mut storage);
    if !matches!(parsed, Ok(httparse::Status::Complete(len)) if len == head.len()) {
        return Err(name_response_fault(parsed));
    }
    let (Some(status @ 100..=599), Some(minor)) = (parts.code, parts.version) else {
        return Err(Refusal::StatusLine);
    };
    out.fields.load(head);
    out.status = status;
    out.version = [Version::Http10, Version::Http11][usize::from(minor == 1)];
    read_response_fields(head, parts.headers, request_method, out)
}

fn read_response_fields(
    head: &[u8],
    headers: &[Header<'_>],
    request_method: Method,
    out: &mut ResponseHead,
) -> Result<ResponseFraming, Refusal> {
    let (mut framing, mut connection) = (Framing::default(), ConnectionNames::default());
    for header in headers {
        let (id, name, value) = place(&mut out.fields, head, header);
        match id {
            HeaderId::ContentLength => framing.length_folded(header.value),
            HeaderId::TransferEncoding => framing.coding(header.value),
            // Means nothing in a response, and something to whoever confuses the two.
            HeaderId::Host => {}
            _ => {
                if id == HeaderId::Connection {
                    connection.read(header.value)?;
                }
                out.fields.push_spans(id, name, value);
            }
        }
    }
    let announced = framing.resolve(out.version)?;
    let body = response_body(announced, request_method, out);
    Ok(ResponseFraming {
        body,
        keep_alive: body != BodyLength::ToClose && connection.persists(out.version),
    })
}

/// R04, R05, RFC 9112 section 6.3.
fn response_body(
    announced: Option<BodyLength>,
    request_method: Method,
    out: &mut ResponseHead,
) -> BodyLength {
    let tunnel = request_method == Method::Connect && matches!(out.status, 200..=299);
    if tunnel || matches!(out.status, 100..=199 | 204) {
        return BodyLength::None;
    }
    if request_method == Method::Head || out.status == 304 {
        if let Some(BodyLength::Bytes(length)) = announced {
            out.declared_length = Some(length);
        }
        return BodyLength::None;
    }
    announced.unwrap_or(BodyLength::ToClose)
}

/// Finds a field in the arena, puts its name into lower case and looks it up.
#[inline]
fn place(fields: &mut Fields, head: &[u8], header: &Header<'_>) -> (HeaderId, Span, Span) {
    let name = span(fields, head, header.name.as_bytes());
    let value = span(fields, head, header.value);
    (HeaderId::of(fields.lower(name)), name, value)
}

/// The span in the arena of a part of the head that was loaded into it.
#[inline]
fn span(fields: &Fields, head: &[u8], part: &[u8]) -> Span {
    fields.span(part.as_ptr().addr() - head.as_ptr().addr(), part.len())
}

type Parsed = Result<httparse::Status<usize>, httparse::Error>;

#[cold]
fn name_request_fault(head: &[u8], parsed: Parsed) -> Refusal {
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or(head);
    match request_line::target(line).and_then(request_line::check_target) {
        Err(refusal) => refusal,
        Ok(()) => name_field_fault(parsed, Refusal::RequestLine),
    }
}

#[cold]
fn name_response_fault(parsed: Parsed) -> Refusal {
    name_field_fault(parsed, Refusal::StatusLine)
}

fn name_field_fault(parsed: Parsed, otherwise: Refusal) -> Refusal {
    match parsed {
        Err(httparse::Error::HeaderName) => Refusal::FieldName,
        Err(httparse::Error::HeaderValue) => Refusal::FieldValue,
        Err(httparse::Error::TooManyHeaders) => Refusal::HeadFields,
        Err(httparse::Error::NewLine) => Refusal::LineEnd,
        _ => otherwise,
    }
}

#[cfg(test)]
mod tests;
