//! The page that people read, in the layout of the first SMP specification.
//!
//! CPU is spelled `cpu_mCores` there and the protocol is a word. What stands beside the keys of
//! the specification are extensions: CPU and memory of the proxy under their names in the schema,
//! and the ratios' own numbers in `labels`.

use serde::Serialize;

use super::again;
use super::entry::{Entry, utc};
use super::mue::Mue;
use super::page::html::command;
use super::shortness;
use super::smp;
use super::smp::labels::{self, Labels};
use super::smp::plain::Plain;

#[derive(Debug, Serialize)]
pub(crate) struct OnePage {
    start_time: String,
    end_time: String,
    mesh_build: &'static str,
    proxy_build: String,
    exp_group_uuid: String,
    exp_uuid: String,
    profile: String,
    details_uri: &'static str,
    env: Env,
    config: Config,
    client: Client,
    metrics: Metrics,
    labels: Labels,
    /// Extension: what was left of CPU, memory and latency.
    #[serde(skip_serializing_if = "Option::is_none")]
    efficiency: Option<Mue>,
    /// Extension: why the figures show a direction only.
    #[serde(skip_serializing_if = "Option::is_none")]
    reservation: Option<String>,
    /// Extension: what measures this workload again, and it alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
}

#[derive(Debug, Serialize)]
struct Env {
    kubernetes: &'static str,
    node_count: u32,
    node: Node,
}

#[derive(Debug, Serialize)]
struct Node {
    r#type: String,
    cores: u32,
    mem_mb: u64,
}

#[derive(Debug, Serialize)]
struct Config {
    mesh_policy_enabled: bool,
    mesh_telemetry_enabled: bool,
    mtls_enabled: bool,
    proxy_concurrency: u32,
}

#[derive(Debug, Serialize)]
struct Client {
    internal: bool,
    protocol: &'static str,
    connections: u32,
    rps: u64,
    latencies_ms: Plain,
}

#[derive(Debug, Serialize)]
struct Metrics {
    ingress_gateway: Gateway,
}

#[derive(Debug, Serialize)]
struct Gateway {
    count: i32,
    #[serde(rename = "cpu_mCores", skip_serializing_if = "Option::is_none")]
    cpu_mcores: Option<i32>,
    mem_mb: i32,
    rps: i32,
    bps: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<Cpu>,
    memory: Memory,
}

/// Per cent of one CPU in user mode and in the kernel; steal in per cent of the machine.
#[derive(Debug, Serialize)]
struct Cpu {
    user: f64,
    system: f64,
    steal: f64,
}

#[derive(Debug, Serialize)]
struct Memory {
    mem_total_mb: f64,
    mem_used_mb: f64,
}

/// The page of one run.
pub(crate) fn page(entry: &Entry<'_>) -> OnePage {
    let place = &entry.campaign.environment;
    OnePage {
        start_time: utc(entry.run.started),
        end_time: utc(entry.run.ended),
        mesh_build: "none",
        proxy_build: entry.build(),
        exp_group_uuid: entry.campaign.id.clone(),
        exp_uuid: entry.run.id.clone(),
        profile: entry.profile(),
        details_uri: "report.html",
        env: Env {
            kubernetes: "none",
            node_count: 1,
            node: Node {
                r#type: format!("{}, {}", place.hypervisor, place.cpu_model),
                cores: place.cpus,
                mem_mb: place.memory / 1_000_000,
            },
        },
        config: Config {
            mesh_policy_enabled: false,
            mesh_telemetry_enabled: false,
            mtls_enabled: false,
            proxy_concurrency: entry.subject.workers,
        },
        client: client(entry),
        metrics: Metrics {
            ingress_gateway: gateway(entry),
        },
        labels: labels::of(entry),
        efficiency: Mue::of(entry),
        reservation: shortness::of(entry.campaign),
        command: again::command(entry.campaign, entry.run.cell).map(|words| command(&words)),
    }
}

fn client(entry: &Entry<'_>) -> Client {
    Client {
        internal: false,
        protocol: word(entry),
        connections: entry.cell.connections,
        rps: entry.cell.rate,
        latencies_ms: Plain::of(&smp::latencies(entry)),
    }
}

/// The protocol as a word; all that is no other is HTTP.
pub(crate) fn word(entry: &Entry<'_>) -> &'static str {
    match entry.cell.protocol.as_str() {
        "tcp" => "tcp",
        "grpc" => "grpc",
        _ => "http",
    }
}

fn gateway(entry: &Entry<'_>) -> Gateway {
    let sums = smp::gateway(entry);
    let cost = &entry.run.cost;
    // Of no proxy, or of one whose processes came and went, there is nothing to tell.
    let is_known = cost.on_cpu > 0 && !entry.is_direct();
    let share = |time| (entry.per_second(time) / 1e7 * 100.0).round() / 100.0;
    Gateway {
        count: sums.count,
        cpu_mcores: is_known.then_some(sums.cpu_mcores),
        mem_mb: sums.mem_mb,
        rps: sums.rps,
        bps: sums.bps,
        cpu: is_known.then_some(Cpu {
            user: share(cost.user),
            system: share(cost.system),
            steal: cost.steal,
        }),
        memory: Memory {
            mem_total_mb: entry.campaign.environment.memory as f64 / 1e6,
            mem_used_mb: cost.resident as f64 / 1e6,
        },
    }
}
