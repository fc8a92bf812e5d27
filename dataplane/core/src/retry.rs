//! May a fault be tried again, and where.
//!
//! Only one case is served: a pooled connection that the origin closed just as a request was
//! written to it. The request is sent once more, on a fresh connection (RFC 9110 section 9.2.2, RFC
//! 9112 section 9.3.1): only if it is idempotent, has no body, and no byte of a response was seen.

use crate::fault::{Cause, Fault, Side};
use crate::http::Method;

/// What a decision needs to know of the exchange.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// The method.
    pub method: Method,
    /// The connection had served a request before.
    pub reused: bool,
    /// The request has a body.
    pub has_body: bool,
    /// A byte of the response has arrived.
    pub response_begun: bool,
    /// Times the request was sent.
    pub attempts: u8,
}

/// True if the request may be sent again on a fresh connection.
pub fn may_resend(fault: Fault, attempt: Attempt) -> bool {
    fault.side == Side::Upstream
        && matches!(fault.cause, Cause::Reset | Cause::Ended)
        && attempt.reused
        && attempt.attempts == 1
        && attempt.method.is_idempotent()
        && !attempt.has_body
        && !attempt.response_begun
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALE: Attempt = Attempt {
        method: Method::Get,
        reused: true,
        has_body: false,
        response_begun: false,
        attempts: 1,
    };

    #[test]
    fn only_a_stale_pooled_connection_allows_it() {
        let reset = Fault::connection(Side::Upstream, Cause::Reset);
        assert!(may_resend(reset, STALE));
        assert!(may_resend(
            Fault::connection(Side::Upstream, Cause::Ended),
            STALE
        ));
        let refused = [
            Attempt {
                method: Method::Post,
                ..STALE
            },
            Attempt {
                reused: false,
                ..STALE
            },
            Attempt {
                has_body: true,
                ..STALE
            },
            Attempt {
                response_begun: true,
                ..STALE
            },
            Attempt {
                attempts: 2,
                ..STALE
            },
        ];
        assert!(
            refused
                .into_iter()
                .all(|attempt| !may_resend(reset, attempt))
        );
        let timeout = Fault::exchange(Side::Upstream, Cause::RouteTimeout);
        assert!(!may_resend(timeout, STALE));
        assert!(!may_resend(
            Fault::connection(Side::Downstream, Cause::Reset),
            STALE
        ));
    }
}
