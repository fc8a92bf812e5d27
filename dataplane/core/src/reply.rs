//! The one table that turns a fault into an answer: status, log flag, details.

use crate::access_log::Flags;
use crate::fault::{Cause, Fault, Side};
use crate::http::Refusal;

/// What the client is told when Penstock answers by itself because something failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reply {
    /// Status; 0 means that nothing is sent and the connection is closed.
    pub status: u16,
    /// Response flag of the access log.
    pub flags: Flags,
    /// `%RESPONSE_CODE_DETAILS%`.
    pub details: &'static str,
    /// Body.
    pub body: &'static str,
}

const fn reply(status: u16, flags: Flags, details: &'static str, body: &'static str) -> Reply {
    Reply {
        status,
        flags,
        details,
        body,
    }
}

/// The answer to a fault, provided no response head has left yet.
pub fn reply_to(fault: Fault) -> Reply {
    match (fault.side, fault.cause) {
        (Side::Downstream, Cause::Malformed(refusal)) => downstream_refusal(refusal),
        (_, Cause::Malformed(refusal)) => reply(
            502,
            Flags::UPSTREAM_PROTOCOL_ERROR,
            refusal.label(),
            "upstream response breaks the protocol",
        ),
        (_, Cause::HeadTimeout) => reply(
            408,
            Flags::default(),
            "request_header_timeout",
            "request head too slow",
        ),
        (_, Cause::RequestTimeout) => reply(
            408,
            Flags::default(),
            "request_overall_timeout",
            "request too slow",
        ),
        // As in Envoy: 408 while the client still sends, 504 afterwards.
        (Side::Downstream, Cause::StreamDuration) => reply(
            408,
            Flags::default(),
            "max_duration_timeout",
            "exchange took too long",
        ),
        (_, Cause::StreamDuration) => reply(
            504,
            Flags::default(),
            "max_duration_timeout",
            "exchange took too long",
        ),
        (Side::Downstream, Cause::IdleTimeout) => reply(
            408,
            Flags::STREAM_IDLE_TIMEOUT,
            "stream_idle_timeout",
            "stream timeout",
        ),
        (_, Cause::IdleTimeout) => reply(
            504,
            Flags::STREAM_IDLE_TIMEOUT,
            "stream_idle_timeout",
            "stream timeout",
        ),
        (_, Cause::RouteTimeout) => reply(
            504,
            Flags::UPSTREAM_TIMEOUT,
            "response_timeout",
            "upstream request timeout",
        ),
        (_, Cause::NoRoute) => reply(404, Flags::NO_ROUTE, "route_not_found", ""),
        (_, Cause::UpgradeRefused) => reply(403, Flags::default(), "upgrade_failed", ""),
        (_, Cause::NoCluster(status)) => reply(status, Flags::NO_CLUSTER, "cluster_not_found", ""),
        (_, Cause::NoHealthyEndpoint) => reply(
            503,
            Flags::NO_HEALTHY_UPSTREAM,
            "no_healthy_upstream",
            "no healthy upstream",
        ),
        (Side::Upstream, Cause::Overflow) => reply(
            503,
            Flags::UPSTREAM_OVERFLOW,
            "upstream_overflow",
            "upstream overflow",
        ),
        (_, Cause::Overflow | Cause::Exhausted) => {
            reply(503, Flags::OVERLOAD, "overload", "gateway overloaded")
        }
        (_, Cause::ConnectFailed) => reply(
            503,
            Flags::UPSTREAM_CONNECTION_FAILURE,
            "upstream_connect_failure",
            "upstream connection failed",
        ),
        // No request was read or sent: with the client there is nobody to answer.
        (Side::Downstream, Cause::Tls(failure)) => reply(0, Flags::default(), failure.label(), ""),
        (_, Cause::Tls(failure)) => reply(
            503,
            Flags::UPSTREAM_CONNECTION_FAILURE,
            failure.label(),
            "TLS with the origin failed",
        ),
        (_, Cause::ConnectTimeout) => reply(
            503,
            Flags::UPSTREAM_CONNECTION_FAILURE,
            "upstream_connect_timeout",
            "upstream connection timed out",
        ),
        (Side::Downstream, Cause::Reset | Cause::Ended) => reply(
            0,
            Flags::DOWNSTREAM_TERMINATION,
            "downstream_remote_disconnect",
            "",
        ),
        (_, Cause::Reset) => reply(
            503,
            Flags::UPSTREAM_TERMINATION,
            "upstream_reset_before_response_started",
            "upstream reset before response",
        ),
        (_, Cause::Ended) => reply(
            503,
            Flags::UPSTREAM_TERMINATION,
            "upstream_closed_before_response_started",
            "upstream closed before response",
        ),
    }
}

fn downstream_refusal(refusal: Refusal) -> Reply {
    let (status, body) = match refusal {
        Refusal::HeadBytes => (431, "request head too large"),
        Refusal::HeadFields => (431, "too many request fields"),
        Refusal::TargetLength => (414, "request target too long"),
        Refusal::TransferCoding => (501, "transfer coding not implemented"),
        Refusal::Expect => (417, "expectation not supported"),
        Refusal::Version => (505, "version not supported"),
        Refusal::Http10 => (426, "HTTP/1.1 required"),
        Refusal::Truncated => (0, ""),
        _ => (400, "malformed request"),
    };
    reply(
        status,
        Flags::DOWNSTREAM_PROTOCOL_ERROR,
        refusal.label(),
        body,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_a_request_is_a_client_error_or_silence() {
        for refusal in Refusal::ALL {
            let reply = reply_to(Fault::connection(
                Side::Downstream,
                Cause::Malformed(*refusal),
            ));
            assert!(
                matches!(reply.status, 0 | 400..=431 | 501 | 505),
                "{refusal:?}: {reply:?}"
            );
            let reply = reply_to(Fault::connection(
                Side::Upstream,
                Cause::Malformed(*refusal),
            ));
            assert_eq!(reply.status, 502, "{refusal:?}");
        }
    }
}
