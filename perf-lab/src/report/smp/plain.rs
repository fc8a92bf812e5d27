//! Messages as YAML or JSON in the spelling of SMP's files: names as in the schema, enums and
//! 64-bit integers as numbers, times as RFC 3339, labels in order.
//!
//! The serializer of prost-reflect keeps maps in no order; a report must have the same bytes each
//! time it is written.

use std::collections::BTreeMap;

use penstock_proto::prost::{Message, Name};
use penstock_proto::prost_reflect::{DynamicMessage, MapKey, ReflectMessage, Value};
use serde::ser::{Serialize, SerializeMap, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A message that can be written.
#[derive(Clone, Debug)]
pub(crate) struct Plain(DynamicMessage);

impl Plain {
    /// The message with its descriptor.
    pub(crate) fn of<M: Message + Name>(message: &M) -> Self {
        let name = M::full_name();
        let descriptor = penstock_proto::smp_pool()
            .get_message_by_name(&name)
            .expect("types and descriptors come from the same files");
        let mut dynamic = DynamicMessage::new(descriptor);
        dynamic
            .transcode_from(message)
            .expect("types and descriptors come from the same files");
        Self(dynamic)
    }
}

impl Serialize for Plain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        message(&self.0, serializer)
    }
}

struct Part<'a>(&'a Value);

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::I32(value) | Value::EnumNumber(value) => serializer.serialize_i32(*value),
            Value::I64(value) => serializer.serialize_i64(*value),
            Value::U32(value) => serializer.serialize_u32(*value),
            Value::U64(value) => serializer.serialize_u64(*value),
            Value::F32(value) => serializer.serialize_f32(*value),
            Value::F64(value) => serializer.serialize_f64(*value),
            Value::String(value) => serializer.serialize_str(value),
            Value::Bytes(value) => serializer.serialize_bytes(value),
            Value::Message(value) => message(value, serializer),
            Value::List(values) => serializer.collect_seq(values.iter().map(Part)),
            Value::Map(values) => {
                let sorted: BTreeMap<String, Part<'_>> = values
                    .iter()
                    .map(|(key, value)| (name(key), Part(value)))
                    .collect();
                serializer.collect_map(sorted)
            }
        }
    }
}

/// All fields, with those that are 0 or empty; messages only if they are there.
fn message<S: Serializer>(message: &DynamicMessage, serializer: S) -> Result<S::Ok, S::Error> {
    let descriptor = message.descriptor();
    if descriptor.full_name() == "google.protobuf.Timestamp" {
        return serializer.serialize_str(&timestamp(message));
    }
    let mut map = serializer.serialize_map(None)?;
    for field in descriptor.fields() {
        if !field.supports_presence() || message.has_field(&field) {
            map.serialize_entry(field.name(), &Part(&message.get_field(&field)))?;
        }
    }
    map.end()
}

fn timestamp(message: &DynamicMessage) -> String {
    let part = |number| match message.get_field_by_number(number).as_deref() {
        Some(Value::I64(value)) => i128::from(*value),
        Some(Value::I32(value)) => i128::from(*value),
        _ => 0,
    };
    let time = OffsetDateTime::from_unix_timestamp_nanos(part(1) * 1_000_000_000 + part(2));
    let text = time.ok().and_then(|time| time.format(&Rfc3339).ok());
    text.unwrap_or_default()
}

fn name(key: &MapKey) -> String {
    match key {
        MapKey::String(text) => text.clone(),
        MapKey::Bool(value) => value.to_string(),
        MapKey::I32(value) => value.to_string(),
        MapKey::I64(value) => value.to_string(),
        MapKey::U32(value) => value.to_string(),
        MapKey::U64(value) => value.to_string(),
    }
}
