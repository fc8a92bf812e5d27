//! The configuration as the core sees it: one immutable [`Snapshot`] per generation.
//!
//! `translate` makes it from xDS resources off the data cores; everything is resolved to ids, so
//! that nothing is looked up by name on the path (but for `cluster_header`, which asks for it). Ids
//! are stable: the same resource has the same id in every generation, so state that outlives
//! snapshots is keyed by them.

pub mod access_log;
pub mod chain;
pub mod cluster;
pub mod expression;
pub mod listener;
pub mod route;

use std::collections::HashMap;
use std::sync::Arc;

pub use access_log::{AccessLog, SinkId};
pub use chain::{Chain, ChainId, ChainIndex, Chains, Service};
pub use cluster::{Cluster, ClusterId, Endpoint, EndpointId};
pub use listener::{Http, Listener, ListenerId};

/// One configuration generation. Shared by all workers, never changed.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Counts up with every applied configuration.
    pub generation: u64,
    /// Indexed by [`ListenerId`]; `None` where a listener was removed.
    pub listeners: Vec<Option<Arc<Listener>>>,
    /// Indexed by [`ClusterId`]; `None` where a cluster was removed.
    pub clusters: Vec<Option<Arc<Cluster>>>,
    /// For `cluster_header` and the admin interface.
    pub cluster_ids: HashMap<Box<str>, ClusterId>,
}

impl Snapshot {
    /// The listener, if it is configured.
    #[inline]
    pub fn listener(&self, id: ListenerId) -> Option<&Arc<Listener>> {
        self.listeners.get(id.0 as usize)?.as_ref()
    }

    /// Where a chain of a listener stands, if both are configured.
    #[inline]
    pub fn chain(&self, listener: ListenerId, chain: ChainId) -> Option<ChainIndex> {
        self.listener(listener)?.chains.find(chain)
    }

    /// The HTTP settings of the chain that stands there, if it serves HTTP.
    #[inline]
    pub fn http(&self, listener: ListenerId, chain: ChainIndex) -> Option<&Arc<Http>> {
        self.listener(listener)?.chains.at(chain)?.http()
    }

    /// The cluster, if it is configured.
    #[inline]
    pub fn cluster(&self, id: ClusterId) -> Option<&Arc<Cluster>> {
        self.clusters.get(id.0 as usize)?.as_ref()
    }
}
