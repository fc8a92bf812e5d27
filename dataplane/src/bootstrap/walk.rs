//! Nodes to messages, along the descriptors: every problem is collected, nothing is guessed.
//!
//! A field with a finding is left out of the message; what is built is used only if there was no
//! error. Meaning (required fields, limits, references) is not checked here but in `translate`.

use std::collections::HashMap;

use penstock_proto::prost_reflect::{
    Cardinality, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    OneofDescriptor, Value,
};
use penstock_proto::{prost::Message, prost_types};

use super::LoadOptions;
use super::extension;
use super::finding::{Finding, Severity};
use super::known;
use super::node::{Content, Entry, Node, Place, Scalar, Step, shorten};
use super::scalar::{self, Free, Mistake, mistake};
use super::span::{FieldPath, SpanIndex};

/// Findings of a file; more are counted, not listed.
const FINDINGS_MAX: usize = 1000;
/// Levels under a `Struct`: three levels of messages each, of which the decoder takes a hundred.
const FREE_DEPTH_MAX: u32 = 24;

/// One pass over a file.
pub(super) struct Walk<'a> {
    spans: &'a SpanIndex,
    options: &'a LoadOptions,
    path: FieldPath,
    findings: Vec<Finding>,
    left_out: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(spans: &'a SpanIndex, options: &'a LoadOptions) -> Self {
        Self {
            spans,
            options,
            path: FieldPath::default(),
            findings: Vec::new(),
            left_out: 0,
        }
    }

    /// Reads the whole file as a message.
    pub(super) fn run(
        mut self,
        root: &Node,
        message: &MessageDescriptor,
    ) -> (DynamicMessage, Vec<Finding>) {
        let value = self.message(root, message);
        if self.left_out > 0 {
            let reason = format!("{} more problems are not listed", self.left_out);
            let remedy = "correct these first".to_owned();
            self.findings
                .push(self.spans.finding_at(root.place, "", reason, remedy));
        }
        (
            value.unwrap_or_else(|| DynamicMessage::new(message.clone())),
            self.findings,
        )
    }

    fn message(&mut self, node: &Node, message: &MessageDescriptor) -> Option<DynamicMessage> {
        match message.full_name() {
            "google.protobuf.Any" => self.any(node),
            "google.protobuf.Duration" => self.duration(node, message),
            "google.protobuf.Struct" => self.structure(node, message),
            name if is_wrapper(name) => self.wrapper(node, message),
            _ => self.fields(node, message),
        }
    }

    /// An ordinary message: a map of its fields. Under an `Any` the key `@type` is among them.
    fn fields(&mut self, node: &Node, message: &MessageDescriptor) -> Option<DynamicMessage> {
        let Content::Map(entries) = &node.content else {
            let name = message.name();
            self.report(
                node.place,
                format!("expected a map ({name}), found {}", node.describe()),
                "write its fields as keys",
            );
            return None;
        };
        let mut built = DynamicMessage::new(message.clone());
        let mut seen = Seen::default();
        for entry in entries.iter().filter(|entry| *entry.key != *"@type") {
            let Some(field) = field_of(message, &entry.key) else {
                self.missing_field(message, entry);
                continue;
            };
            let length = self.path.push(&Step::Field(field.name()));
            if self.is_free(&mut seen, &field, entry)
                && let Some(value) = self.field(&entry.value, &field)
            {
                built.set_field(&field, value);
            }
            self.path.pop(length);
        }
        Some(built)
    }

    /// Whether neither the field nor another one of its oneof has been set already.
    fn is_free(&mut self, seen: &mut Seen, field: &FieldDescriptor, entry: &Entry) -> bool {
        if let Some(first) = seen.fields.insert(field.number(), entry.key_place.line) {
            self.report(
                entry.key_place,
                format!("set twice, first at line {first}"),
                "remove one of them",
            );
            return false;
        }
        let Some(oneof) = field.containing_oneof().filter(|_| !entry.value.is_null()) else {
            return true;
        };
        let first = seen
            .oneofs
            .entry(oneof.name().to_owned())
            .or_insert_with(|| field.clone());
        if first.number() == field.number() {
            return true;
        }
        let reason = format!("excludes `{}`, which is set too", first.name());
        let remedy = format!("keep one of {}", members(&oneof));
        self.report(entry.key_place, reason, remedy);
        false
    }

    fn field(&mut self, node: &Node, field: &FieldDescriptor) -> Option<Value> {
        if node.is_null() {
            return None;
        }
        if field.is_map() {
            return self.map(node, field);
        }
        match field.cardinality() {
            Cardinality::Repeated => self.list(node, field),
            _ => self.value(node, field),
        }
    }

    fn list(&mut self, node: &Node, field: &FieldDescriptor) -> Option<Value> {
        let Content::List(items) = &node.content else {
            self.report(
                node.place,
                format!("expected a list, found {}", node.describe()),
                "begin each element with a dash, or use [ ]",
            );
            return None;
        };
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let length = self.path.push(&Step::Index(index));
            if item.is_null() {
                self.report(
                    item.place,
                    "an element is missing",
                    "write it or remove the dash",
                );
            } else {
                values.extend(self.value(item, field));
            }
            self.path.pop(length);
        }
        Some(Value::List(values))
    }

    fn map(&mut self, node: &Node, field: &FieldDescriptor) -> Option<Value> {
        let (Content::Map(entries), Kind::Message(pair)) = (&node.content, field.kind()) else {
            self.report(
                node.place,
                format!("expected a map, found {}", node.describe()),
                "write each key with its value",
            );
            return None;
        };
        let mut values = HashMap::with_capacity(entries.len());
        for entry in entries {
            let length = self.path.push(&Step::Key(&entry.key));
            if let Some(value) = self.value(&entry.value, &pair.map_entry_value_field()) {
                values.insert(MapKey::String(entry.key.as_ref().to_owned()), value);
            }
            self.path.pop(length);
        }
        Some(Value::Map(values))
    }

    /// One value: a field that is not repeated, an element of a list or the value of a map.
    fn value(&mut self, node: &Node, field: &FieldDescriptor) -> Option<Value> {
        if let Kind::Message(message) = field.kind() {
            return self.message(node, &message).map(Value::Message);
        }
        let Content::Scalar(scalar) = &node.content else {
            self.report(
                node.place,
                format!(
                    "expected {}, found {}",
                    kind_name(&field.kind()),
                    node.describe()
                ),
                "write a single value",
            );
            return None;
        };
        match scalar_value(scalar, &field.kind()) {
            Ok(value) => Some(value),
            Err(mistake) => self.refuse(node.place, mistake),
        }
    }

    /// `google.protobuf.Any`: `@type` says which message the other keys are fields of.
    fn any(&mut self, node: &Node) -> Option<DynamicMessage> {
        let url = self.type_url(node)?;
        let name = url.text.rsplit_once('/').map_or("", |(_, name)| name);
        let Some(message) = served_message(name) else {
            self.unserved_type(url.place, name);
            return None;
        };
        let built = self.fields(node, &message)?.encode_to_vec();
        match extension::canonical(name, &built)? {
            Ok(value) => {
                let any = prost_types::Any {
                    type_url: url.text,
                    value,
                };
                self.dynamic("google.protobuf.Any", &any, node.place)
            }
            Err(error) => {
                self.report(
                    node.place,
                    format!("cannot be kept: {error}"),
                    "simplify it",
                );
                None
            }
        }
    }

    fn type_url(&mut self, node: &Node) -> Option<TypeUrl> {
        let remedy = "write \"@type\": type.googleapis.com/… of the extension";
        let Content::Map(entries) = &node.content else {
            self.report(
                node.place,
                format!("expected a map with `@type`, found {}", node.describe()),
                remedy,
            );
            return None;
        };
        let Some(entry) = entries.iter().find(|entry| *entry.key == *"@type") else {
            self.report(node.place, "`@type` is missing", remedy);
            return None;
        };
        match &entry.value.content {
            Content::Scalar(scalar) if scalar.text.contains('/') => Some(TypeUrl {
                place: entry.value.place,
                text: scalar.text.to_string(),
            }),
            _ => {
                let reason = format!("{} is not a type URL", entry.value.describe());
                self.report(entry.value.place, reason, remedy);
                None
            }
        }
    }

    fn duration(&mut self, node: &Node, message: &MessageDescriptor) -> Option<DynamicMessage> {
        let Content::Scalar(scalar) = &node.content else {
            self.report(
                node.place,
                format!("expected a duration, found {}", node.describe()),
                "write seconds with the letter s, for example 1.5s",
            );
            return None;
        };
        match scalar::duration(scalar) {
            Ok((seconds, nanos)) => {
                let mut built = DynamicMessage::new(message.clone());
                built.set_field_by_number(1, Value::I64(seconds));
                built.set_field_by_number(2, Value::I32(nanos));
                Some(built)
            }
            Err(mistake) => self.refuse(node.place, mistake),
        }
    }

    /// `google.protobuf.BoolValue` and its kind: a plain scalar.
    fn wrapper(&mut self, node: &Node, message: &MessageDescriptor) -> Option<DynamicMessage> {
        let field = message.get_field(1)?;
        let mut built = DynamicMessage::new(message.clone());
        built.set_field(&field, self.value(node, &field)?);
        Some(built)
    }

    /// `google.protobuf.Struct`: free data.
    fn structure(&mut self, node: &Node, message: &MessageDescriptor) -> Option<DynamicMessage> {
        let Content::Map(entries) = &node.content else {
            self.report(
                node.place,
                format!("expected a map, found {}", node.describe()),
                "write keys with values",
            );
            return None;
        };
        if node.depth > FREE_DEPTH_MAX {
            self.report(
                node.place,
                format!("more than {FREE_DEPTH_MAX} levels deep"),
                "use fewer levels",
            );
            return None;
        }
        let data = free_struct(entries);
        self.dynamic(message.full_name(), &data, node.place)
    }

    /// A message of ours as the dynamic one of the same name.
    fn dynamic(
        &mut self,
        name: &str,
        message: &impl Message,
        place: Place,
    ) -> Option<DynamicMessage> {
        let descriptor = penstock_proto::pool().get_message_by_name(name)?;
        let built = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice());
        built
            .map_err(|error| self.report(place, format!("cannot be kept: {error}"), "simplify it"))
            .ok()
    }

    fn missing_field(&mut self, message: &MessageDescriptor, entry: &Entry) {
        let length = self.path.push(&Step::Field(&entry.key));
        let guards = known::guards(message, &entry.key);
        let dropped = self.options.allow_unknown_static_fields && !guards;
        let severity = if dropped {
            Severity::Warning
        } else {
            Severity::Error
        };
        let (reason, remedy) = if known::is_envoy_field(message, &entry.key) {
            let remedy = if guards {
                "remove it: what it guards would be open"
            } else {
                "remove it"
            };
            (
                "a field of Envoy that is not served".to_owned(),
                remedy.to_owned(),
            )
        } else {
            (
                format!("{} has no such field", message.name()),
                spelling(message, &entry.key),
            )
        };
        let remedy = if dropped {
            "it is left out".to_owned()
        } else {
            remedy
        };
        self.report_as(severity, entry.key_place, reason, remedy);
        self.path.pop(length);
    }

    fn unserved_type(&mut self, place: Place, name: &str) {
        let length = self.path.push(&Step::Field("@type"));
        let known = known::is_envoy_extension(name) || name.ends_with(".TypedStruct");
        let (reason, remedy) = match known::nearest(name, extension::names()) {
            _ if known => (
                format!("`{name}` is an Envoy extension that is not served"),
                "remove it, or use an extension that is served".to_owned(),
            ),
            Some(near) => (no_extension(name), format!("did you mean `{near}`?")),
            None => (no_extension(name), "check its spelling".to_owned()),
        };
        self.report(place, reason, remedy);
        self.path.pop(length);
    }

    fn refuse<T>(&mut self, place: Place, mistake: Mistake) -> Option<T> {
        self.report(place, mistake.reason, mistake.remedy);
        None
    }

    fn report(&mut self, place: Place, reason: impl Into<String>, remedy: impl Into<String>) {
        self.report_as(Severity::Error, place, reason.into(), remedy.into());
    }

    fn report_as(&mut self, severity: Severity, place: Place, reason: String, remedy: String) {
        if self.findings.len() >= FINDINGS_MAX {
            self.left_out += 1;
            return;
        }
        let path = self.path.as_str();
        let finding = self.spans.finding_at(place, path, reason, remedy);
        self.findings.push(Finding {
            severity,
            ..finding
        });
    }
}

/// What a message has already.
#[derive(Default)]
struct Seen {
    /// Line of each field, by number.
    fields: HashMap<u32, u32>,
    /// The member that is set, by oneof.
    oneofs: HashMap<String, FieldDescriptor>,
}

struct TypeUrl {
    place: Place,
    text: String,
}

fn field_of(message: &MessageDescriptor, key: &str) -> Option<FieldDescriptor> {
    message
        .get_field_by_name(key)
        .or_else(|| message.get_field_by_json_name(key))
}

/// The options of an extension, if it is served.
fn served_message(full_name: &str) -> Option<MessageDescriptor> {
    let served = extension::names().any(|name| name == full_name);
    served
        .then(|| penstock_proto::pool().get_message_by_name(full_name))
        .flatten()
}

fn no_extension(name: &str) -> String {
    format!("no extension has options of type `{}`", shorten(name))
}

fn members(oneof: &OneofDescriptor) -> String {
    oneof
        .fields()
        .map(|field| format!("`{}`", field.name()))
        .collect::<Vec<_>>()
        .join(", ")
}

fn spelling(message: &MessageDescriptor, key: &str) -> String {
    let fields: Vec<_> = message.fields().collect();
    let names = fields
        .iter()
        .flat_map(|field| [field.name(), field.json_name()]);
    match known::nearest(key, names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "remove it or check its spelling and its indentation".to_owned(),
    }
}

fn is_wrapper(full_name: &str) -> bool {
    full_name.starts_with("google.protobuf.")
        && full_name.ends_with("Value")
        && full_name != "google.protobuf.Value"
        && full_name != "google.protobuf.ListValue"
}

fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Bool => "a boolean",
        Kind::String => "a text",
        Kind::Bytes => "base64",
        Kind::Float | Kind::Double => "a number",
        Kind::Enum(_) => "a name",
        _ => "a whole number",
    }
}

/// A scalar as the kind of its field wants it.
fn scalar_value(scalar: &Scalar, kind: &Kind) -> Result<Value, Mistake> {
    let whole = |least: i128, most: i128| scalar::integer(scalar, least, most);
    Ok(match kind {
        Kind::Bool => Value::Bool(scalar::boolean(scalar)?),
        Kind::String => Value::String(scalar.text.to_string()),
        Kind::Bytes => Value::Bytes(scalar::bytes(scalar)?.into()),
        Kind::Float => Value::F32(scalar::float(scalar)? as f32),
        Kind::Double => Value::F64(scalar::float(scalar)?),
        Kind::Enum(names) => return enum_value(scalar, names),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            Value::I32(whole(i32::MIN.into(), i32::MAX.into())? as i32)
        }
        Kind::Uint32 | Kind::Fixed32 => Value::U32(whole(0, u32::MAX.into())? as u32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            Value::I64(whole(i64::MIN.into(), i64::MAX.into())? as i64)
        }
        Kind::Uint64 | Kind::Fixed64 => Value::U64(whole(0, u64::MAX.into())? as u64),
        Kind::Message(_) => return Err(mistake("expected a map", "write its fields as keys")),
    })
}

/// An enum value by its name or its number.
fn enum_value(scalar: &Scalar, names: &EnumDescriptor) -> Result<Value, Mistake> {
    let text = &*scalar.text;
    let by_number = || text.parse().ok().and_then(|number| names.get_value(number));
    if let Some(value) = names.get_value_by_name(text).or_else(by_number) {
        return Ok(Value::EnumNumber(value.number()));
    }
    let served: Vec<_> = names
        .values()
        .map(|value| value.name().to_owned())
        .collect();
    let remedy = format!("use one of {}", served.join(", "));
    let text = shorten(text);
    Err(if known::is_envoy_value(names, &text) {
        mistake(
            format!("`{text}` is a value of Envoy that is not served"),
            remedy,
        )
    } else {
        mistake(format!("{} has no value `{text}`", names.name()), remedy)
    })
}

fn free_struct(entries: &[Entry]) -> prost_types::Struct {
    let pair = |entry: &Entry| (entry.key.as_ref().to_owned(), free_value(&entry.value));
    prost_types::Struct {
        fields: entries.iter().map(pair).collect(),
    }
}

/// Free data; the caller has bounded its depth.
fn free_value(node: &Node) -> prost_types::Value {
    use prost_types::value::Kind;
    let kind = match &node.content {
        Content::Map(entries) => Kind::StructValue(free_struct(entries)),
        Content::List(items) => {
            let values = items.iter().map(|item| free_value(item)).collect();
            Kind::ListValue(prost_types::ListValue { values })
        }
        Content::Scalar(scalar) => match scalar::free(scalar) {
            Free::Null => Kind::NullValue(0),
            Free::Bool(value) => Kind::BoolValue(value),
            Free::Number(value) => Kind::NumberValue(value),
            Free::Text => Kind::StringValue(scalar.text.to_string()),
        },
    };
    prost_types::Value { kind: Some(kind) }
}
