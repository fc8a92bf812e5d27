//! SETTINGS (RFC 9113 section 6.5): ours, theirs, and how they are written and read.

use super::error::{Code, Error, Reason};
use super::frame::{self, PAYLOAD_MAX, kind};
use crate::http::h1::Underscores;
use crate::limits;

const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;
const MAX_HEADER_LIST_SIZE: u16 = 6;
/// RFC 8441 section 3.
const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// The largest window.
pub(crate) const WINDOW_MAX: u32 = (1 << 31) - 1;
/// Windows until settings say otherwise.
pub(crate) const WINDOW_INITIAL: u32 = 65_535;

/// What we allow and want on one connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// `max_concurrent_streams`: streams that the other side may have open.
    pub streams_max: u32,
    /// `initial_stream_window_size`.
    pub stream_window: u32,
    /// What the window of one stream may grow to.
    pub stream_window_max: u32,
    /// `initial_connection_window_size`.
    pub connection_window: u32,
    /// What the window of the connection may grow to.
    pub connection_window_max: u32,
    /// `hpack_table_size`, each way.
    pub table_size: u32,
    /// `max_request_headers_kb` or `max_response_headers_kb` in bytes, by the count of RFC 9113
    /// section 6.5.2.
    pub head_bytes_max: u32,
    /// `max_headers_count`; each cookie crumb counts (B05).
    pub fields_max: u32,
    /// `headers_with_underscores_action` (L06).
    pub underscores: Underscores,
    /// `allow_connect`: extended CONNECT is announced (RFC 8441).
    pub extended_connect: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            streams_max: limits::H2_STREAMS_MAX,
            stream_window: limits::H2_STREAM_WINDOW,
            stream_window_max: limits::H2_STREAM_WINDOW_MAX,
            connection_window: limits::H2_CONNECTION_WINDOW,
            connection_window_max: limits::H2_CONNECTION_WINDOW_MAX,
            table_size: limits::H2_TABLE_SIZE,
            head_bytes_max: limits::HEAD_BYTES_MAX as u32,
            fields_max: limits::HEAD_FIELDS_MAX as u32,
            underscores: Underscores::Allow,
            extended_connect: false,
        }
    }
}

impl Settings {
    /// Appends our SETTINGS, and the WINDOW_UPDATE that opens the window of the connection.
    pub(crate) fn put(&self, client: bool, out: &mut Vec<u8>) {
        let mut payload = [0; 36];
        let mut len = 0;
        let mut add = |id: u16, value: u32| {
            payload[len..len + 2].copy_from_slice(&id.to_be_bytes());
            payload[len + 2..len + 6].copy_from_slice(&value.to_be_bytes());
            len += 6;
        };
        add(HEADER_TABLE_SIZE, self.table_size);
        match client {
            true => add(ENABLE_PUSH, 0),
            false => add(MAX_CONCURRENT_STREAMS, self.streams_max),
        }
        add(INITIAL_WINDOW_SIZE, self.stream_window);
        add(MAX_HEADER_LIST_SIZE, self.head_bytes_max);
        if self.extended_connect && !client {
            add(ENABLE_CONNECT_PROTOCOL, 1);
        }
        frame::put(kind::SETTINGS, 0, 0, &payload[..len], out);
        if let Some(more @ 1..) = self.connection_window.checked_sub(WINDOW_INITIAL) {
            frame::put(kind::WINDOW_UPDATE, 0, 0, &more.to_be_bytes(), out);
        }
    }
}

/// What the other side announced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Announced {
    /// SETTINGS_HEADER_TABLE_SIZE.
    pub table_size: u32,
    /// SETTINGS_MAX_CONCURRENT_STREAMS.
    pub streams_max: u32,
    /// SETTINGS_INITIAL_WINDOW_SIZE.
    pub stream_window: u32,
    /// SETTINGS_MAX_FRAME_SIZE.
    pub payload_max: u32,
    /// SETTINGS_MAX_HEADER_LIST_SIZE; advice only.
    pub head_bytes_max: u32,
    /// SETTINGS_ENABLE_CONNECT_PROTOCOL.
    pub extended_connect: bool,
}

impl Announced {
    /// What holds before the first SETTINGS (RFC 9113 section 6.5.2). Towards a server we assume a
    /// bound on streams until it says one (section 5.1.2 lets us; there is none by default).
    pub(crate) const INITIAL: Self = Self {
        table_size: 4096,
        streams_max: limits::H2_STREAMS_MAX,
        stream_window: WINDOW_INITIAL,
        payload_max: PAYLOAD_MAX,
        head_bytes_max: u32::MAX,
        extended_connect: false,
    };

    /// Takes over the settings in a payload.
    ///
    /// # Errors
    /// H02.
    pub(crate) fn read(&mut self, payload: &[u8], from_server: bool) -> Result<(), Error> {
        let (settings, []) = payload.as_chunks::<6>() else {
            return Err(Error::new(Code::FRAME_SIZE_ERROR, Reason::FrameSize));
        };
        for [a, b, value @ ..] in settings {
            let value = u32::from_be_bytes(*value);
            self.set(u16::from_be_bytes([*a, *b]), value, from_server)?;
        }
        Ok(())
    }

    fn set(&mut self, id: u16, value: u32, from_server: bool) -> Result<(), Error> {
        match (id, value) {
            (HEADER_TABLE_SIZE, _) => self.table_size = value,
            // RFC 9113 section 6.5.2: a server must not send 1.
            (ENABLE_PUSH, 0) => {}
            (ENABLE_PUSH, 1) if !from_server => {}
            (MAX_CONCURRENT_STREAMS, _) => self.streams_max = value,
            (INITIAL_WINDOW_SIZE, 0..=WINDOW_MAX) => self.stream_window = value,
            (INITIAL_WINDOW_SIZE, _) => {
                return Err(Error::new(Code::FLOW_CONTROL_ERROR, Reason::Setting));
            }
            (MAX_FRAME_SIZE, PAYLOAD_MAX..=0xff_ffff) => self.payload_max = value,
            (MAX_HEADER_LIST_SIZE, _) => self.head_bytes_max = value,
            // RFC 8441 section 3: once given it is not taken back.
            (ENABLE_CONNECT_PROTOCOL, 0) if !self.extended_connect => {}
            (ENABLE_CONNECT_PROTOCOL, 1) => self.extended_connect = true,
            (ENABLE_PUSH | MAX_FRAME_SIZE | ENABLE_CONNECT_PROTOCOL, _) => {
                return Err(Error::protocol(Reason::Setting));
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(u16, u32)], from_server: bool) -> Result<Announced, Code> {
        let mut payload = Vec::new();
        for (id, value) in settings {
            payload.extend_from_slice(&id.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        let mut announced = Announced::INITIAL;
        let read = announced.read(&payload, from_server);
        read.map(|()| announced).map_err(|error| error.code)
    }

    #[test]
    fn h02_values() {
        for (id, value, expect) in [
            (INITIAL_WINDOW_SIZE, WINDOW_MAX, Ok(())),
            (INITIAL_WINDOW_SIZE, 1 << 31, Err(Code::FLOW_CONTROL_ERROR)),
            (MAX_FRAME_SIZE, 1 << 14, Ok(())),
            (MAX_FRAME_SIZE, (1 << 14) - 1, Err(Code::PROTOCOL_ERROR)),
            (MAX_FRAME_SIZE, (1 << 24) - 1, Ok(())),
            (MAX_FRAME_SIZE, 1 << 24, Err(Code::PROTOCOL_ERROR)),
            (ENABLE_PUSH, 1, Ok(())),
            (ENABLE_PUSH, 2, Err(Code::PROTOCOL_ERROR)),
            (ENABLE_CONNECT_PROTOCOL, 2, Err(Code::PROTOCOL_ERROR)),
        ] {
            assert_eq!(
                read(&[(id, value)], false).map(drop),
                expect,
                "{id} {value}"
            );
        }
        let push = read(&[(ENABLE_PUSH, 1)], true);
        assert_eq!(push, Err(Code::PROTOCOL_ERROR));
        let back = read(
            &[(ENABLE_CONNECT_PROTOCOL, 1), (ENABLE_CONNECT_PROTOCOL, 0)],
            true,
        );
        assert_eq!(back, Err(Code::PROTOCOL_ERROR));
    }

    #[test]
    fn h13_unknown_settings_are_ignored() {
        assert_eq!(
            read(&[(0, 1), (7, 1), (0xff, u32::MAX)], true),
            Ok(Announced::INITIAL)
        );
        let cut = Announced::INITIAL.clone().read(&[0; 5], true);
        assert_eq!(cut.map_err(|error| error.code), Err(Code::FRAME_SIZE_ERROR));
    }

    #[test]
    fn ours_are_read_as_they_are_meant() {
        let ours = Settings {
            extended_connect: true,
            ..Settings::default()
        };
        let mut out = Vec::new();
        ours.put(false, &mut out);
        let len = usize::from(out[2]);
        let mut announced = Announced::INITIAL;
        announced.read(&out[9..9 + len], true).unwrap();
        assert_eq!(announced.streams_max, ours.streams_max);
        assert_eq!(announced.stream_window, ours.stream_window);
        assert_eq!(announced.head_bytes_max, ours.head_bytes_max);
        assert!(announced.extended_connect);
        assert_eq!(out.len(), 9 + len + 9 + 4);
    }
}
