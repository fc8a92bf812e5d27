//! One of our connections with raw frames on the other side, and what it does as text.

use penstock_core::event::Time;
use penstock_core::http::h2::{
    Code, Connection, Error, HEADER_LEN, Message, PREFACE, Settings, StreamId,
};
use penstock_core::http::{BodyLength, Fields, RequestHead, ResponseHead};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn text(text: &[u8], out: &mut Vec<u8>) {
    let mut len = text.len();
    if len < 127 {
        out.push(len as u8);
    } else {
        out.push(127);
        len -= 127;
        while len >= 128 {
            out.push(len as u8 | 128);
            len >>= 7;
        }
        out.push(len as u8);
    }
    out.extend_from_slice(text);
}

/// A field block of literals, which no table sees.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        text(name.as_bytes(), &mut out);
        text(value.as_bytes(), &mut out);
    }
    out
}

pub(crate) const GET: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/"),
    (":authority", "a.test"),
];
pub(crate) const POST: [(&str, &str); 4] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/"),
    (":authority", "a.test"),
];

/// HEADERS with a whole block.
pub(crate) fn headers(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, flags | END_HEADERS, stream, &block(fields))
}

/// A whole GET.
pub(crate) fn get(stream: u32) -> Vec<u8> {
    headers(stream, END_STREAM, &GET)
}

/// A POST whose body is to come.
pub(crate) fn post(stream: u32) -> Vec<u8> {
    headers(stream, 0, &POST)
}

pub(crate) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

pub(crate) fn rst(stream: u32, code: Code) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.0.to_be_bytes())
}

/// SETTINGS with these values.
pub(crate) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (id, value) in values {
        payload.extend_from_slice(&id.to_be_bytes());
        payload.extend_from_slice(&value.to_be_bytes());
    }
    frame(SETTINGS, 0, 0, &payload)
}

/// Our side, and a clock.
pub(crate) struct Wire {
    pub(crate) connection: Connection,
    pub(crate) now: Time,
    /// The head that came last, as the lines of an HTTP/1 message.
    pub(crate) head: String,
    /// Bytes of bodies that came.
    pub(crate) body: Vec<u8>,
    /// Report bodies as consumed when they come.
    pub(crate) consumes: bool,
    client: bool,
}

impl Wire {
    /// A server behind preface and SETTINGS.
    pub(crate) fn server() -> Self {
        Self::server_with(Settings::default())
    }

    pub(crate) fn server_with(with: Settings) -> Self {
        let mut wire = Self::bare(Connection::server(with, Time(0)), false);
        let begin = [&PREFACE[..], &settings(&[]), &frame(SETTINGS, ACK, 0, &[])].concat();
        assert_eq!(
            wire.feed(&begin),
            "settings, acknowledged, SETTINGS, WINDOW_UPDATE 0 983041, SETTINGS ack"
        );
        wire
    }

    /// A client behind the server's SETTINGS, with one GET sent on stream 1.
    pub(crate) fn client() -> Self {
        let mut wire = Self::bare(Connection::client(Settings::default(), Time(0)), true);
        let begin = [settings(&[]), frame(SETTINGS, ACK, 0, &[])].concat();
        wire.feed(&begin);
        wire.request("GET");
        wire.replies();
        wire
    }

    pub(crate) fn bare(connection: Connection, client: bool) -> Self {
        Self {
            connection,
            now: Time(0),
            head: String::new(),
            body: Vec::new(),
            consumes: false,
            client,
        }
    }

    /// Sends a request of our own.
    pub(crate) fn request(&mut self, method: &str) -> StreamId {
        let stream = self.connection.open().expect("a stream may be opened");
        let mut head = RequestHead::default();
        head.method_text = head.fields.store(method.as_bytes());
        head.method = penstock_core::http::Method::parse(method.as_bytes());
        head.set_target(b"/");
        head.set_authority(b"a.test:80");
        assert!(
            self.connection
                .send_request(stream, &head, BodyLength::None)
        );
        stream
    }

    /// Answers a request.
    pub(crate) fn respond(&mut self, stream: u32, status: u16, body: BodyLength) {
        let head = ResponseHead {
            status,
            ..ResponseHead::default()
        };
        assert!(self.connection.send_response(StreamId(stream), &head, body));
    }

    /// What comes of bytes: messages, then frames sent, then the loss of the connection.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> String {
        let mut lines = Vec::new();
        let result = self.messages(bytes, &mut lines);
        lines.extend(self.reply_lines());
        if let Err(error) = result {
            lines.push(format!(
                "lost {} {}",
                name(error.code),
                error.reason.label()
            ));
        }
        lines.join(", ")
    }

    fn messages(&mut self, bytes: &[u8], lines: &mut Vec<String>) -> Result<(), Error> {
        let mut at = 0;
        while let Some(message) = self.connection.next(self.now, bytes, &mut at)? {
            let line = self.line(message, bytes);
            lines.push(line);
        }
        assert_eq!(at, bytes.len(), "all bytes are used");
        Ok(())
    }

    fn line(&mut self, message: Message, bytes: &[u8]) -> String {
        let ended = |end| if end { " end" } else { "" };
        match message {
            Message::Head { stream, end } => {
                self.take_head();
                format!("head {}{}", stream.0, ended(end))
            }
            Message::Refused {
                stream,
                refusal,
                end,
            } => {
                format!("refused {} {}{}", stream.0, refusal.label(), ended(end))
            }
            Message::Data { stream, range, end } => {
                let len = range.len();
                self.body.extend_from_slice(&bytes[range]);
                if self.consumes {
                    self.connection.consumed(stream, len as u32);
                }
                format!("data {} {len}{}", stream.0, ended(end))
            }
            Message::Trailers { stream } => {
                let mut fields = Fields::default();
                self.connection.take_trailers(&mut fields);
                self.head = lines_of(&fields);
                format!("trailers {}", stream.0)
            }
            Message::Reset { stream, code, by } => {
                let by = match by {
                    penstock_core::http::h2::ResetBy::Remote => "remote".to_owned(),
                    penstock_core::http::h2::ResetBy::Fault(reason, refusal) => refusal
                        .map_or(reason.label(), |refusal| refusal.label())
                        .to_owned(),
                };
                format!("reset {} {} {by}", stream.0, name(code))
            }
            Message::Rejected {
                stream,
                reason,
                refusal,
            } => {
                let why = refusal.map_or(reason.label(), |refusal| refusal.label());
                format!("rejected {} {why}", stream.0)
            }
            Message::GoAway { last, code } => format!("goaway {} {}", last.0, name(code)),
            Message::WindowOpened { stream } => {
                format!("window {}", stream.map_or(0, |stream| stream.0))
            }
            Message::Settings => "settings".to_owned(),
            Message::Acknowledged => "acknowledged".to_owned(),
            Message::Pong => "pong".to_owned(),
        }
    }

    fn take_head(&mut self) {
        if self.client {
            let mut head = ResponseHead::default();
            let framing = self.connection.take_response(&mut head);
            self.head = format!(
                "{} {:?}\n{}",
                head.status,
                framing.body,
                lines_of(&head.fields)
            );
            return;
        }
        let mut head = RequestHead::default();
        let framing = self.connection.take_request(&mut head);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.head = format!(
            "{} {} {} {:?}\n{}{}",
            text(head.method_text()),
            text(head.authority()),
            text(head.target()),
            framing.body,
            text(head.protocol()),
            lines_of(&head.fields)
        );
    }

    /// The frames in the output.
    pub(crate) fn replies(&mut self) -> String {
        self.reply_lines().join(", ")
    }

    fn reply_lines(&mut self) -> Vec<String> {
        let mut output = Vec::new();
        self.connection.take_output(&mut output);
        let bytes = output.strip_prefix(&PREFACE[..]).unwrap_or(&output);
        frames(bytes)
    }
}

fn lines_of(fields: &Fields) -> String {
    let line = |(name, value): (&[u8], &[u8])| {
        format!(
            "{}: {}\n",
            String::from_utf8_lossy(name),
            String::from_utf8_lossy(value)
        )
    };
    fields.iter().map(line).collect()
}

/// Frames as text.
pub(crate) fn frames(bytes: &[u8]) -> Vec<String> {
    let (mut lines, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let header = &bytes[at..at + HEADER_LEN];
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0u32, |sum, &byte| sum << 8 | u32::from(byte))
        };
        let (len, kind, flags) = (number(&header[..3]) as usize, header[3], header[4]);
        let stream = number(&header[5..]);
        let payload = &bytes[at + HEADER_LEN..at + HEADER_LEN + len];
        let end = if flags & END_STREAM != 0 { " end" } else { "" };
        let ack = if flags & ACK != 0 { " ack" } else { "" };
        lines.push(match kind {
            DATA => format!("DATA {stream} {len}{end}"),
            HEADERS => format!("HEADERS {stream}{end}"),
            RST_STREAM => format!("RST {stream} {}", name(Code(number(payload)))),
            SETTINGS => format!("SETTINGS{ack}"),
            PING => format!("PING{ack}"),
            GOAWAY => {
                let code = name(Code(number(&payload[4..8])));
                format!("GOAWAY {} {code}", number(&payload[..4]))
            }
            WINDOW_UPDATE => format!("WINDOW_UPDATE {stream} {}", number(payload)),
            CONTINUATION => format!("CONTINUATION {stream}"),
            other => format!("kind {other}"),
        });
        at += HEADER_LEN + len;
    }
    lines
}

fn name(code: Code) -> &'static str {
    match code {
        Code::NO_ERROR => "none",
        Code::PROTOCOL_ERROR => "protocol",
        Code::INTERNAL_ERROR => "internal",
        Code::FLOW_CONTROL_ERROR => "flow_control",
        Code::STREAM_CLOSED => "stream_closed",
        Code::FRAME_SIZE_ERROR => "frame_size",
        Code::REFUSED_STREAM => "refused",
        Code::CANCEL => "cancel",
        Code::COMPRESSION_ERROR => "compression",
        Code::ENHANCE_YOUR_CALM => "calm",
        _ => "other",
    }
}
