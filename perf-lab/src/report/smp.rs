//! A run in the messages of Service Mesh Performance v0.6.1.
//!
//! `latencies_ms` is in milliseconds, as the schema says and not as some files in use have it; a
//! label says so. Numbers that do not fit into 32 bits are the greatest that does, and a label
//! has the true one.

pub(crate) mod labels;
pub(crate) mod plain;

use penstock_proto::prost_types::Timestamp;
use penstock_proto::smp::environment_config::{IndividualWorkload, Node, TrafficMetadata};
use penstock_proto::smp::performance_test_config::{Client, client::Protocol};
use penstock_proto::smp::performance_test_result::Latency;
use penstock_proto::smp::service_mesh_config::IngressGateway;
use penstock_proto::smp::{
    EnvironmentConfig, PerformanceTestConfig, PerformanceTestResult, ServiceMesh, ServiceMeshConfig,
};

use super::entry::{Entry, go_duration, listed, ms};
use labels::Labels;

/// What files in use say; v0.6.1 is the version of the schema, not of the messages.
const VERSION: &str = "v0.0.1";
/// The load generator.
pub(crate) const GENERATOR: &str = "perf-lab";

/// Ids of the messages of a run: they point at each other within its folder.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    pub(crate) test: String,
    pub(crate) mesh: String,
    pub(crate) environment: String,
}

impl Ids {
    pub(crate) fn of(entry: &Entry<'_>) -> Self {
        let id = |name: &str| format!("{}.{name}", entry.run.id);
        Self {
            test: id("test-config"),
            mesh: id("service-mesh-config"),
            environment: id("environment-config"),
        }
    }
}

/// What was run.
pub(crate) fn test_config(entry: &Entry<'_>) -> PerformanceTestConfig {
    PerformanceTestConfig {
        smp_version: VERSION.to_owned(),
        id: Ids::of(entry).test,
        name: format!("{}/{}", entry.profile(), entry.subject.name),
        labels: Labels::new(),
        clients: vec![client(entry)],
        duration: go_duration(entry.campaign.window),
    }
}

fn client(entry: &Entry<'_>) -> Client {
    let protocol = match entry.cell.protocol.as_str() {
        "tcp" => Protocol::Tcp,
        "grpc" => Protocol::Grpc,
        _ => Protocol::Http,
    };
    Client {
        internal: false,
        load_generator: GENERATOR.to_owned(),
        protocol: protocol.into(),
        connections: saturated(u64::from(entry.cell.connections)),
        rps: i64::try_from(entry.cell.rate).unwrap_or(i64::MAX),
        endpoint_urls: vec![entry.url()],
        additional_options: options(entry),
        ..Client::default()
    }
}

/// What the schema has no field for, in our words.
fn options(entry: &Entry<'_>) -> String {
    let cell = entry.cell;
    let mut options = vec![format!("{} loop", cell.arrivals)];
    options.push(match cell.keep_alive {
        true => "keep-alive".to_owned(),
        false => "a connection for each request".to_owned(),
    });
    let further = [
        (cell.idle > 0, format!("{} idle connections", cell.idle)),
        (cell.fields > 0, format!("{} fields", cell.fields)),
        (
            cell.request_bytes > 0,
            format!("{} bytes of request body", cell.request_bytes),
        ),
        (cell.chunked, "chunked".to_owned()),
    ];
    let special = cell.special.iter();
    let special = special.map(|(name, value)| format!("{name} {value}"));
    options.extend(
        further
            .into_iter()
            .filter(|(set, _)| *set)
            .map(|(_, text)| text)
            .chain(special),
    );
    options.join(", ")
}

/// Which product.
pub(crate) fn mesh(entry: &Entry<'_>) -> ServiceMesh {
    let product = ("product".to_owned(), entry.subject.product.clone());
    ServiceMesh {
        version: entry.subject.version.clone(),
        annotations: [product].into(),
        ..ServiceMesh::default()
    }
}

/// The system under test and what it used.
pub(crate) fn mesh_config(entry: &Entry<'_>) -> ServiceMeshConfig {
    ServiceMeshConfig {
        smp_version: VERSION.to_owned(),
        id: Ids::of(entry).mesh,
        labels: labels::of(entry),
        ingress_gateway: Some(gateway(entry)),
        proxy_concurrency: saturated(u64::from(entry.subject.workers)),
        mesh_build: "none".to_owned(),
        proxy_build: entry.build(),
        exp_group_uuid: entry.campaign.id.clone(),
        exp_uuid: entry.run.id.clone(),
        profile: entry.profile(),
        mesh_type: Some(mesh(entry)),
        ..ServiceMeshConfig::default()
    }
}

/// The proxy itself; where the load goes to the origin there is none.
pub(crate) fn gateway(entry: &Entry<'_>) -> IngressGateway {
    IngressGateway {
        count: i32::from(entry.subject.product != "direct"),
        cpu_mcores: mcores(entry, entry.run.cost.on_cpu),
        mem_mb: saturated(entry.run.cost.resident / 1_000_000),
        rps: saturated(entry.per_second(entry.run.load.answered).round() as u64),
        bps: saturated(entry.bytes()),
    }
}

fn mcores(entry: &Entry<'_>, on_cpu: u64) -> i32 {
    let cores = entry.per_second(on_cpu) / 1e9;
    saturated((cores * 1_000.0).round() as u64)
}

/// Where it ran.
pub(crate) fn environment(entry: &Entry<'_>) -> EnvironmentConfig {
    let place = &entry.campaign.environment;
    EnvironmentConfig {
        smp_version: VERSION.to_owned(),
        id: Ids::of(entry).environment,
        labels: labels::of_place(entry),
        kubernetes_version: "none".to_owned(),
        nodes: vec![Node {
            r#type: format!("{}, {}", place.hypervisor, place.cpu_model),
            cores: saturated(u64::from(place.cpus)),
            mem_mb: i64::try_from(place.memory / 1_000_000).unwrap_or(i64::MAX),
        }],
        individual_workloads: workloads(entry),
        traffic_metadata: Some(TrafficMetadata {
            host_endpoint: entry.url(),
            user_agent: GENERATOR.to_owned(),
            ..TrafficMetadata::default()
        }),
    }
}

/// The proxy, if there is one, and what load and origin, one thread of one process, used together,
/// if it was measured.
fn workloads(entry: &Entry<'_>) -> Vec<IndividualWorkload> {
    let workload = |name: &str, on_cpu, resident: u64| IndividualWorkload {
        name: name.to_owned(),
        count: 1,
        cpu_mcores: mcores(entry, on_cpu),
        mem_mb: saturated(resident / 1_000_000),
    };
    let (cost, load) = (&entry.run.cost, &entry.run.load);
    let proxy = workload("proxy", cost.on_cpu, cost.resident);
    let bed = workload("load generator and origin", load.on_cpu, load.resident);
    let known = [
        (!entry.is_direct() && cost.on_cpu > 0, proxy),
        (load.on_cpu > 0, bed),
    ];
    let known = known.into_iter().filter(|(is_known, _)| *is_known);
    known.map(|(_, workload)| workload).collect()
}

/// What came out.
pub(crate) fn result(entry: &Entry<'_>) -> PerformanceTestResult {
    let ids = Ids::of(entry);
    PerformanceTestResult {
        smp_version: VERSION.to_owned(),
        id: entry.run.id.clone(),
        labels: labels::of(entry),
        start_time: Some(timestamp(entry.run.started)),
        end_time: Some(timestamp(entry.run.ended)),
        latencies_ms: Some(latencies(entry)),
        actual_qps: entry.per_second(entry.run.load.answered),
        details_uri: "report.html".to_owned(),
        test_id: ids.test,
        mesh_config_id: ids.mesh,
        env_id: ids.environment,
    }
}

/// The latency that counts, in milliseconds.
pub(crate) fn latencies(entry: &Entry<'_>) -> Latency {
    let (_, latency) = entry.latency();
    let percentile = |percent| listed(latency, percent).map_or(0.0, ms);
    Latency {
        min: ms(latency.min),
        // The mean is of steps of the histogram: below a picosecond there is nothing to tell.
        average: (latency.mean * 1e3).round() / 1e9,
        p50: percentile(50.0),
        p90: percentile(90.0),
        p99: percentile(99.0),
        max: ms(latency.max),
    }
}

fn timestamp(nanoseconds: u64) -> Timestamp {
    Timestamp {
        seconds: (nanoseconds / 1_000_000_000) as i64,
        nanos: (nanoseconds % 1_000_000_000) as i32,
    }
}

/// The greatest number that fits stands for all above it.
fn saturated(value: u64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}
