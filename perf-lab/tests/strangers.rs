//! `result.pb` in the hands of an implementation of protobuf that shares nothing with ours: another
//! parser of the schema, another decoder. What it reads is what `result.yaml` says.

#[path = "report/folder.rs"]
mod folder;
#[path = "report/made_up.rs"]
mod made_up;

use std::fs;
use std::path::Path;

use folder::Folder;
use protobuf::MessageDyn;
use protobuf::descriptor::field_descriptor_proto::Type;
use protobuf::reflect::{
    FieldDescriptor, FileDescriptor, MessageDescriptor, ReflectFieldRef, ReflectValueRef,
};
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
    found.expect("the message is in one of them")
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
