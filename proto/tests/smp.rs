//! Compares the messages of a measurement with the published schema, Service Mesh Performance
//! v0.6.1. No copy of it is in a package that tests could read, so the table below is that copy,
//! taken from the tables of its documentation and not from our files.

use std::collections::BTreeMap;

use penstock_proto::prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

/// Message: number, name and type of each field; enum: number and name of each value.
const PUBLISHED: &str = "
ApplicationMetadata: 1 application_name string, 2 application_version string, \
3 helmchart_name string, 4 helmchart_version string, 5 cnabspec_version string, \
6 compose_version string, 7 cluster_name string, 8 k8s_version_supported string, \
9 application_protocol ApplicationMetadata.ApplicationProtocol
ApplicationMetadata.ApplicationProtocol: 0 PROTOCOL_INVALID, 1 PROTOCOL_HTTP, 2 PROTOCOL_HTTPS
EnvironmentConfig: 1 smp_version string, 2 id string, 3 labels map, 4 kubernetes_version string, \
5 nodes [EnvironmentConfig.Node], \
6 individual_workloads [EnvironmentConfig.IndividualWorkload], \
7 traffic_metadata EnvironmentConfig.TrafficMetadata
EnvironmentConfig.IndividualWorkload: 1 name string, 2 count int32, 3 cpu_mcores int32, \
4 mem_mb int32
EnvironmentConfig.Node: 1 type string, 2 cores int32, 3 mem_mb int64
EnvironmentConfig.TrafficMetadata: 1 load_balance_name string, 2 load_balance_ip string, \
3 host_endpoint string, 4 prometheus_url string, 5 http_headers string, 6 user_agent string, \
7 ping_health_endpoint string
PerformanceTestConfig: 1 smp_version string, 2 id string, 3 name string, 4 labels map, \
5 clients [PerformanceTestConfig.Client], 6 duration string
PerformanceTestConfig.Client: 1 internal bool, 2 load_generator string, \
3 protocol PerformanceTestConfig.Client.Protocol, 4 connections int32, 5 rps int64, \
6 headers map, 7 cookies map, 8 body string, 9 content_type string, 10 endpoint_urls [string], \
11 ssl_certificate string, 12 additional_options string
PerformanceTestConfig.Client.Protocol: 0 PROTOCOL_INVALID, 1 PROTOCOL_HTTP, 2 PROTOCOL_TCP, \
3 PROTOCOL_UDP, 4 PROTOCOL_GRPC
PerformanceTestResult: 1 smp_version string, 2 id string, 3 labels map, \
4 start_time google.protobuf.Timestamp, 5 end_time google.protobuf.Timestamp, \
6 latencies_ms PerformanceTestResult.Latency, 7 actual_qps double, 8 details_uri string, \
9 test_id string, 10 mesh_config_id string, 11 env_id string
PerformanceTestResult.CPU: 1 cpu_mcores int32, 2 user double, 3 nice double, 4 system double, \
5 idle double, 6 iowait double, 7 hardware_interrupt double, 8 software_interrupt double, \
9 steal double
PerformanceTestResult.Latency: 1 min double, 2 average double, 3 p50 double, 4 p90 double, \
5 p99 double, 6 max double
PerformanceTestResult.Memory: 1 mem_total_mb double, 2 mem_free_mb double, 3 mem_used_mb double
PerformanceTestResult.Swap: 1 swap_total_mb double, 2 swap_free_mb double, 3 swap_used_mb double
ServiceMesh: 1 type ServiceMesh.Type, 2 version string, 3 labels map, 4 annotations map
ServiceMesh.Type: 0 INVALID_MESH, 1 APP_MESH, 2 CONSUL, 3 ISTIO, 4 KUMA, 5 LINKERD, \
6 TRAEFIK_MESH, 7 OCTARINE, 8 NETWORK_SERVICE_MESH, 9 TANZU, 10 OPEN_SERVICE_MESH, \
11 NGINX_SERVICE_MESH, 12 CILIUM_SERVICE_MESH
ServiceMeshConfig: 1 smp_version string, 2 id string, 3 labels map, \
4 ingress_gateway ServiceMeshConfig.IngressGateway, 5 sidecar ServiceMeshConfig.Sidecar, \
6 mesh_telemetry ServiceMeshConfig.MeshTelemetry, 7 mesh_policy ServiceMeshConfig.MeshPolicy, \
8 mesh_control_plane ServiceMeshConfig.MeshControlPlane, 9 mesh_policy_enabled bool, \
10 mesh_telemetry_enabled bool, 11 mtls_enabled bool, 12 proxy_concurrency int32, \
13 mesh_build string, 14 proxy_build string, 15 exp_group_uuid string, 16 exp_uuid string, \
17 profile string, 18 mesh_type ServiceMesh, 19 application_metadata ApplicationMetadata
ServiceMeshConfig.EgressGateway: 1 count int32, 2 cpu_mcores int32, 3 mem_mb int32, 4 rps int32, \
5 bps int32
ServiceMeshConfig.IngressGateway: 1 count int32, 2 cpu_mcores int32, 3 mem_mb int32, \
4 rps int32, 5 bps int32
ServiceMeshConfig.MeshControlPlane: 1 count int32, 2 cpu_mcores int32, 3 mem_mb int32, \
4 endpoints int32, 5 services int32, 6 sidecars int32, 7 virtual_services int32, \
8 destination_rules int32, 9 lds_latency_ms int32, 10 cds_latency_ms int32
ServiceMeshConfig.MeshPolicy: 1 count int32, 2 cpu_mcores int32, 3 mem_mb int32, 4 rps int32, \
5 cache_hit_rate int32
ServiceMeshConfig.MeshTelemetry: 1 count int32, 2 cpu_mcores int32, 3 mem_mb int32, 4 rps int32
ServiceMeshConfig.Sidecar: 1 count int32, 2 cpu_mcores int32, 3 mem_mb int32, 4 rps int32, \
5 bps int32
";

#[test]
fn our_messages_agree_with_the_published_schema() {
    let ours = ours();
    let published: BTreeMap<_, _> = PUBLISHED
        .trim()
        .lines()
        .map(|line| line.split_once(": ").expect("name and fields"))
        .collect();
    for (name, fields) in &published {
        assert_eq!(ours.get(*name).map(String::as_str), Some(*fields), "{name}");
    }
    assert_eq!(ours.len(), published.len(), "{:?}", ours.keys());
}

#[test]
fn measurements_are_no_configuration() {
    let url = "type.googleapis.com/smp.PerformanceTestResult";
    assert!(penstock_proto::message_of_type_url(url).is_none());
    let pool = penstock_proto::smp_pool();
    assert!(
        pool.get_message_by_name("smp.PerformanceTestResult")
            .is_some()
    );
}

fn ours() -> BTreeMap<String, String> {
    let pool = penstock_proto::smp_pool();
    let messages = pool
        .all_messages()
        .filter(|message| message.package_name() == "smp" && !message.is_map_entry())
        .map(|message| (short(message.full_name()), fields(&message)));
    let enums = pool
        .all_enums()
        .map(|kind| (short(kind.full_name()), values(&kind)));
    messages.chain(enums).collect()
}

fn fields(message: &MessageDescriptor) -> String {
    let fields: Vec<_> = message.fields().map(|field| shape(&field)).collect();
    fields.join(", ")
}

fn shape(field: &FieldDescriptor) -> String {
    let kind = match field.kind() {
        _ if field.is_map() => "map".to_owned(),
        Kind::Message(message) => short(message.full_name()),
        Kind::Enum(kind) => short(kind.full_name()),
        scalar => format!("{scalar:?}"),
    };
    let kind = if field.is_list() {
        format!("[{kind}]")
    } else {
        kind
    };
    format!("{} {} {kind}", field.number(), field.name())
}

fn values(kind: &EnumDescriptor) -> String {
    let values: Vec<_> = kind
        .values()
        .map(|value| format!("{} {}", value.number(), value.name()))
        .collect();
    values.join(", ")
}

fn short(name: &str) -> String {
    name.strip_prefix("smp.").unwrap_or(name).to_owned()
}
