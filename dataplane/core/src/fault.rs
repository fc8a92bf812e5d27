//! Why something failed: side, cause, scope. A fault is a value; `reply.rs` turns it into an answer
//! and `retry.rs` decides whether it may be tried again.

use crate::http::Refusal;
use crate::tls::Failure;

/// Whose doing it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The client.
    Downstream,
    /// The origin.
    Upstream,
    /// Penstock or its configuration.
    Local,
}

/// What is lost by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// One exchange; the connection can go on.
    Exchange,
    /// The connection too.
    Connection,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// The message breaks a rule of the protocol or a limit of ours.
    Malformed(Refusal),
    /// The head did not arrive in time.
    HeadTimeout,
    /// The whole request did not arrive in time.
    RequestTimeout,
    /// The exchange took longer than it may in all.
    StreamDuration,
    /// No byte moved for too long.
    IdleTimeout,
    /// The route's timeout passed before the response was complete.
    RouteTimeout,
    /// No virtual host or route matches.
    NoRoute,
    /// The route names a cluster that is not configured; the status to answer with.
    NoCluster(u16),
    /// The client offers to switch to a protocol that the route does not allow.
    UpgradeRefused,
    /// The cluster has no endpoint to offer.
    NoHealthyEndpoint,
    /// A circuit-breaker threshold is reached.
    Overflow,
    /// The connection was refused or could not be made.
    ConnectFailed,
    /// The connection was not made in time.
    ConnectTimeout,
    /// The connection was reset.
    Reset,
    /// The connection ended before the message did.
    Ended,
    /// This worker is out of buffers or connection slots.
    Exhausted,
    /// TLS failed on the connection.
    Tls(Failure),
}

impl From<Failure> for Cause {
    fn from(failure: Failure) -> Self {
        Self::Tls(failure)
    }
}

/// A failure on the path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Whose doing.
    pub side: Side,
    /// What.
    pub cause: Cause,
    /// How far.
    pub scope: Scope,
}

impl Fault {
    /// No buffer, slot or room left.
    pub const EXHAUSTED: Self = Self::local(Cause::Exhausted);

    /// What this worker or its configuration cannot do; costs the connection.
    pub const fn local(cause: Cause) -> Self {
        Self::connection(Side::Local, cause)
    }

    /// A fault of one exchange.
    pub const fn exchange(side: Side, cause: Cause) -> Self {
        Self {
            side,
            cause,
            scope: Scope::Exchange,
        }
    }

    /// A fault that costs the connection.
    pub const fn connection(side: Side, cause: Cause) -> Self {
        Self {
            side,
            cause,
            scope: Scope::Connection,
        }
    }
}
