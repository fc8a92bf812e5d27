//! The record that an exchange leaves, and the facts that formats are filled from.

use core::net::SocketAddr;

use crate::config::SinkId;
use crate::event::Time;
use crate::http::{Fields, RequestHead, ResponseHead, Version};

/// Response flags as in Envoy's `%RESPONSE_FLAGS%`; a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags(u32);

/// Declares flags: constant, short code, long code.
macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $short:literal, $long:literal;)*) => {
        impl Flags {
            $($(#[$doc])* pub const $name: Flags = Flags(1 << $bit);)*

            /// Every flag with its short and long code.
            pub const ALL: &'static [(Flags, &'static str, &'static str)] =
                &[$((Flags::$name, $short, $long),)*];
        }
    };
}

flags! {
    /// No healthy endpoint.
    NO_HEALTHY_UPSTREAM = 0, "UH", "NoHealthyUpstream";
    /// Connection to the origin failed.
    UPSTREAM_CONNECTION_FAILURE = 1, "UF", "UpstreamConnectionFailure";
    /// Circuit breaker.
    UPSTREAM_OVERFLOW = 2, "UO", "UpstreamOverflow";
    /// No route.
    NO_ROUTE = 3, "NR", "NoRouteFound";
    /// The route names an unknown cluster.
    NO_CLUSTER = 4, "NC", "NoClusterFound";
    /// Route timeout.
    UPSTREAM_TIMEOUT = 5, "UT", "UpstreamRequestTimeout";
    /// The client went away.
    DOWNSTREAM_TERMINATION = 6, "DC", "DownstreamConnectionTermination";
    /// The origin closed in mid response.
    UPSTREAM_TERMINATION = 7, "UC", "UpstreamConnectionTermination";
    /// The origin reset.
    UPSTREAM_RESET = 8, "UR", "UpstreamRemoteReset";
    /// The request breaks the protocol.
    DOWNSTREAM_PROTOCOL_ERROR = 9, "DPE", "DownstreamProtocolError";
    /// The response breaks the protocol.
    UPSTREAM_PROTOCOL_ERROR = 10, "UPE", "UpstreamProtocolError";
    /// Stream idle timeout.
    STREAM_IDLE_TIMEOUT = 11, "SI", "StreamIdleTimeout";
    /// Penstock reset the exchange.
    LOCAL_RESET = 12, "LR", "LocalReset";
    /// Overload.
    OVERLOAD = 13, "OM", "OverloadManagerTerminated";
}

impl Flags {
    /// Adds the flags of `other`.
    pub fn insert(&mut self, other: Flags) {
        self.0 |= other.0;
    }

    /// True if all of `other` are in it.
    pub fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// True if none is set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Numbers and addresses of one exchange.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// First byte of the request head, nanoseconds since the UNIX epoch.
    pub start_wall: u64,
    /// First byte of the request head.
    pub start: Time,
    /// Request complete; [`Time::NEVER`] if it never was.
    pub request_end: Time,
    /// Request head given to the upstream connection.
    pub upstream_start: Time,
    /// First byte of the response from the origin.
    pub response_start: Time,
    /// Last byte of the response handed to the client's connection.
    pub end: Time,
    /// Body bytes received from the client.
    pub bytes_received: u64,
    /// Body bytes sent to the client.
    pub bytes_sent: u64,
    /// Status sent; 0 if none was.
    pub status: u16,
    /// Flags.
    pub flags: Flags,
    /// `%RESPONSE_CODE_DETAILS%`: where the status comes from.
    pub details: &'static str,
    /// Times the request was sent.
    pub attempts: u8,
    /// Version of the request.
    pub version: Version,
    /// The connection's other end.
    pub downstream_direct: SocketAddr,
    /// The client after `x-forwarded-for` was considered.
    pub downstream_remote: SocketAddr,
    /// Our address on the client's connection.
    pub downstream_local: SocketAddr,
    /// The endpoint.
    pub upstream_remote: Option<SocketAddr>,
    /// Our address on the origin's connection.
    pub upstream_local: Option<SocketAddr>,
    /// Number of the client's connection in this process.
    pub connection: u64,
}

/// Everything that an operator of a format may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Head of the request as it is now.
    pub request: &'a RequestHead,
    /// Target as the client sent it, after normalization and before rewrites.
    pub original_target: &'a [u8],
    /// Head of the response, once there is one.
    pub response: Option<&'a ResponseHead>,
    /// Trailers of the response.
    pub trailers: Option<&'a Fields>,
    /// Numbers.
    pub record: &'a Record,
    /// Name of the listener.
    pub listener: &'a str,
    /// Name of the route; empty if it has none.
    pub route: &'a str,
    /// Name of the virtual host; empty if none matched.
    pub virtual_host: &'a str,
    /// Name of the cluster; empty if none was chosen.
    pub cluster: &'a str,
    /// Host name of this machine.
    pub hostname: &'a str,
}

/// Finished lines that wait to be taken by the worker; bounded, what does not fit is counted.
#[derive(Debug)]
pub struct LogQueue {
    bytes: Vec<u8>,
    lines: Vec<(SinkId, u32)>,
    limit: usize,
}

impl LogQueue {
    /// A queue of at most `limit` bytes of lines.
    pub fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            lines: Vec::new(),
            limit,
        }
    }

    /// Adds one line; false if there was no room for it.
    pub fn push(&mut self, sink: SinkId, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let start = self.bytes.len();
        write(&mut self.bytes);
        if self.bytes.len() > self.limit {
            self.bytes.truncate(start);
            return false;
        }
        self.lines.push((sink, self.bytes.len() as u32));
        true
    }

    /// True if there is no line.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Hands out all lines in order.
    pub fn drain(&mut self, take: &mut dyn FnMut(SinkId, &[u8])) {
        let mut start = 0;
        for (sink, end) in self.lines.drain(..) {
            take(sink, &self.bytes[start..end as usize]);
            start = end as usize;
        }
        self.bytes.clear();
    }
}
