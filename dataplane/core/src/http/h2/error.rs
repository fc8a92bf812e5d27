//! Error codes of the protocol, and why a connection is given up.

/// An error code (RFC 9113 section 7). Unknown ones pass as they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Code(pub u32);

#[rustfmt::skip]
#[expect(missing_docs, reason = "the names are those of RFC 9113 section 7")]
impl Code {
    pub const NO_ERROR: Self = Self(0);
    pub const PROTOCOL_ERROR: Self = Self(1);
    pub const INTERNAL_ERROR: Self = Self(2);
    pub const FLOW_CONTROL_ERROR: Self = Self(3);
    pub const SETTINGS_TIMEOUT: Self = Self(4);
    pub const STREAM_CLOSED: Self = Self(5);
    pub const FRAME_SIZE_ERROR: Self = Self(6);
    pub const REFUSED_STREAM: Self = Self(7);
    pub const CANCEL: Self = Self(8);
    pub const COMPRESSION_ERROR: Self = Self(9);
    pub const CONNECT_ERROR: Self = Self(10);
    pub const ENHANCE_YOUR_CALM: Self = Self(11);
    pub const INADEQUATE_SECURITY: Self = Self(12);
    pub const HTTP_1_1_REQUIRED: Self = Self(13);
}

/// Declares reasons with the label that their counter carries.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $label:literal,)*) => {
        /// Why a connection or stream was refused by us. The label is a bounded set.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum Reason {
            $($(#[$doc])* $variant,)*
        }

        impl Reason {
            /// All reasons in the order of their discriminants.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant,)*];

            /// Label of the counter `penstock_protocol_errors_total{reason}`.
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }
        }
    };
}

reasons! {
    /// H01: the connection does not begin with the preface and SETTINGS.
    Preface = "h2_preface",
    /// H01: length of a frame.
    FrameSize = "h2_frame_size",
    /// H02: a setting's value.
    Setting = "h2_setting",
    /// H03: a stream id where it may not be, or a frame on an idle stream.
    StreamId = "h2_stream_id",
    /// H03, B18: a pushed stream.
    Push = "h2_push",
    /// H04: a frame inside of a header block, or CONTINUATION outside.
    HeaderBlock = "h2_header_block",
    /// H05: DATA or HEADERS behind the end of a stream.
    StreamClosed = "h2_stream_closed",
    /// H06: padding longer than the payload.
    Padding = "h2_padding",
    /// H07: WINDOW_UPDATE of nothing, or beyond the largest window.
    Window = "h2_window",
    /// H08: DATA beyond the window.
    FlowControl = "h2_flow_control",
    /// H09: PRIORITY of a wrong length, or of a stream on itself.
    Priority = "h2_priority",
    /// H10: a header block that cannot be decoded.
    Compression = "h2_compression",
    /// H11: a malformed head or trailers, or DATA that is not what they announced.
    Malformed = "h2_malformed",
    /// H12: more streams than we allow, or more memory for heads.
    Refused = "h2_refused_stream",
    /// B01, B02: streams that were opened for nothing.
    Resets = "h2_resets",
    /// B04-B06: a header block without end.
    HeaderFlood = "h2_header_flood",
    /// B08, B15, H13: frames without progress.
    Frames = "h2_frames_without_progress",
    /// B09: replies that the other side does not read.
    Outbound = "h2_outbound_flood",
    /// B10: empty frames in a row.
    Empty = "h2_empty_frames",
    /// B11: tiny DATA frames.
    SmallData = "h2_small_data",
    /// B13: WINDOW_UPDATE without end.
    WindowUpdates = "h2_window_updates",
    /// Given up by the caller.
    Local = "h2_local",
}

/// A connection is lost. GOAWAY with the code stands in its output already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Error {
    /// What the other side is told.
    pub code: Code,
    /// What is counted.
    pub reason: Reason,
}

impl Error {
    pub(crate) const fn new(code: Code, reason: Reason) -> Self {
        Self { code, reason }
    }

    pub(crate) const fn protocol(reason: Reason) -> Self {
        Self::new(Code::PROTOCOL_ERROR, reason)
    }

    /// Too much of something that is allowed in measure.
    pub(crate) const fn calm(reason: Reason) -> Self {
        Self::new(Code::ENHANCE_YOUR_CALM, reason)
    }
}
