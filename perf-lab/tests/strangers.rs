//! `result.pb` in the hands of an implementation of protobuf that shares nothing with ours: another
//! parser of the schema, another decoder. What it reads is what `result.yaml` says.

#[path = "report/folder.rs"]
mod folder;
#[path = "report/made_up.rs"]
mod made_up;

use std::fs;
use std::path::Path;

use folder::Folder;
use protobuf::descriptor::field_descriptor_proto::Type;
use protobuf::reflect::{
    FieldDescriptor, FileDescriptor, MessageDescriptor, ReflectFieldRef, ReflectValueRef,
};
use protobuf::{CodedInputStream, MessageDyn};
use protobuf_parse::Parser;
use serde_json::{Map, Value, json};

#[test]
fn another_decoder_reads_the_same() {
    let campaign = made_up::small();
    let folder = Folder::with("strangers", &campaign);
    let message = schema("smp.PerformanceTestResult");
    for run in &campaign.runs {
        let smp = folder.0.join(&run.id).join("smp");
        let bytes = fs::read(smp.join("result.pb")).expect("written");
        let decoded = message.parse_from_bytes(&bytes).expect("it is a message");
        let unknown = decoded.unknown_fields_dyn().iter().count();
        assert_eq!(unknown, 0, "every field is in the schema");

        let text = fs::read_to_string(smp.join("result.yaml")).expect("written");
        let yaml: Value = serde_saphyr::from_str(&text).expect("it is YAML");
        assert_eq!(value(decoded.as_ref()), yaml, "{}", run.id);

        // Maps have no order there, so the length is what can be compared.
        let again = decoded.write_to_bytes_dyn().expect("it can be encoded");
        assert_eq!(again.len(), bytes.len());
    }
}

#[test]
fn another_parser_reads_the_schema() {
    let config = schema("smp.ServiceMeshConfig");
    let plane = config.field_by_name("mesh_control_plane").expect("a field");
    assert_eq!(plane.number(), 8);
    assert_eq!(plane.proto().type_(), Type::TYPE_MESSAGE);
    assert_eq!(schema("smp.EnvironmentConfig").fields().count(), 7);
}

/// The fields of the specification, v0.6.1, in the order of their numbers, written down here and
/// not taken from our files. Numbers begin with 1 and have no gaps.
const SPECIFIED: [(&str, &str); 17] = [
    (
        "PerformanceTestConfig",
        "smp_version id name labels clients duration",
    ),
    (
        "PerformanceTestConfig.Client",
        "internal load_generator protocol connections rps headers cookies body content_type \
         endpoint_urls ssl_certificate additional_options",
    ),
    (
        "PerformanceTestResult",
        "smp_version id labels start_time end_time latencies_ms actual_qps details_uri test_id \
         mesh_config_id env_id",
    ),
    (
        "PerformanceTestResult.Latency",
        "min average p50 p90 p99 max",
    ),
    (
        "ServiceMeshConfig",
        "smp_version id labels ingress_gateway sidecar mesh_telemetry mesh_policy \
         mesh_control_plane mesh_policy_enabled mesh_telemetry_enabled mtls_enabled \
         proxy_concurrency mesh_build proxy_build exp_group_uuid exp_uuid profile mesh_type \
         application_metadata",
    ),
    (
        "ServiceMeshConfig.IngressGateway",
        "count cpu_mcores mem_mb rps bps",
    ),
    (
        "ServiceMeshConfig.EgressGateway",
        "count cpu_mcores mem_mb rps bps",
    ),
    (
        "ServiceMeshConfig.Sidecar",
        "count cpu_mcores mem_mb rps bps",
    ),
    (
        "ServiceMeshConfig.MeshTelemetry",
        "count cpu_mcores mem_mb rps",
    ),
    (
        "ServiceMeshConfig.MeshPolicy",
        "count cpu_mcores mem_mb rps cache_hit_rate",
    ),
    (
        "ServiceMeshConfig.MeshControlPlane",
        "count cpu_mcores mem_mb endpoints services sidecars virtual_services destination_rules \
         lds_latency_ms cds_latency_ms",
    ),
    ("ServiceMesh", "type version labels annotations"),
    (
        "ApplicationMetadata",
        "application_name application_version helmchart_name helmchart_version cnabspec_version \
         compose_version cluster_name k8s_version_supported application_protocol",
    ),
    (
        "EnvironmentConfig",
        "smp_version id labels kubernetes_version nodes individual_workloads traffic_metadata",
    ),
    ("EnvironmentConfig.Node", "type cores mem_mb"),
    (
        "EnvironmentConfig.IndividualWorkload",
        "name count cpu_mcores mem_mb",
    ),
    (
        "EnvironmentConfig.TrafficMetadata",
        "load_balance_name load_balance_ip host_endpoint prometheus_url http_headers user_agent \
         ping_health_endpoint",
    ),
];

/// Both sides of the other test read our files; a wrong number in them would go unseen without
/// this.
#[test]
fn fields_have_the_numbers_of_the_specification() {
    for (message, names) in SPECIFIED {
        let fields = schema(&format!("smp.{message}"));
        let mut fields: Vec<_> = fields
            .fields()
            .map(|field| (field.number(), field.name().to_owned()))
            .collect();
        fields.sort();
        let specified: Vec<_> = (1..).zip(names.split(' ').map(str::to_owned)).collect();
        assert_eq!(fields, specified, "{message}");
    }
}

/// The bytes, field by field as they are on the wire, with no schema at all.
#[test]
fn the_bytes_have_the_numbers_of_the_specification() {
    let campaign = made_up::small();
    let folder = Folder::with("wire", &campaign);
    let smp = folder.0.join(&campaign.runs[4].id).join("smp");
    let yaml = fs::read_to_string(smp.join("result.yaml")).expect("written");
    let yaml: Value = serde_saphyr::from_str(&yaml).expect("it is YAML");
    let bytes = fs::read(smp.join("result.pb")).expect("written");
    let mut input = CodedInputStream::from_bytes(&bytes);
    let mut seen = Vec::new();
    while let Some(tag) = input.read_raw_tag_or_eof().expect("a tag") {
        let (number, kind) = (tag >> 3, tag & 7);
        seen.push(number);
        match (number, kind) {
            (1 | 2 | 8..=11, 2) => {
                let names = SPECIFIED[2].1.split(' ').collect::<Vec<_>>();
                let text = input.read_string().expect("text");
                assert_eq!(yaml[names[number as usize - 1]], text);
            }
            (3..=5, 2) => drop(input.read_bytes().expect("a message")),
            (6, 2) => latencies(
                &input.read_bytes().expect("a message"),
                &yaml["latencies_ms"],
            ),
            (7, 1) => assert_eq!(yaml["actual_qps"], input.read_double().expect("a number")),
            other => panic!("no such field: {other:?}"),
        }
    }
    seen.dedup();
    assert_eq!(seen, (1..=11).collect::<Vec<u32>>());
}

fn latencies(bytes: &[u8], yaml: &Value) {
    let mut input = CodedInputStream::from_bytes(bytes);
    for (number, name) in (1..).zip(["min", "average", "p50", "p90", "p99", "max"]) {
        let tag = input.read_raw_tag_or_eof().expect("a tag");
        assert_eq!(tag, Some(number << 3 | 1), "{name}");
        assert_eq!(yaml[name], input.read_double().expect("a number"), "{name}");
    }
}

/// A message of our files, read by the other parser.
fn schema(name: &str) -> MessageDescriptor {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto");
    let mut parser = Parser::new();
    parser.pure().include(&root);
    for file in ["metadata", "service_mesh", "service_mesh_performance"] {
        parser.input(root.join(format!("smp/{file}.proto")));
    }
    let well_known = protobuf::well_known_types::timestamp::file_descriptor().clone();
    let set = parser.file_descriptor_set().expect("the files are valid");
    let files =
        FileDescriptor::new_dynamic_fds(set.file, &[well_known]).expect("they fit each other");
    let found = files
        .iter()
        .find_map(|file| file.message_by_full_name(&format!(".{name}")));
    found.unwrap_or_else(|| panic!("{name} is in one of them"))
}

/// The message in the spelling of `result.yaml`.
fn value(message: &dyn MessageDyn) -> Value {
    let descriptor = message.descriptor_dyn();
    if descriptor.full_name() == "google.protobuf.Timestamp" {
        return timestamp(message);
    }
    let fields = descriptor.fields();
    let fields: Map<String, Value> = fields
        .filter_map(|field| Some((field.name().to_owned(), field_value(&field, message)?)))
        .collect();
    Value::Object(fields)
}

fn field_value(field: &FieldDescriptor, message: &dyn MessageDyn) -> Option<Value> {
    Some(match field.get_reflect(message) {
        ReflectFieldRef::Optional(one) => match one.value() {
            Some(one) => scalar(&one),
            None if field.proto().type_() == Type::TYPE_MESSAGE => return None,
            None => scalar(&field.get_singular_field_or_default(message)),
        },
        ReflectFieldRef::Repeated(list) => list.into_iter().map(|one| scalar(&one)).collect(),
        ReflectFieldRef::Map(map) => {
            let pairs = map.into_iter();
            pairs
                .map(|(key, one)| (key.to_str().expect("text").to_owned(), scalar(&one)))
                .collect()
        }
    })
}

fn scalar(one: &ReflectValueRef<'_>) -> Value {
    match one {
        ReflectValueRef::String(text) => json!(text),
        ReflectValueRef::F64(number) => json!(number),
        ReflectValueRef::I32(number) => json!(number),
        ReflectValueRef::I64(number) => json!(number),
        ReflectValueRef::Bool(truth) => json!(truth),
        ReflectValueRef::Message(message) => value(&**message),
        other => panic!("no result has such a value: {other:?}"),
    }
}

/// The windows of the made-up campaign begin and end with a second.
fn timestamp(message: &dyn MessageDyn) -> Value {
    let descriptor = message.descriptor_dyn();
    let seconds = descriptor.field_by_name("seconds").expect("a field");
    let seconds = seconds.get_singular_field_or_default(message);
    let seconds = seconds.to_i64().expect("a number");
    let time = time::OffsetDateTime::from_unix_timestamp(seconds).expect("a time");
    let format = &time::format_description::well_known::Rfc3339;
    json!(time.format(format).expect("it has a form"))
}
