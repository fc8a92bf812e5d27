//! `/clusters`: thresholds and endpoints of every cluster, in Envoy's shapes.
//!
//! Counters per endpoint are not kept and therefore absent; those per cluster are in `/stats`.

use std::fmt::Write as _;
use std::sync::Arc;

use penstock_core::cluster::Thresholds;
use penstock_core::config::cluster::{Cluster, Endpoint, Health};
use serde_json::{Value, json};

use super::answer::{Answer, JSON, TEXT};
use super::desk::Desk;
use super::listeners::socket_address;
use super::query::Query;
use crate::telemetry::metrics;

/// Endpoints that are written in one go.
const ENDPOINTS_PER_PIECE: usize = 64;

pub(super) fn clusters(desk: &Desk, query: &Query) -> Answer {
    let clusters = metrics::clusters(&desk.control.snapshot());
    match query.json() {
        true => Answer::pieces(JSON, Box::new(json_pieces(clusters))),
        false => Answer::pieces(TEXT, Box::new(text_pieces(clusters))),
    }
}

/// One piece of one cluster: its first piece has its head, its last one its tail.
struct Piece {
    cluster: Arc<Cluster>,
    first: usize,
}

impl Piece {
    fn endpoints(&self) -> impl Iterator<Item = (usize, &Endpoint)> {
        let levels = self.cluster.priorities.iter().enumerate();
        let all = levels
            .flat_map(|(level, endpoints)| endpoints.iter().map(move |endpoint| (level, endpoint)));
        all.skip(self.first).take(ENDPOINTS_PER_PIECE)
    }

    fn is_last(&self) -> bool {
        self.first + ENDPOINTS_PER_PIECE >= count(&self.cluster)
    }
}

fn count(cluster: &Cluster) -> usize {
    cluster.priorities.iter().map(Vec::len).sum()
}

fn pieces(clusters: Vec<Arc<Cluster>>) -> impl Iterator<Item = Piece> {
    clusters.into_iter().flat_map(|cluster| {
        let firsts = (0..count(&cluster).max(1)).step_by(ENDPOINTS_PER_PIECE);
        firsts.map(move |first| Piece {
            cluster: cluster.clone(),
            first,
        })
    })
}

fn text_pieces(clusters: Vec<Arc<Cluster>>) -> impl Iterator<Item = Vec<u8>> {
    pieces(clusters).map(|piece| {
        let mut text = String::new();
        let name = piece.cluster.name.escape_debug().to_string();
        if piece.first == 0 {
            text_head(&name, &piece.cluster, &mut text);
        }
        for (level, endpoint) in piece.endpoints() {
            text_endpoint(&name, level, endpoint, &mut text);
        }
        text.into_bytes()
    })
}

fn text_head(name: &str, cluster: &Cluster, text: &mut String) {
    let _ = writeln!(text, "{name}::observability_name::{name}");
    let breakers = &cluster.breakers;
    for (priority, shared) in [("default", &breakers.default), ("high", &breakers.high)] {
        for (what, ceiling) in ceilings(&shared.thresholds) {
            let _ = writeln!(text, "{name}::{priority}_priority::{what}::{ceiling}");
        }
    }
    let _ = writeln!(text, "{name}::added_via_api::false");
}

fn text_endpoint(name: &str, level: usize, endpoint: &Endpoint, text: &mut String) {
    let address = endpoint.address;
    let hostname = endpoint
        .hostname
        .as_deref()
        .unwrap_or_default()
        .escape_debug();
    for (what, value) in [
        ("hostname", hostname.to_string()),
        ("health_flags", health_flags(endpoint.health).into()),
        ("weight", endpoint.weight.to_string()),
        ("priority", level.to_string()),
    ] {
        let _ = writeln!(text, "{name}::{address}::{what}::{value}");
    }
}

fn json_pieces(clusters: Vec<Arc<Cluster>>) -> impl Iterator<Item = Vec<u8>> {
    let mut between = "";
    let body = pieces(clusters).map(move |piece| {
        let mut text = String::new();
        if piece.first == 0 {
            text.push_str(between);
            json_head(&piece.cluster, &mut text);
        }
        for (index, (level, endpoint)) in piece.endpoints().enumerate() {
            let comma = if piece.first + index == 0 { "" } else { "," };
            let _ = write!(text, "{comma}{}", json_endpoint(level, endpoint));
        }
        if piece.is_last() {
            text.push_str("]}");
        }
        between = ",\n";
        text.into_bytes()
    });
    let (open, close) = (b"{\"cluster_statuses\":[".to_vec(), b"]}\n".to_vec());
    std::iter::once(open)
        .chain(body)
        .chain(std::iter::once(close))
}

/// All of a cluster up to the list of its endpoints.
fn json_head(cluster: &Cluster, text: &mut String) {
    let name = Value::from(&*cluster.name);
    let thresholds = |priority, thresholds: &Thresholds| {
        let mut object = json!({ "priority": priority });
        for (what, ceiling) in ceilings(thresholds) {
            object[what] = ceiling.into();
        }
        object
    };
    let breakers = json!({ "thresholds": [
        thresholds("DEFAULT", &cluster.breakers.default.thresholds),
        thresholds("HIGH", &cluster.breakers.high.thresholds),
    ] });
    let _ = write!(
        text,
        "{{\"name\":{name},\"observability_name\":{name},\"added_via_api\":false,\
         \"circuit_breakers\":{breakers},\"host_statuses\":["
    );
}

fn json_endpoint(level: usize, endpoint: &Endpoint) -> Value {
    let health = match endpoint.health {
        Health::Healthy => "HEALTHY",
        Health::Degraded => "DEGRADED",
        Health::Unhealthy => "UNHEALTHY",
    };
    json!({
        "address": socket_address(endpoint.address),
        "hostname": endpoint.hostname.as_deref().unwrap_or_default(),
        "health_status": { "eds_health_status": health },
        "weight": endpoint.weight,
        "priority": level,
    })
}

/// As Envoy writes them: `/failed_eds_health` and `/degraded_eds_health` come from the
/// configuration.
fn health_flags(health: Health) -> &'static str {
    match health {
        Health::Healthy => "healthy",
        Health::Degraded => "/degraded_eds_health",
        Health::Unhealthy => "/failed_eds_health",
    }
}

fn ceilings(thresholds: &Thresholds) -> [(&'static str, u32); 4] {
    [
        ("max_connections", thresholds.connections),
        ("max_pending_requests", thresholds.pending),
        ("max_requests", thresholds.requests),
        ("max_retries", thresholds.retries),
    ]
}
