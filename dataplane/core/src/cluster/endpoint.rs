//! What a worker keeps of an endpoint beyond snapshots: where it is and how much it is used.

use core::net::SocketAddr;

use crate::config::{ClusterId, Endpoint, EndpointId};
use crate::limits::ENDPOINTS_PER_WORKER;
use crate::slab::{Key, Slab};

/// An endpoint of this worker. Equal only if slot and generation are.
///
/// Valid from [`pick`](super::Clusters::pick) until the engine next reconciles, and for as long as
/// it is held by a request ([`started`](super::Clusters::started)) or a connection
/// ([`try_connection`](super::Clusters::try_connection)).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EndpointKey(pub(crate) Key);

/// One endpoint as this worker sees it.
#[derive(Debug)]
pub struct EndpointState {
    /// The cluster that it belongs to.
    pub cluster: ClusterId,
    /// Stable id within the cluster.
    pub id: EndpointId,
    /// Where it listens.
    pub address: SocketAddr,
    /// For `auto_host_rewrite`.
    pub hostname: Option<Box<str>>,
    /// Requests of this worker that it is serving.
    pub active: u32,
    /// Connections of this worker to it, idle ones included.
    pub connections: u32,
    /// False once it left the configuration: nothing new goes there.
    pub listed: bool,
}

impl EndpointState {
    fn new(cluster: ClusterId, endpoint: &Endpoint) -> Self {
        Self {
            cluster,
            id: endpoint.id,
            address: endpoint.address,
            hostname: endpoint.hostname.clone(),
            active: 0,
            connections: 0,
            listed: true,
        }
    }

    /// The same endpoint in a newer configuration.
    fn update(&mut self, endpoint: &Endpoint) {
        self.listed = true;
        self.address = endpoint.address;
        if self.hostname != endpoint.hostname {
            self.hostname.clone_from(&endpoint.hostname);
        }
    }

    /// True if nothing holds it.
    fn is_over(&self) -> bool {
        !self.listed && self.active == 0 && self.connections == 0
    }
}

/// All endpoints of a worker.
#[derive(Debug)]
pub(super) struct Endpoints(Slab<EndpointState>);

impl Endpoints {
    pub(super) fn new() -> Self {
        Self(Slab::new(ENDPOINTS_PER_WORKER))
    }

    /// `None` if the worker has no slot left.
    pub(super) fn insert(
        &mut self,
        cluster: ClusterId,
        endpoint: &Endpoint,
    ) -> Option<EndpointKey> {
        self.0
            .insert_with(|_| EndpointState::new(cluster, endpoint))
            .map(EndpointKey)
    }

    pub(super) fn update(&mut self, key: EndpointKey, endpoint: &Endpoint) {
        if let Some(state) = self.0.find_mut(key.0) {
            state.update(endpoint);
        }
    }

    #[inline]
    pub(super) fn find(&self, key: EndpointKey) -> Option<&EndpointState> {
        self.0.find(key.0)
    }

    #[inline]
    pub(super) fn find_mut(&mut self, key: EndpointKey) -> Option<&mut EndpointState> {
        self.0.find_mut(key.0)
    }

    /// Active requests of an endpoint, as the scheduler sees them.
    #[inline]
    pub(super) fn active(&self, key: EndpointKey) -> u32 {
        self.find(key).map_or(0, |state| state.active)
    }

    /// Frees the slot if the endpoint has left and nothing holds it; true if it did.
    pub(super) fn reap(&mut self, key: EndpointKey) -> bool {
        let over = self.find(key).is_some_and(EndpointState::is_over);
        over && self.0.remove(key.0).is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
