//! One file with every field that is served: nothing in our protos may be without a meaning.

use std::collections::BTreeSet;

use penstock_proto::envoy::config::bootstrap::v3::Bootstrap;
use penstock_proto::prost::{Message, Name};
use penstock_proto::prost_reflect::{DynamicMessage, ReflectMessage, Value};
use penstock_proto::prost_types;

use super::*;
use crate::bootstrap::tests::mangled;

/// Named in the file with the only value that is accepted, which is the default.
const ALWAYS_DEFAULT: &[&str] = &[
    "envoy.config.core.v3.Http1ProtocolOptions.allow_chunked_length",
    "envoy.config.core.v3.SocketAddress.protocol",
];

/// The file reads another one, which must be there on every machine.
fn text() -> String {
    let other = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    include_str!("every_field.yaml").replace("/etc/hostname", other)
}

#[test]
fn every_field_is_accepted() {
    assert_eq!(report(&mut translator(false), &text()), [""; 0]);
}

/// Broken copies that can still be read must not break the translation either.
#[test]
fn mangled_files_never_panic() {
    let text = text();
    let options = LoadOptions {
        allow_unknown_static_fields: true,
    };
    let mut translator = translator(true);
    let seeds = std::env::var("PENSTOCK_SEEDS")
        .ok()
        .and_then(|seeds| seeds.parse().ok());
    for seed in 0..seeds.unwrap_or(300) {
        if let Ok(loaded) = load_str("b.yaml", &mangled(&text, seed), &options) {
            drop(translator.apply(&loaded, &Resolved::new()));
        }
    }
}

#[test]
fn every_field_is_in_the_file() {
    let mut seen = BTreeSet::new();
    let bootstrap = read(&text()).bootstrap.encode_to_vec();
    collect(&Bootstrap::full_name(), &bootstrap, &mut seen);
    let served = penstock_proto::pool().all_messages();
    let ours = served.filter(|message| message.package_name().starts_with("envoy."));
    let missing: Vec<String> = ours
        .filter(|message| !message.is_map_entry())
        .flat_map(|message| message.fields().collect::<Vec<_>>())
        .map(|field| field.full_name().to_owned())
        .filter(|name| !seen.contains(name) && !ALWAYS_DEFAULT.contains(&name.as_str()))
        .collect();
    assert_eq!(missing, [""; 0]);
}

fn collect(name: &str, bytes: &[u8], seen: &mut BTreeSet<String>) {
    let message = penstock_proto::pool()
        .get_message_by_name(name)
        .expect("served");
    let message = DynamicMessage::decode(message, bytes).expect("just encoded");
    collect_message(&message, seen);
}

fn collect_message(message: &DynamicMessage, seen: &mut BTreeSet<String>) {
    if message.descriptor().full_name() == "google.protobuf.Any" {
        let any: prost_types::Any = message.transcode_to().expect("it is one");
        let name = any.type_url.rsplit_once('/').expect("a type URL").1;
        return collect(name, &any.value, seen);
    }
    for (field, value) in message.fields() {
        seen.insert(field.full_name().to_owned());
        collect_value(value, seen);
    }
}

fn collect_value(value: &Value, seen: &mut BTreeSet<String>) {
    match value {
        Value::Message(message) => collect_message(message, seen),
        Value::List(values) => values.iter().for_each(|value| collect_value(value, seen)),
        Value::Map(values) => values.values().for_each(|value| collect_value(value, seen)),
        _ => {}
    }
}
