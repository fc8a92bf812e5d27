//! A look at a ClientHello before anything is decided about it: server name, protocols, versions.
//!
//! A filter chain is chosen by it, and a connection that is passed through is never more than
//! looked at; so this is a parser of its own that holds nothing, takes any number of segments and
//! records, and stops at [`CLIENT_HELLO_BYTES_MAX`]. It is strict about what it reads and
//! indifferent to the rest, which is rustls's to judge.

#[cfg(test)]
mod tests;

use super::read::Reader;
use crate::limits::CLIENT_HELLO_BYTES_MAX;

const RECORD_HEADER_BYTES: usize = 5;
const MESSAGE_HEADER_BYTES: usize = 4;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
/// Bytes of a record that is not encrypted (RFC 8446 section 5.1).
const FRAGMENT_BYTES_MAX: usize = 1 << 14;
/// Bytes of a host name (RFC 1035 section 3.1).
const NAME_BYTES_MAX: usize = 255;

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;

/// What the bytes are so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step<'a> {
    /// The beginning of a ClientHello.
    Incomplete,
    /// Not TLS: the transport protocol `raw_buffer`.
    NotTls,
    /// A ClientHello.
    Complete(ClientHello<'a>),
}

/// What a filter chain can be chosen by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientHello<'a> {
    /// The host name that is asked for, by the case in which it was sent; letters, digits and
    /// `-_.` only. An IP address is no name (RFC 6066 section 3).
    pub server_name: Option<&'a str>,
    /// Protocols that are offered.
    pub alpn: Protocols<'a>,
    /// The newest version that is offered, as on the wire: 0x0304 is TLS 1.3. Versions that do not
    /// exist (GREASE) do not count.
    pub version_max: u16,
}

/// Protocols of an ALPN extension, in the client's order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Protocols<'a>(&'a [u8]);

/// Why a ClientHello is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Longer than [`CLIENT_HELLO_BYTES_MAX`].
    TooLong,
    /// The records or messages are not those of a ClientHello.
    Framing,
    /// The ClientHello itself is malformed.
    Malformed,
    /// The server name is no host name, or there are several.
    ServerName,
}

impl Refusal {
    /// Label for counters.
    pub fn label(self) -> &'static str {
        match self {
            Self::TooLong => "client_hello_too_long",
            Self::Framing => "client_hello_framing",
            Self::Malformed => "client_hello_malformed",
            Self::ServerName => "client_hello_server_name",
        }
    }
}

impl<'a> Protocols<'a> {
    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        let mut reader = Reader::new(self.0);
        core::iter::from_fn(move || reader.vector8())
    }

    /// True if this one is among them.
    pub fn contains(self, protocol: &[u8]) -> bool {
        self.iter().any(|offered| offered == protocol)
    }
}

/// Looks at everything that the connection has brought so far. `joined` is used only if the
/// ClientHello spans several records.
pub fn peek<'a>(bytes: &'a [u8], joined: &'a mut Vec<u8>) -> Result<Step<'a>, Refusal> {
    // A record of another protocol than TLS: its version is not 3.x.
    let is_tls = |at: usize, byte: u8| bytes.get(at).is_none_or(|&found| found == byte);
    if !is_tls(0, HANDSHAKE) || !is_tls(1, 3) {
        return Ok(Step::NotTls);
    }
    joined.clear();
    match gather(bytes, joined)? {
        Some(Message::Whole(body)) => hello(body).map(Step::Complete),
        Some(Message::Joined) => hello(&joined[MESSAGE_HEADER_BYTES..]).map(Step::Complete),
        None if bytes.len() >= CLIENT_HELLO_BYTES_MAX => Err(Refusal::TooLong),
        None => Ok(Step::Incomplete),
    }
}

enum Message<'a> {
    Whole(&'a [u8]),
    Joined,
}

/// The first handshake message, once it is complete.
fn gather<'a>(bytes: &'a [u8], joined: &mut Vec<u8>) -> Result<Option<Message<'a>>, Refusal> {
    let Some((first, mut is_whole, mut rest)) = record(bytes)? else {
        return Ok(None);
    };
    if let Some(len) = message_len(first)?.filter(|&len| len <= first.len()) {
        return Ok(Some(Message::Whole(&first[MESSAGE_HEADER_BYTES..len])));
    }
    joined.extend_from_slice(first);
    while is_whole {
        let fragment;
        (fragment, is_whole, rest) = match record(rest)? {
            Some(record) => record,
            None => return Ok(None),
        };
        joined.extend_from_slice(fragment);
        if let Some(len) = message_len(joined)?.filter(|&len| len <= joined.len()) {
            joined.truncate(len);
            return Ok(Some(Message::Joined));
        }
    }
    Ok(None)
}

type Record<'a> = (&'a [u8], bool, &'a [u8]);

/// What is there of the next record's fragment, whether that is all of it, and what is behind.
fn record(bytes: &[u8]) -> Result<Option<Record<'_>>, Refusal> {
    if bytes.first().is_some_and(|&kind| kind != HANDSHAKE)
        || bytes.get(1).is_some_and(|&major| major != 3)
    {
        return Err(Refusal::Framing);
    }
    let Some((header, rest)) = bytes.split_first_chunk::<RECORD_HEADER_BYTES>() else {
        return Ok(None);
    };
    let len = usize::from(u16::from_be_bytes([header[3], header[4]]));
    if len == 0 || len > FRAGMENT_BYTES_MAX {
        return Err(Refusal::Framing);
    }
    Ok(Some(match rest.split_at_checked(len) {
        Some((fragment, behind)) => (fragment, true, behind),
        None => (rest, false, &[]),
    }))
}

/// Length of the message with its header, once that is known.
fn message_len(head: &[u8]) -> Result<Option<usize>, Refusal> {
    if head.first().is_some_and(|&kind| kind != CLIENT_HELLO) {
        return Err(Refusal::Framing);
    }
    let Some(&[_, high, middle, low]) = head.first_chunk::<MESSAGE_HEADER_BYTES>() else {
        return Ok(None);
    };
    let len = MESSAGE_HEADER_BYTES + u32::from_be_bytes([0, high, middle, low]) as usize;
    match len + RECORD_HEADER_BYTES > CLIENT_HELLO_BYTES_MAX {
        true => Err(Refusal::TooLong),
        false => Ok(Some(len)),
    }
}

/// RFC 8446 section 4.1.2; before TLS 1.3 there may be no extensions at all.
fn hello(body: &[u8]) -> Result<ClientHello<'_>, Refusal> {
    let mut reader = Reader::new(body);
    let (legacy_version, extensions) = fixed_part(&mut reader).ok_or(Refusal::Malformed)?;
    let mut hello = ClientHello {
        server_name: None,
        alpn: Protocols::default(),
        version_max: known_version(legacy_version.min(0x0303)),
    };
    let mut seen = Seen::default();
    let mut extensions = Reader::new(extensions);
    while !extensions.is_empty() {
        let kind = extensions.u16().ok_or(Refusal::Malformed)?;
        let value = extensions.vector16().ok_or(Refusal::Malformed)?;
        seen.once(kind)?;
        match kind {
            SERVER_NAME => hello.server_name = server_name(value)?,
            ALPN => hello.alpn = protocols(value).ok_or(Refusal::Malformed)?,
            SUPPORTED_VERSIONS => {
                hello.version_max = newest(value).ok_or(Refusal::Malformed)?;
            }
            _ => {}
        }
    }
    Ok(hello)
}

/// The version, and all extensions.
fn fixed_part<'a>(reader: &mut Reader<'a>) -> Option<(u16, &'a [u8])> {
    let legacy_version = reader.u16()?;
    reader.bytes(32)?;
    let session_id = reader.vector8()?;
    let suites = reader.vector16()?;
    let compressions = reader.vector8()?;
    let extensions = match reader.is_empty() {
        true => &[],
        false => reader.vector16()?,
    };
    let is_sound = session_id.len() <= 32
        && !suites.is_empty()
        && suites.len() % 2 == 0
        && !compressions.is_empty()
        && reader.is_empty();
    is_sound.then_some((legacy_version, extensions))
}

/// The extensions that are read may stand there once (RFC 8446 section 4.2): who reads the first of
/// two and who reads the last would disagree.
#[derive(Default)]
struct Seen(u8);

impl Seen {
    fn once(&mut self, kind: u16) -> Result<(), Refusal> {
        let bit = match kind {
            SERVER_NAME => 1,
            ALPN => 2,
            SUPPORTED_VERSIONS => 4,
            _ => 0,
        };
        let is_second = self.0 & bit != 0;
        self.0 |= bit;
        match is_second {
            true => Err(Refusal::Malformed),
            false => Ok(()),
        }
    }
}

/// RFC 6066 section 3: one name of the type host name.
fn server_name(value: &[u8]) -> Result<Option<&str>, Refusal> {
    let mut reader = Reader::new(value);
    let mut list = Reader::new(reader.vector16().ok_or(Refusal::ServerName)?);
    let kind = list.u8().ok_or(Refusal::ServerName)?;
    let name = list.vector16().ok_or(Refusal::ServerName)?;
    if kind != 0 || !list.is_empty() || !reader.is_empty() {
        return Err(Refusal::ServerName);
    }
    host_name(name)
}

fn host_name(name: &[u8]) -> Result<Option<&str>, Refusal> {
    let text = core::str::from_utf8(name).map_err(|_| Refusal::ServerName)?;
    if text.parse::<core::net::IpAddr>().is_ok() {
        return Ok(None);
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_name = !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(is_plain);
    match is_name {
        true => Ok(Some(text)),
        false => Err(Refusal::ServerName),
    }
}

/// RFC 7301 section 3.1: none of the names is empty.
fn protocols(value: &[u8]) -> Option<Protocols<'_>> {
    let mut reader = Reader::new(value);
    let list = reader.vector16()?;
    let mut names = Reader::new(list);
    while !names.is_empty() {
        names.vector8().filter(|name| !name.is_empty())?;
    }
    (reader.is_empty() && !list.is_empty()).then_some(Protocols(list))
}

/// RFC 8446 section 4.2.1.
fn newest(value: &[u8]) -> Option<u16> {
    let mut reader = Reader::new(value);
    let list = reader.vector8()?;
    let is_sound = reader.is_empty() && !list.is_empty() && list.len() % 2 == 0;
    let versions = list.as_chunks().0.iter().copied().map(u16::from_be_bytes);
    is_sound.then(|| versions.map(known_version).max().unwrap_or(0))
}

fn known_version(version: u16) -> u16 {
    match version {
        0x0300..=0x0304 => version,
        _ => 0,
    }
}
