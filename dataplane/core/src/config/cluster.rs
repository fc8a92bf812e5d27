//! A cluster: its endpoints by priority, how one is picked, and what it may use.

use core::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::Breakers;
use crate::stats::{ClusterStats, PerWorker};

/// Stable number of a cluster name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ClusterId(pub u32);

/// Stable number of an address within a cluster.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct EndpointId(pub u32);

/// A cluster (`envoy.config.cluster.v3.Cluster`).
#[derive(Debug)]
pub struct Cluster {
    /// Stable id.
    pub id: ClusterId,
    /// Name.
    pub name: Box<str>,
    /// `lb_policy`.
    pub policy: Policy,
    /// Endpoints by priority, the most preferred first; each level in the order of the
    /// configuration.
    pub priorities: Vec<Vec<Endpoint>>,
    /// `overprovisioning_factor` in percent (140).
    pub overprovisioning_percent: u32,
    /// `healthy_panic_threshold` in percent (50); 0 switches panic off.
    pub panic_percent: u32,
    /// `connect_timeout` (5 s).
    pub connect_timeout: Duration,
    /// `idle_timeout` of pooled connections (1 h); `None` if off.
    pub idle_timeout: Option<Duration>,
    /// `max_requests_per_connection`; `None` if unlimited.
    pub requests_per_connection_max: Option<u32>,
    /// `per_connection_buffer_limit_bytes` (32 KiB).
    pub buffer_limit: u32,
    /// Thresholds held over all workers.
    pub breakers: Arc<Breakers>,
    /// Counters.
    pub stats: Arc<PerWorker<ClusterStats>>,
}

/// How an endpoint is picked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// In turn, by weight.
    RoundRobin,
    /// By chance, by weight.
    Random,
    /// The one with the fewest active requests of `choices` random ones; weights as in Envoy.
    LeastRequest {
        /// `choice_count` (2).
        choices: u32,
    },
}

/// One endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// Stable id.
    pub id: EndpointId,
    /// Where it listens.
    pub address: SocketAddr,
    /// `hostname`, or the DNS name it was resolved from; for `auto_host_rewrite`.
    pub hostname: Option<Box<str>>,
    /// `load_balancing_weight` (1).
    pub weight: u32,
    /// From `health_status`: HEALTHY and UNKNOWN are healthy.
    pub health: Health,
}

/// What is known of an endpoint's health.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Health {
    /// May be picked.
    Healthy,
    /// Picked when no healthy one is left at its level.
    Degraded,
    /// Picked in panic only.
    Unhealthy,
}
