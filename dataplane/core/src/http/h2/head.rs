//! Heads and trailers out of header blocks: the rules of RFC 9113 sections 8.2 and 8.3, with the
//! strictness of the HTTP/1 decoder (section 7 of the safety rules).
//!
//! Fields are judged while they are decoded; what only all of them together can say is decided when
//! the block is complete. The first fault counts.

use super::hpack::Pseudo;
use super::settings::Settings;
use crate::http::h1::{
    Framing, RequestFraming, ResponseFraming, Underscores, is_forbidden_trailer,
};
use crate::http::h1::{check_method, check_target, is_token_byte};
use crate::http::{
    BodyLength, Fields, HeaderId, Method, Refusal, RequestHead, ResponseHead, Span, Version,
    authority,
};
use crate::limits;

mod fields;

/// What a block is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Request,
    Response,
    Trailers,
    /// Decoded for the tables only.
    Nothing,
}

/// A block being decoded, then the message part that it was.
#[derive(Debug, Default)]
pub(crate) struct Block {
    head: RequestHead,
    status: u16,
    declared_length: Option<u64>,
    framing: RequestFraming,
    seen: Seen,
}

/// What was seen of the block so far.
#[derive(Debug, Default)]
struct Seen {
    kind: Option<Kind>,
    bytes_max: usize,
    fields_max: usize,
    underscores: Underscores,
    extended_connect: bool,
    refusal: Option<Refusal>,
    fields: usize,
    bytes: usize,
    pseudos: [Option<Span>; Pseudo::COUNT],
    regular: bool,
    host: Option<Span>,
    length: Framing,
    cookies: u32,
    expects: u32,
    expect_known: bool,
}

/// What a complete block comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Conclusion {
    /// content-length, where it counts.
    pub(crate) length: Option<u64>,
    pub(crate) method: Method,
    pub(crate) status: u16,
}

impl Block {
    /// Begins a block of this kind.
    pub(crate) fn begin(&mut self, kind: Kind, settings: &Settings) {
        self.head.clear();
        let (bytes_max, fields_max) = match kind {
            Kind::Trailers => (limits::TRAILER_BYTES_MAX, limits::TRAILER_FIELDS_MAX),
            _ => (
                settings.head_bytes_max as usize,
                settings.fields_max as usize,
            ),
        };
        self.seen = Seen {
            kind: Some(kind),
            bytes_max,
            fields_max,
            underscores: settings.underscores,
            extended_connect: settings.extended_connect,
            ..Seen::default()
        };
    }

    /// What the block counts by RFC 9113 section 6.5.2.
    pub(crate) fn bytes(&self) -> usize {
        self.seen.bytes
    }

    /// Bytes of memory held.
    pub(crate) fn memory(&self) -> usize {
        self.head.fields.memory()
    }

    /// Moves the request into `out`, whose memory serves the next one.
    pub(crate) fn take_request(&mut self, out: &mut RequestHead) -> RequestFraming {
        std::mem::swap(&mut self.head, out);
        self.head.clear();
        self.framing
    }

    /// Moves the response into `out`.
    pub(crate) fn take_response(&mut self, out: &mut ResponseHead) -> ResponseFraming {
        std::mem::swap(&mut self.head.fields, &mut out.fields);
        self.head.clear();
        out.status = self.status;
        out.version = Version::Http2;
        out.declared_length = self.declared_length;
        ResponseFraming {
            body: self.framing.body,
            keep_alive: true,
        }
    }

    /// Moves the trailers into `out`.
    pub(crate) fn take_trailers(&mut self, out: &mut Fields) {
        std::mem::swap(&mut self.head.fields, out);
        self.head.clear();
    }

    /// The block is complete and was a request.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub(crate) fn conclude_request(&mut self, end: bool) -> Result<Conclusion, Refusal> {
        let method = self.pseudo(Pseudo::Method);
        // The answer to a refused HEAD must not have a body either.
        self.head.method = Method::parse(method.map_or(b"", |span| self.head.fields.text(span)));
        self.refused()?;
        let method = method.ok_or(Refusal::PseudoHeader)?;
        check_method(self.head.fields.text(method))?;
        self.head.method_text = method;
        self.head.version = Version::Http2;
        self.place_target()?;
        let length = self.content_length()?;
        let body = body_length(length, end)?;
        // F15: a body of TRACE is refused; after CONNECT all DATA is the tunnel's (RFC 9113 section
        // 8.5).
        let tunnel = self.head.method == Method::Connect;
        if (self.head.method == Method::Trace && body.has_body()) || (tunnel && length.is_some()) {
            return Err(Refusal::Body);
        }
        let expect_continue = self.conclude_expect(body)?;
        self.join_cookies();
        self.framing = RequestFraming {
            body,
            keep_alive: true,
            expect_continue,
            upgrade: false,
        };
        Ok(Conclusion {
            length,
            method: self.head.method,
            status: 0,
        })
    }

    /// The block is complete and was a response to a request that was HEAD, CONNECT or neither.
    ///
    /// # Errors
    /// The first rule that it breaks (D04, R01-R04, D07).
    pub(crate) fn conclude_response(
        &mut self,
        method: Method,
        end: bool,
    ) -> Result<Conclusion, Refusal> {
        self.refused()?;
        let status = self.pseudo(Pseudo::Status).ok_or(Refusal::StatusLine)?;
        self.status = parse_status(self.head.fields.text(status)).ok_or(Refusal::StatusLine)?;
        // RFC 9113 section 8.6, D12; and an interim response ends nothing (section 8.1).
        let interim = self.status < 200;
        if self.status == 101 || (interim && end) {
            return Err(Refusal::SwitchingProtocols);
        }
        let announced = self.content_length()?;
        let tunnel = method == Method::Connect && self.status < 300;
        let bodiless = interim || matches!(self.status, 204 | 304) || method == Method::Head;
        self.declared_length = None;
        let length = if tunnel || bodiless {
            if method == Method::Head || self.status == 304 {
                self.declared_length = announced;
            }
            bodiless.then_some(0)
        } else {
            announced
        };
        let body = match (bodiless, tunnel) {
            (true, _) => BodyLength::None,
            (_, true) => BodyLength::Chunked,
            _ => body_length(length, end)?,
        };
        // An end without length is an empty body, which is said where a client waits for it.
        let body = match body {
            BodyLength::None if !bodiless => BodyLength::Bytes(0),
            body => body,
        };
        self.framing = RequestFraming {
            body,
            ..RequestFraming::default()
        };
        self.join_cookies();
        Ok(Conclusion {
            length,
            method,
            status: self.status,
        })
    }

    /// The block is complete and was trailers (F12, F13).
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub(crate) fn conclude_trailers(&mut self) -> Result<(), Refusal> {
        self.refused()?;
        let fields = &mut self.head.fields;
        fields.remove_if(|id, name, _| is_forbidden_trailer(id, name));
        Ok(())
    }

    fn refused(&self) -> Result<(), Refusal> {
        self.seen.refusal.map_or(Ok(()), Err)
    }

    fn pseudo(&self, pseudo: Pseudo) -> Option<Span> {
        self.seen.pseudos[pseudo as usize]
    }

    /// D04-D06.
    fn place_target(&mut self) -> Result<(), Refusal> {
        let named = self.pseudo(Pseudo::Authority);
        let scheme = self.pseudo(Pseudo::Scheme);
        let path = self.pseudo(Pseudo::Path);
        let protocol = self.pseudo(Pseudo::Protocol);
        self.place_authority(named)?;
        match (self.head.method, protocol, scheme, path) {
            // RFC 9113 section 8.5.
            (Method::Connect, None, None, None) if named.is_some() => {
                authority::check_with_port(self.head.authority())
            }
            (Method::Connect, None, ..) | (_, _, None, _) | (_, _, _, None) => {
                Err(Refusal::PseudoHeader)
            }
            (Method::Connect, Some(protocol), Some(scheme), Some(path)) => {
                self.place_protocol(protocol)?;
                self.place_path(scheme, path)
            }
            (_, Some(_), ..) => Err(Refusal::PseudoHeader),
            (_, None, Some(scheme), Some(path)) => self.place_path(scheme, path),
        }
    }

    /// D06: Host and :authority are one.
    fn place_authority(&mut self, named: Option<Span>) -> Result<(), Refusal> {
        let fields = &self.head.fields;
        let host = self.seen.host;
        let authority = named.or(host).ok_or(Refusal::Host)?;
        if let (Some(named), Some(host)) = (named, host)
            && !fields.text(named).eq_ignore_ascii_case(fields.text(host))
        {
            return Err(Refusal::TargetForm);
        }
        authority::check(fields.text(authority))?;
        self.head.authority = authority;
        Ok(())
    }

    /// RFC 8441 section 4: only after we announced it.
    fn place_protocol(&mut self, protocol: Span) -> Result<(), Refusal> {
        let text = self.head.fields.text(protocol);
        let good = |&byte: &u8| is_token_byte(byte) || byte == b'/';
        if !self.seen.extended_connect || text.is_empty() || !text.iter().all(good) {
            return Err(Refusal::PseudoHeader);
        }
        self.head.protocol = protocol;
        Ok(())
    }

    /// D05.
    fn place_path(&mut self, scheme: Span, path: Span) -> Result<(), Refusal> {
        let scheme = self.head.fields.text(scheme);
        self.head.secure = scheme.eq_ignore_ascii_case(b"https");
        if !self.head.secure && !scheme.eq_ignore_ascii_case(b"http") {
            return Err(Refusal::TargetForm);
        }
        let text = self.head.fields.text(path);
        check_target(text)?;
        match text {
            [b'/', ..] => {}
            b"*" if self.head.method == Method::Options => {}
            _ => return Err(Refusal::TargetForm),
        }
        self.head.target = path;
        Ok(())
    }

    /// D07: the parser of F03.
    fn content_length(&self) -> Result<Option<u64>, Refusal> {
        match self.seen.length.resolve(Version::Http2)? {
            Some(BodyLength::Bytes(length)) => Ok(Some(length)),
            _ => Ok(None),
        }
    }

    /// C07, as on HTTP/1.
    fn conclude_expect(&mut self, body: BodyLength) -> Result<bool, Refusal> {
        if self.seen.expects == 0 {
            return Ok(false);
        }
        if self.seen.expects > 1 || !self.seen.expect_known {
            return Err(Refusal::Expect);
        }
        if !body.has_body() {
            self.head.fields.remove(HeaderId::Expect);
        }
        Ok(body.has_body())
    }

    /// D08, RFC 9113 section 8.2.3.
    fn join_cookies(&mut self) {
        if self.seen.cookies > 1 {
            self.head.fields.join(HeaderId::Cookie, b"; ");
        }
    }
}

/// D07, D09: END_STREAM with a length above 0 is malformed.
fn body_length(length: Option<u64>, end: bool) -> Result<BodyLength, Refusal> {
    match (length, end) {
        (Some(0) | None, true) => Ok(length.map_or(BodyLength::None, BodyLength::Bytes)),
        (Some(_), true) => Err(Refusal::ContentLength),
        (Some(length), false) => Ok(BodyLength::Bytes(length)),
        (None, false) => Ok(BodyLength::Chunked),
    }
}

/// R01: three digits, 100 to 599.
fn parse_status(text: &[u8]) -> Option<u16> {
    let [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9'] = *text else {
        return None;
    };
    let digit = |byte: u8| u16::from(byte - b'0');
    Some(digit(a) * 100 + digit(b) * 10 + digit(c))
}

/// May a request be answered although its head breaks this rule? It is a good message of HTTP/2
/// then, and only too large or too demanding.
pub(crate) fn is_answerable(refusal: Refusal) -> bool {
    matches!(
        refusal,
        Refusal::HeadBytes | Refusal::HeadFields | Refusal::TargetLength | Refusal::Expect
    )
}
