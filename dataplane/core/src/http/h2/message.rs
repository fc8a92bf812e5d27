//! What comes out of a connection, and leave to send a body.

use std::ops::Range;

use super::StreamId;
use super::error::{Code, Reason};
use super::frame::HEADER_LEN;
use crate::http::Refusal;

/// What came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// A head: take it before the next message, by [`super::Connection::take_request`] or
    /// [`super::Connection::take_response`]. A client may get interim responses first.
    Head {
        /// Its stream; new on a server.
        stream: StreamId,
        /// Nothing follows.
        end: bool,
    },
    /// A request that breaks a limit, not the protocol: it is to be answered (431, 414, 417). The
    /// method can be had by [`super::Connection::take_request`], nothing else.
    Refused {
        /// Its stream, which is new.
        stream: StreamId,
        /// The limit.
        refusal: Refusal,
        /// Nothing follows.
        end: bool,
    },
    /// Bytes of a body. They count against both windows until [`super::Connection::consumed`].
    Data {
        /// Its stream.
        stream: StreamId,
        /// Where they stand in the bytes given to [`super::Connection::next`]; may be empty at the
        /// end.
        range: Range<usize>,
        /// Nothing follows.
        end: bool,
    },
    /// Trailers, and with them the end: take them by [`super::Connection::take_trailers`].
    Trailers {
        /// Its stream.
        stream: StreamId,
    },
    /// A stream that the caller knows is over before its end.
    Reset {
        /// Which one.
        stream: StreamId,
        /// With this code.
        code: Code,
        /// Whose doing.
        by: ResetBy,
    },
    /// A stream was refused that the caller never saw; to be counted.
    Rejected {
        /// Which one.
        stream: StreamId,
        /// Why.
        reason: Reason,
        /// The rule that its head broke.
        refusal: Option<Refusal>,
    },
    /// The other side will not serve streams above `last`: [`super::Connection::above`] names ours.
    GoAway {
        /// The last that it served or will serve.
        last: StreamId,
        /// Why.
        code: Code,
    },
    /// DATA may go on: on this stream, or on those that [`super::Connection::poll_writable`] names.
    WindowOpened {
        /// None for the window of the connection.
        stream: Option<StreamId>,
    },
    /// The other side's settings came. They may have opened windows, too.
    Settings,
    /// The other side has our settings.
    Acknowledged,
    /// The answer to [`super::Connection::ping`].
    Pong,
}

/// Whose doing a reset was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResetBy {
    /// The other side sent RST_STREAM.
    Remote,
    /// We did, because the other side broke a rule.
    Fault(Reason, Option<Refusal>),
}

/// Leave to send one DATA frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DataGrant {
    /// Bytes of payload.
    pub len: u32,
    /// What stands in front of them.
    pub header: [u8; HEADER_LEN],
}
