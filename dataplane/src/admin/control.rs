//! What the administration interface may ask of the process, and the two things it may make it do.
//!
//! The boot code implements [`Control`]; no other way leads from the admin server into the process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use penstock_core::config::Snapshot;
use penstock_core::stats::{DnsCounters, PerWorker, WorkerStats};
use penstock_proto::envoy::config::bootstrap::v3::Bootstrap;

/// Where the process is in its life, in Envoy's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Listeners are not all bound, or a worker has no configuration yet.
    PreInitializing,
    /// Serving.
    Live,
    /// A drain has begun; nothing new is taken.
    Draining,
}

impl State {
    /// The word of `/ready` and `/server_info`.
    pub fn as_str(self) -> &'static str {
        match self {
            State::PreInitializing => "PRE_INITIALIZING",
            State::Live => "LIVE",
            State::Draining => "DRAINING",
        }
    }
}

/// A listener and the address that it is bound to (port 0 resolved).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listening {
    /// Name of the listener.
    pub name: Box<str>,
    /// Where it listens.
    pub address: SocketAddr,
}

/// The bootstrap that is in force.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// As read, defaults not filled in.
    pub bootstrap: Arc<Bootstrap>,
    /// When it was applied.
    pub at: SystemTime,
}

/// The process, as the admin server sees it.
///
/// Every method is called on the admin thread, often, and must return at once: no method waits for
/// a worker. `drain` and `quit` only pass the wish on.
pub trait Control: Send + Sync {
    /// Where the process is in its life.
    fn state(&self) -> State;
    /// The configuration that the workers have or are about to take.
    fn snapshot(&self) -> Arc<Snapshot>;
    /// Counters of the workers.
    fn workers(&self) -> Arc<PerWorker<WorkerStats>>;
    /// Listeners and where they are bound, without the admin interface itself.
    fn listening(&self) -> Vec<Listening>;
    /// The bootstrap in force; `None` before the first one is applied.
    fn loaded(&self) -> Option<Loaded>;
    /// Counters of the name lookups; `None` while there are none.
    fn dns(&self) -> Option<Arc<DnsCounters>>;
    /// Begins a drain: readiness fails, listeners close, open exchanges finish. The process stays.
    fn drain(&self);
    /// Ends the process as SIGTERM does.
    fn quit(&self);
}
