//! Every bound of the core in one place, with the relations between them.
//!
//! Values are starting points; where an xDS field sets one, the field wins.

use std::time::Duration;

use crate::buffer::{HEADROOM, TAILROOM};

/// Bytes that one buffer receives.
pub const BUFFER_PAYLOAD: usize = 16 * 1024;
/// Buffers per worker.
pub const BUFFERS_PER_WORKER: usize = 4096;
/// Buffers that are not for receiving: drivers leave half of them in the pool for heads and answers
/// that the core writes itself.
pub const BUFFERS_RESERVED: usize = 64;

/// What a buffer that waits to be sent counts at least against a watermark in bytes.
pub const BUFFER_CHARGE_MIN: usize = 1024;

/// Bytes of a message head (`max_request_headers_kb`, `max_response_headers_kb`).
pub const HEAD_BYTES_MAX: usize = 60 * 1024;
/// Fields of a message head (`max_headers_count`).
pub const HEAD_FIELDS_MAX: usize = 100;
/// Largest `max_headers_count` that is accepted.
pub const HEAD_FIELDS_CEILING: usize = 1024;
/// Bytes of a method (T02).
pub const METHOD_BYTES_MAX: usize = 32;
/// Bytes of a request target (T04).
pub const TARGET_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a request line without its CRLF: method, target, version and two spaces.
pub const REQUEST_LINE_BYTES_MAX: usize =
    METHOD_BYTES_MAX + 1 + TARGET_BYTES_MAX + 1 + b"HTTP/1.1".len();
/// Names that Connection may list in one head, so that removing them costs a bounded number of
/// steps.
pub const CONNECTION_NAMES_MAX: usize = 32;
/// Bytes of trailers (F12).
pub const TRAILER_BYTES_MAX: usize = 8 * 1024;
/// Trailer fields (F12).
pub const TRAILER_FIELDS_MAX: usize = 32;
/// Bytes of chunk extensions in one line (F10).
pub const CHUNK_EXTENSION_BYTES_MAX: usize = 256;
/// Bytes of chunk extensions in one message (F10).
pub const CHUNK_EXTENSIONS_TOTAL_MAX: usize = 16 * 1024;
/// Hexadecimal digits of a chunk size (F08).
pub const CHUNK_SIZE_DIGITS_MAX: usize = 16;
/// Interim responses per exchange (R07).
pub const INTERIM_RESPONSES_MAX: u8 = 8;
/// Bytes that a connection drops while it waits for the client to see an early answer (C01); what
/// comes behind them is not read.
pub const LINGER_BYTES_MAX: u64 = 1024 * 1024;

/// Bytes of a PROXY line of version 1 with its CRLF (P03).
pub const PROXY_LINE_BYTES_MAX: usize = 107;
/// Bytes of a PROXY header of version 2 (P03).
pub const PROXY_V2_BYTES_MAX: usize = 4 * 1024;
/// Bytes of the UNIQUE_ID of a PROXY header; the specification's own bound.
pub const PROXY_UNIQUE_ID_BYTES_MAX: usize = 128;

/// Bytes of a ClientHello with the headers of its records and messages: what is looked at before
/// TLS is begun, and what a client may send before it is answered.
pub const CLIENT_HELLO_BYTES_MAX: usize = 16 * 1024;

/// Bytes of handshake messages that wait to be complete; rustls takes no message above 64 KiB.
pub const TLS_HANDSHAKE_BYTES_MAX: usize = 64 * 1024 + 1024;
/// Bytes of a message behind the handshake: a session ticket or a key update.
pub const TLS_TICKET_BYTES_MAX: usize = 16 * 1024;
/// Records without content, warnings and key updates that may follow each other.
pub const TLS_IDLE_RECORDS_MAX: u8 = 32;
/// Bytes of an incomplete record that are kept apart instead of holding a buffer for them.
pub const TLS_KEPT_APART_MAX: usize = 256;
/// Sessions that one worker remembers for one upstream TLS configuration.
pub const TLS_SESSIONS_MAX: usize = 256;

/// Header additions, and as many removals, of one level of a route configuration; as in Envoy.
pub const EDITS_PER_LEVEL_MAX: usize = 1000;
/// Bytes that the additions of one level may come to in one message.
pub const EDIT_BYTES_MAX: usize = HEAD_BYTES_MAX;
/// Bytes of a text that a matcher looks for inside a value.
pub const MATCH_TEXT_BYTES_MAX: usize = 1024;
/// Bytes of one compiled regular expression of a configuration (O03).
pub const REGEX_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a compiled set of regular expressions, and of what one search in it may cache.
pub const REGEX_SET_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of a format string, and of a JSON format with all its fields.
pub const FORMAT_BYTES_MAX: usize = 64 * 1024;
/// Levels of objects and lists in a JSON format.
pub const FORMAT_DEPTH_MAX: usize = 16;

/// Bytes of a body still to come from which on a driver may move them from kernel to kernel: for
/// fewer, setting that up costs more than copying them.
pub const RELAY_BYTES_MIN: u64 = 32 * 1024;

/// Relays of one worker; each holds a pipe. More bodies than that pass through buffers.
pub const RELAYS_PER_WORKER_MAX: usize = 64;

/// Connections of one worker, both sides; also bounds slab slots.
pub const CONNECTIONS_PER_WORKER: usize = 1 << 17;

// A chunk line in front (16 digits, CRLF) and the closing bytes behind must always fit.
const _: () = assert!(HEADROOM >= CHUNK_SIZE_DIGITS_MAX + 2);
const _: () = assert!(TAILROOM >= b"\r\n0\r\n\r\n".len());
const _: () = assert!(TLS_KEPT_APART_MAX <= HEADROOM);
const _: () = assert!(REQUEST_LINE_BYTES_MAX < HEAD_BYTES_MAX);
const _: () = assert!(HEAD_FIELDS_MAX <= HEAD_FIELDS_CEILING);
const _: () = assert!(BUFFERS_RESERVED * 4 <= BUFFERS_PER_WORKER);

/// Bytes of one worker's connections that were received and cannot be parsed yet: heads that are
/// not complete, pipelined requests. Above it those that hold most are given up.
pub const AHEAD_BYTES_PER_WORKER: usize = 32 * 1024 * 1024;
/// Connections that are looked at for one that holds more than another would.
pub const AHEAD_SEARCH_MAX: u32 = 256;
/// Bytes of access-log lines that wait for the worker to take them at the end of its turn.
pub const LOG_BYTES_MAX: usize = 1024 * 1024;
/// Finished exchanges whose memory is kept for the next ones.
pub const SPARE_EXCHANGES_MAX: usize = 1024;
/// Memory of one exchange's heads that is kept when the exchange is reused.
pub const SPARE_EXCHANGE_BYTES_MAX: usize = 16 * 1024;
/// How long a peer may read nothing of what is due before its connection is cut (S06).
pub const FLUSH_TIMEOUT: Duration = Duration::from_secs(60);
/// How long an idle connection stays open when draining: a request may already be on its way.
pub const DRAIN_IDLE_GRACE: Duration = Duration::from_millis(500);

/// Endpoints of one worker, those included that left the configuration and are still in use.
pub const ENDPOINTS_PER_WORKER: usize = 1 << 20;
/// Idle upstream connections of one worker to one endpoint.
pub const IDLE_PER_ENDPOINT_MAX: usize = 4096;
/// Idle upstream connections of one worker.
pub const IDLE_PER_WORKER_MAX: usize = 1 << 15;
/// Exchanges of one worker that wait for a connection.
pub const WAITING_PER_WORKER_MAX: usize = 1 << 16;

const _: () = assert!(IDLE_PER_ENDPOINT_MAX <= IDLE_PER_WORKER_MAX);
const _: () = assert!(IDLE_PER_WORKER_MAX < CONNECTIONS_PER_WORKER);
const _: () = assert!(WAITING_PER_WORKER_MAX <= CONNECTIONS_PER_WORKER);
/// How often the pace of a request body is looked at, and what must have come meanwhile (S04: 240
/// B/s).
pub const PACE_INTERVAL: Duration = Duration::from_secs(20);
/// See [`PACE_INTERVAL`].
pub const PACE_BYTES_MIN: u64 = 240 * 20;

/// Streams of one HTTP/2 connection that may be open (`max_concurrent_streams`, edge value).
pub const H2_STREAMS_MAX: u32 = 100;
/// Bytes that may come on one stream before any is used up (`initial_stream_window_size`, edge).
pub const H2_STREAM_WINDOW: u32 = 64 * 1024;
/// What that window may grow to while it slows the sender down.
pub const H2_STREAM_WINDOW_MAX: u32 = 1024 * 1024;
/// The same for all streams of a connection (`initial_connection_window_size`, edge): the memory
/// that the bodies of one connection can take (B05).
pub const H2_CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What that window may grow to.
pub const H2_CONNECTION_WINDOW_MAX: u32 = 1024 * 1024;
/// Bytes of an HPACK table, each way (B06, `hpack_table_size`).
pub const H2_TABLE_SIZE: u32 = 4096;
/// Frames of one header block (B04).
pub const H2_BLOCK_FRAMES_MAX: u8 = 16;
/// Encoded bytes of one header block (B04).
pub const H2_BLOCK_BYTES_MAX: usize = 64 * 1024;
/// Decoded bytes and fields of a block that is refused already, from which on the connection is
/// given up: refusing must not cost more than serving.
pub const H2_REFUSED_BYTES_MAX: usize = 256 * 1024;
/// See [`H2_REFUSED_BYTES_MAX`].
pub const H2_REFUSED_FIELDS_MAX: usize = 4096;
/// Decoded bytes of the heads of all streams that a connection has open (B05).
pub const H2_HEADS_BYTES_MAX: u32 = 1024 * 1024;
/// Closed streams that a connection remembers, so that frames that were on their way are told from
/// frames that are wrong.
pub const H2_CLOSED_MAX: usize = 128;
/// Streams that may be reset at once (`stream_reset_burst`; B01, B02).
pub const H2_RESET_BURST: u32 = 1000;
/// Streams that may be reset per second (`stream_reset_rate`).
pub const H2_RESET_RATE: u32 = 33;
/// Frames without progress that may come at once (B08, B10, B15, H13).
pub const H2_QUIET_BURST: u32 = 1000;
/// Frames without progress that may come per second; one more for each frame with progress, so
/// that the pings of clients that measure the path on each answer do not end their connection.
pub const H2_QUIET_RATE: u32 = 33;
/// DATA of fewer bytes is small, unless it ends the stream (B11).
pub const H2_SMALL_DATA: u32 = 256;
/// Small DATA frames that each stream may have for nothing: one message of a call, or a few.
pub const H2_SMALL_DATA_FREE: u8 = 8;
/// Small DATA frames beyond those that may come at once, and per second. Streams of small messages
/// look like this; it bounds what they cost a core.
pub const H2_SMALL_DATA_BURST: u32 = 50_000;
/// See [`H2_SMALL_DATA_BURST`].
pub const H2_SMALL_DATA_RATE: u32 = 50_000;
/// Empty frames in a row (B10, `max_consecutive_inbound_frames_with_empty_payload`).
pub const H2_EMPTY_IN_A_ROW_MAX: u8 = 1;
/// WINDOW_UPDATE frames for each DATA frame that we sent (B13,
/// `max_inbound_window_update_frames_per_data_frame_sent`).
pub const H2_WINDOW_UPDATES_PER_DATA: u64 = 10;
/// PRIORITY frames for each stream (B15, `max_inbound_priority_frames_per_stream`).
pub const H2_PRIORITIES_PER_STREAM: u64 = 100;
/// Replies that wait for the other side to read them (B08, `max_outbound_control_frames`).
pub const H2_OUTBOUND_CONTROL_MAX: u32 = 1000;
/// A window that ran empty must open by so much before DATA is sent again (B12).
pub const H2_DATA_MIN: u32 = 1024;
/// Bytes of output that a connection keeps the memory of.
pub const H2_OUTPUT_KEPT: usize = 16 * 1024;

const _: () = assert!(H2_STREAM_WINDOW <= H2_STREAM_WINDOW_MAX);
const _: () = assert!(H2_CONNECTION_WINDOW <= H2_CONNECTION_WINDOW_MAX);
const _: () = assert!(H2_STREAM_WINDOW_MAX <= H2_CONNECTION_WINDOW_MAX);
const _: () = assert!(H2_CONNECTION_WINDOW_MAX < 1 << 31);
const _: () = assert!(HEAD_BYTES_MAX <= H2_BLOCK_BYTES_MAX);
const _: () = assert!(HEAD_BYTES_MAX < H2_REFUSED_BYTES_MAX);
const _: () = assert!(HEAD_FIELDS_CEILING < H2_REFUSED_FIELDS_MAX);
const _: () = assert!(HEAD_BYTES_MAX < H2_HEADS_BYTES_MAX as usize);
// A whole block fits the frames that it may have, at the smallest size of frames.
const _: () = assert!(H2_BLOCK_BYTES_MAX <= H2_BLOCK_FRAMES_MAX as usize * 16_384);
// As many streams as may be open can be reset at once by a client that goes away.
const _: () = assert!(H2_STREAMS_MAX <= H2_RESET_BURST);
const _: () = assert!(H2_STREAMS_MAX as usize <= H2_CLOSED_MAX);
