//! `ClusterLoadAssignment`: a plan of endpoints, which with the answers of DNS becomes the
//! endpoints.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use penstock_core::config::cluster::{Endpoint, EndpointId, Health};
use penstock_proto::envoy::config::cluster::v3::cluster::DiscoveryType;
use penstock_proto::envoy::config::core::v3::HealthStatus;
use penstock_proto::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use penstock_proto::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, LbEndpoint, LocalityLbEndpoints,
};

use super::address::Port;
use super::cluster::Dns;
use super::draft::Draft;
use super::names::{Name, NameKey, Resolved};

/// Highest `priority`.
const PRIORITY_MAX: u32 = 128;

/// Endpoints as configured, by priority.
#[derive(Debug, Default)]
pub(super) struct Plan {
    priorities: Vec<Vec<Planned>>,
    /// All names in it.
    pub(super) names: Vec<Name>,
}

#[derive(Debug)]
struct Planned {
    at: At,
    hostname: Option<Box<str>>,
    weight: u32,
    health: Health,
}

#[derive(Debug)]
enum At {
    Address(SocketAddr),
    /// Every address of a name.
    All(usize),
    /// The first address of a name.
    First(usize),
}

/// Ids of the addresses of one cluster. An address that comes back after it was gone is a new one,
/// and no two endpoints of the process ever have the same id: workers may still know the old one.
#[derive(Debug, Default)]
pub(super) struct EndpointIds {
    ids: HashMap<SocketAddr, EndpointId>,
    /// Of the one endpoint of LOGICAL_DNS. It is the name, not the address of the day: connections
    /// to an address that the name had before stay in use.
    logical: Option<(NameKey, EndpointId)>,
}

impl EndpointIds {
    fn id(&mut self, address: SocketAddr, next: &mut u32) -> EndpointId {
        *self.ids.entry(address).or_insert_with(|| {
            let id = EndpointId(*next);
            *next = next.wrapping_add(1);
            id
        })
    }

    fn logical_id(&mut self, name: &NameKey, next: &mut u32) -> EndpointId {
        if let Some((known, id)) = &self.logical
            && known == name
        {
            return *id;
        }
        let id = EndpointId(*next);
        *next = next.wrapping_add(1);
        self.logical = Some((name.clone(), id));
        id
    }
}

impl Plan {
    /// The endpoints with what DNS has answered so far. An address counts once: in the most
    /// preferred priority, at its first place.
    pub(super) fn endpoints(
        &self,
        resolved: &Resolved,
        ids: &mut EndpointIds,
        next: &mut u32,
    ) -> Vec<Vec<Endpoint>> {
        let mut seen = HashSet::new();
        let mut priorities: Vec<Vec<Endpoint>> = Vec::with_capacity(self.priorities.len());
        for planned in &self.priorities {
            let mut level = Vec::with_capacity(planned.len());
            for one in planned {
                for address in self.addresses(&one.at, resolved) {
                    if seen.insert(address) {
                        let id = match one.at {
                            At::First(name) => ids.logical_id(&self.names[name].key, next),
                            At::Address(_) | At::All(_) => ids.id(address, next),
                        };
                        level.push(one.endpoint(id, address));
                    }
                }
            }
            priorities.push(level);
        }
        ids.ids.retain(|address, _| seen.contains(address));
        priorities
    }

    fn addresses(&self, at: &At, resolved: &Resolved) -> Vec<SocketAddr> {
        let answer = |name: usize| {
            resolved
                .get(&self.names[name].key)
                .map_or(&[][..], Vec::as_slice)
        };
        match at {
            At::Address(address) => vec![*address],
            At::All(name) => answer(*name).to_vec(),
            At::First(name) => answer(*name).first().copied().into_iter().collect(),
        }
    }
}

impl Planned {
    fn endpoint(&self, id: EndpointId, address: SocketAddr) -> Endpoint {
        Endpoint {
            id,
            address,
            hostname: self.hostname.clone(),
            weight: self.weight,
            health: self.health,
        }
    }
}

impl Draft<'_> {
    pub(super) fn plan(
        &mut self,
        assignment: &ClusterLoadAssignment,
        kind: DiscoveryType,
        dns: &Dns,
    ) -> Plan {
        let mut plan = Plan::default();
        self.each("endpoints", &assignment.endpoints, |draft, group| {
            draft.group(&mut plan, group, kind, dns);
        });
        let endpoints = plan.priorities.iter().map(Vec::len).sum::<usize>();
        if kind == DiscoveryType::LogicalDns && endpoints != 1 {
            let reason = format!("LOGICAL_DNS has exactly one endpoint, found {endpoints}");
            self.error("endpoints", reason, "keep one, or use STRICT_DNS");
        }
        self.check_gaps(assignment);
        self.check_plan(&plan);
        plan
    }

    pub(super) fn overprovisioning(&mut self, assignment: &ClusterLoadAssignment) -> u32 {
        let factor = assignment
            .policy
            .as_ref()
            .and_then(|policy| policy.overprovisioning_factor);
        if factor == Some(0) {
            self.error(
                "load_assignment.policy.overprovisioning_factor",
                "must be above 0",
                "write percent, for example 140",
            );
        }
        factor.unwrap_or(140)
    }

    fn group(
        &mut self,
        plan: &mut Plan,
        group: &LocalityLbEndpoints,
        kind: DiscoveryType,
        dns: &Dns,
    ) {
        if group.priority > PRIORITY_MAX {
            self.error(
                "priority",
                "is out of range",
                format!("write 0 to {PRIORITY_MAX}"),
            );
            return;
        }
        if group.load_balancing_weight == Some(0) {
            self.error(
                "load_balancing_weight",
                "must be above 0",
                "write 1 or more",
            );
        }
        let planned = self.each("lb_endpoints", &group.lb_endpoints, |draft, endpoint| {
            draft.planned(&mut plan.names, endpoint, kind, dns)
        });
        let priority = group.priority as usize;
        if plan.priorities.len() <= priority {
            plan.priorities.resize_with(priority + 1, Vec::new);
        }
        plan.priorities[priority].extend(planned.into_iter().flatten());
    }

    fn planned(
        &mut self,
        names: &mut Vec<Name>,
        endpoint: &LbEndpoint,
        kind: DiscoveryType,
        dns: &Dns,
    ) -> Option<Planned> {
        let weight = endpoint.load_balancing_weight.unwrap_or(1);
        if weight == 0 {
            self.error(
                "load_balancing_weight",
                "must be above 0",
                "write 1 or more, or remove the endpoint",
            );
        }
        let Some(HostIdentifier::Endpoint(host)) = &endpoint.host_identifier else {
            self.error("endpoint", "is missing", "write endpoint with its address");
            return None;
        };
        let address = host.address.as_ref();
        let (at, name) = if kind == DiscoveryType::Static {
            (At::Address(self.static_address(address)?), "")
        } else {
            let place = "endpoint.address";
            let (name, port) = self.socket_address(place, address, Port::Connect)?;
            (self.named_address(names, name, port, kind, dns), name)
        };
        let hostname = [&host.hostname, name]
            .into_iter()
            .find(|text| !text.is_empty());
        Some(Planned {
            at,
            hostname: hostname.map(|text| self.header_text("endpoint.hostname", text)),
            weight,
            health: health(endpoint.health_status()),
        })
    }

    fn static_address(
        &mut self,
        address: Option<&penstock_proto::envoy::config::core::v3::Address>,
    ) -> Option<SocketAddr> {
        let place = "endpoint.address";
        let (host, port) = self.socket_address(place, address, Port::Connect)?;
        match host.parse() {
            Ok(ip) => Some(SocketAddr::new(ip, port)),
            Err(_) => {
                self.error(
                    "endpoint.address.socket_address.address",
                    format!("`{host}` is no IP address, and the cluster is STATIC"),
                    "write an IP address, or set type to STRICT_DNS",
                );
                None
            }
        }
    }

    fn named_address(
        &mut self,
        names: &mut Vec<Name>,
        name: &str,
        port: u16,
        kind: DiscoveryType,
        dns: &Dns,
    ) -> At {
        if let Ok(ip) = name.parse::<IpAddr>() {
            return At::Address(SocketAddr::new(ip, port));
        }
        if !is_name(name) {
            self.error(
                "endpoint.address.socket_address.address",
                format!("`{name}` is neither a name nor an IP address"),
                "write a DNS name of letters, digits, dashes and dots",
            );
        }
        let wanted = dns.name(name, port);
        let index = names
            .iter()
            .position(|known| *known == wanted)
            .unwrap_or_else(|| {
                names.push(wanted);
                names.len() - 1
            });
        match kind {
            DiscoveryType::LogicalDns => At::First(index),
            _ => At::All(index),
        }
    }

    fn check_gaps(&mut self, assignment: &ClusterLoadAssignment) {
        let used: HashSet<u32> = assignment
            .endpoints
            .iter()
            .map(|group| group.priority)
            .collect();
        let most = used.iter().copied().max().unwrap_or(0);
        if let Some(gap) = (0..most.min(PRIORITY_MAX)).find(|priority| !used.contains(priority)) {
            self.warn(
                "endpoints",
                format!("no endpoints have priority {gap}, but {most} is used"),
                "number priorities from 0 without gaps",
            );
        }
    }

    fn check_plan(&mut self, plan: &Plan) {
        let all = || plan.priorities.iter().flatten();
        let weight: u64 = all().map(|planned| u64::from(planned.weight)).sum();
        if weight > u64::from(u32::MAX) {
            self.error(
                "endpoints",
                "the weights together are above 2^32 - 1",
                "write smaller ones",
            );
        }
        let mut seen = HashSet::new();
        for planned in all() {
            if let At::Address(address) = planned.at
                && !seen.insert(address)
            {
                self.warn(
                    "endpoints",
                    format!("{address} stands here twice"),
                    "remove one of them",
                );
            }
        }
    }
}

fn health(status: HealthStatus) -> Health {
    match status {
        HealthStatus::Unknown | HealthStatus::Healthy => Health::Healthy,
        HealthStatus::Degraded => Health::Degraded,
        HealthStatus::Unhealthy | HealthStatus::Draining | HealthStatus::Timeout => {
            Health::Unhealthy
        }
    }
}

/// RFC 1123 section 2.1, with the underscores that service names have.
fn is_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    name.len() <= 253 && name.split('.').all(is_label)
}
