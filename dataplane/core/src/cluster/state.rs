//! One cluster as one worker sees it, from the generation that brings it to the last use after it
//! left.

use std::sync::Arc;

use crate::config::{Cluster, ClusterId, Endpoint, EndpointId};
use crate::pool::Line;
use crate::stats::{ClusterCounters, ClusterStats, Gauge, WorkerIndex};

use super::balance::Balance;
use super::endpoint::{EndpointKey, Endpoints};
use super::lease::{Kind, Leases};

/// See the file.
#[derive(Debug)]
pub(super) struct ClusterState {
    config: Arc<Cluster>,
    /// False once no generation that is held lists it.
    pub(super) listed: bool,
    /// It left the configuration; requests that an older generation serves still go there.
    pub(super) departed: bool,
    /// Listed endpoints, by id.
    pub(super) members: Vec<(EndpointId, EndpointKey)>,
    /// Endpoints that left and are still in use.
    pub(super) leaving: usize,
    pub(super) balance: Balance,
    pub(super) leases: Leases,
    /// Connections above `max_connections`: the first of an endpoint is always allowed.
    beyond: [u32; 2],
    lines: [Line; 2],
}

impl ClusterState {
    /// Without endpoints yet.
    pub(super) fn new(config: &Arc<Cluster>, workers: u32) -> Self {
        Self {
            config: Arc::clone(config),
            listed: false,
            departed: false,
            members: Vec::new(),
            leaving: 0,
            balance: Balance::default(),
            leases: Leases::new(Arc::clone(&config.breakers), workers),
            beyond: [0; 2],
            lines: Default::default(),
        }
    }

    pub(super) fn id(&self) -> ClusterId {
        self.config.id
    }

    /// True if it already stands for this generation of the cluster.
    #[inline]
    pub(super) fn is_current(&self, config: &Arc<Cluster>) -> bool {
        self.listed && !self.departed && Arc::ptr_eq(&self.config, config)
    }

    #[inline]
    pub(super) fn stats(&self, worker: WorkerIndex) -> &ClusterStats {
        self.config.stats.of(worker)
    }

    /// Takes a new generation; returns the endpoints that left.
    pub(super) fn adopt(
        &mut self,
        config: &Arc<Cluster>,
        worker: WorkerIndex,
        endpoints: &mut Endpoints,
    ) -> Vec<EndpointKey> {
        let old = std::mem::take(&mut self.members);
        let keys = self.list(config, &old, endpoints);
        let left: Vec<_> = old
            .iter()
            .filter(|(id, _)| self.find(*id).is_none())
            .map(|&(_, key)| key)
            .collect();
        unlist(&left, endpoints);
        self.balance = Balance::new(config, &keys, std::mem::take(&mut self.balance));
        self.leases.replace(&config.breakers);
        if !Arc::ptr_eq(&self.config.stats, &config.stats) {
            let old = &self.config.stats.of(worker).counters;
            move_gauges(old, &config.stats.of(worker).counters);
        }
        self.config = Arc::clone(config);
        self.listed = true;
        self.departed = false;
        left
    }

    /// Nobody will ask for it any more; returns all its endpoints.
    pub(super) fn retire(&mut self, endpoints: &mut Endpoints) -> Vec<EndpointKey> {
        self.listed = false;
        self.departed = false;
        self.balance = Balance::default();
        let members = std::mem::take(&mut self.members);
        let left: Vec<_> = members.into_iter().map(|(_, key)| key).collect();
        unlist(&left, endpoints);
        left
    }

    /// True if it left and nothing of it is in use.
    pub(super) fn is_over(&self) -> bool {
        !self.listed && self.leaving == 0 && !self.has_waiting() && self.leases.unused()
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.lines.iter().all(Line::is_empty)
    }

    pub(super) fn line(&mut self, high: bool) -> &mut Line {
        &mut self.lines[usize::from(high)]
    }

    /// `first` is allowed whatever the ceiling.
    pub(super) fn take_connection(&mut self, first: bool, high: bool) -> bool {
        let taken = self.leases.take(Kind::Connections, high);
        if !taken && first {
            self.beyond[usize::from(high)] += 1;
        }
        taken || first
    }

    /// Those beyond the ceiling go first, so that the rest is within it.
    pub(super) fn give_connection(&mut self, high: bool) {
        match &mut self.beyond[usize::from(high)] {
            0 => self.leases.give(Kind::Connections, high),
            beyond => *beyond -= 1,
        }
    }

    /// Finds or makes the endpoints of `config` and lists them by id; returns their keys in its
    /// order. An address that stands twice in the configuration is one endpoint in two places.
    fn list(
        &mut self,
        config: &Cluster,
        old: &[(EndpointId, EndpointKey)],
        endpoints: &mut Endpoints,
    ) -> Vec<Vec<Option<EndpointKey>>> {
        let mut all: Vec<&Endpoint> = config.priorities.iter().flatten().collect();
        all.sort_by_key(|endpoint| endpoint.id);
        all.dedup_by_key(|endpoint| endpoint.id);
        for endpoint in all {
            let key = match find(old, endpoint.id) {
                Some(key) => key,
                None => match endpoints.insert(config.id, endpoint) {
                    Some(key) => key,
                    None => continue,
                },
            };
            endpoints.update(key, endpoint);
            self.members.push((endpoint.id, key));
        }
        let key_of = |endpoint: &Endpoint| self.find(endpoint.id);
        let keys_of = |level: &Vec<Endpoint>| level.iter().map(key_of).collect();
        config.priorities.iter().map(keys_of).collect()
    }

    fn find(&self, id: EndpointId) -> Option<EndpointKey> {
        find(&self.members, id)
    }
}

fn find(members: &[(EndpointId, EndpointKey)], id: EndpointId) -> Option<EndpointKey> {
    let index = members.binary_search_by_key(&id, |&(id, _)| id).ok()?;
    Some(members[index].1)
}

/// A cluster that left and came back has new cells; what is still in use from before counts there.
fn move_gauges(old: &ClusterCounters, new: &ClusterCounters) {
    for (old, new) in gauges(old).into_iter().zip(gauges(new)) {
        new.set(new.value() + old.value());
        old.set(0);
    }
}

fn gauges(cells: &ClusterCounters) -> [&Gauge; 4] {
    [
        &cells.connections_active,
        &cells.connections_idle,
        &cells.requests_active,
        &cells.requests_pending,
    ]
}

fn unlist(left: &[EndpointKey], endpoints: &mut Endpoints) {
    for &key in left {
        if let Some(endpoint) = endpoints.find_mut(key) {
            endpoint.listed = false;
        }
    }
}
