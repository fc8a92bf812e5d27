//! Access logs: which format goes to which sink.

use penstock_core::config::AccessLog as CoreAccessLog;
use penstock_core::format::{Absent, Format, FormatError, JsonValue};
use penstock_proto::envoy::config::accesslog::v3::AccessLog;
use penstock_proto::envoy::config::accesslog::v3::access_log::ConfigType;
use penstock_proto::envoy::config::core::v3::SubstitutionFormatString;
use penstock_proto::envoy::config::core::v3::substitution_format_string::Format as Kind;
use penstock_proto::envoy::extensions::access_loggers::file::v3::FileAccessLog;
use penstock_proto::envoy::extensions::access_loggers::file::v3::file_access_log::AccessLogFormat;
use penstock_proto::envoy::extensions::access_loggers::stream::v3::{
    StderrAccessLog, StdoutAccessLog, stderr_access_log, stdout_access_log,
};
use penstock_proto::prost::Name;
use penstock_proto::prost_types::value::Kind as ValueKind;
use penstock_proto::prost_types::{Any, Struct, Value};

use super::draft::Draft;
use crate::telemetry::access_log::SinkSpec;

/// Texts of a JSON format may be written as numbers, or must all become texts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Types {
    Kept,
    AllText,
}

impl Draft<'_> {
    /// The access logs of a list field called `access_log`.
    pub(super) fn access_logs(&mut self, logs: &[AccessLog]) -> Vec<CoreAccessLog> {
        let built = self.each("access_log", logs, |draft, log| draft.access_log(log));
        built.into_iter().flatten().collect()
    }

    fn access_log(&mut self, log: &AccessLog) -> Option<CoreAccessLog> {
        let Some(ConfigType::TypedConfig(any)) = &log.config_type else {
            self.error(
                "typed_config",
                "is missing",
                "write the options of a logger",
            );
            return None;
        };
        let (sink, format) = self.field("typed_config", |draft| draft.logger(any))?;
        self.sink_log("", sink, format)
    }

    /// A log with this sink; too many sinks are reported at `field`.
    pub(super) fn sink_log(
        &mut self,
        field: &str,
        sink: SinkSpec,
        format: Format,
    ) -> Option<CoreAccessLog> {
        match self.sinks.intern(sink) {
            Ok(sink) => Some(CoreAccessLog { sink, format }),
            Err(error) => {
                self.error(field, error.to_string(), "");
                None
            }
        }
    }

    fn logger(&mut self, any: &Any) -> Option<(SinkSpec, Format)> {
        let is = |name: String| {
            any.type_url
                .rsplit_once('/')
                .is_some_and(|(_, tail)| tail == name)
        };
        if is(StdoutAccessLog::full_name()) {
            let options: StdoutAccessLog = self.options(any)?;
            let stdout_access_log::AccessLogFormat::LogFormat(format) =
                options.access_log_format.unwrap_or_else(default_stdout);
            return Some((SinkSpec::Stdout, self.log_format(&format)));
        }
        if is(StderrAccessLog::full_name()) {
            let options: StderrAccessLog = self.options(any)?;
            let stderr_access_log::AccessLogFormat::LogFormat(format) =
                options.access_log_format.unwrap_or_else(default_stderr);
            return Some((SinkSpec::Stderr, self.log_format(&format)));
        }
        let options: FileAccessLog = self.options(any)?;
        self.required("path", &options.path, "write the name of a file");
        let format = match &options.access_log_format {
            None => self.text("log_format", Format::DEFAULT, Absent::Marked),
            Some(AccessLogFormat::Format(text)) => self.text("format", text, Absent::Marked),
            Some(AccessLogFormat::JsonFormat(fields)) => {
                self.json("json_format", fields, Absent::Marked, Types::AllText)
            }
            Some(AccessLogFormat::TypedJsonFormat(fields)) => {
                self.json("typed_json_format", fields, Absent::Marked, Types::Kept)
            }
            Some(AccessLogFormat::LogFormat(format)) => self.log_format(format),
        };
        Some((SinkSpec::from_path(&options.path), format))
    }

    /// `SubstitutionFormatString` in a field called `log_format`.
    fn log_format(&mut self, format: &SubstitutionFormatString) -> Format {
        let absent = if format.omit_empty_values {
            Absent::Omitted
        } else {
            Absent::Marked
        };
        self.field("log_format", |draft| match &format.format {
            None => {
                draft.error(
                    "",
                    "says nothing",
                    "write text_format_source or json_format",
                );
                Format::default()
            }
            Some(Kind::TextFormat(text)) => draft.text("text_format", text, absent),
            Some(Kind::JsonFormat(fields)) => {
                draft.json("json_format", fields, absent, Types::Kept)
            }
            Some(Kind::TextFormatSource(source)) => {
                let text = draft.field("text_format_source", |draft| draft.data_text(source));
                draft.text("text_format_source", &text, absent)
            }
        })
    }

    fn text(&mut self, field: &str, text: &str, absent: Absent) -> Format {
        let parsed = Format::parse(text).map(|format| format.with_absent(absent));
        self.checked(field, parsed)
    }

    fn json(&mut self, field: &str, fields: &Struct, absent: Absent, types: Types) -> Format {
        let parsed = Format::json(object(fields, types)).map(|format| format.with_absent(absent));
        self.checked(field, parsed)
    }

    /// A format, or its error at a field.
    pub(super) fn checked(&mut self, field: &str, parsed: Result<Format, FormatError>) -> Format {
        parsed.unwrap_or_else(|error| {
            self.error(field, error.to_string(), "");
            Format::default()
        })
    }
}

fn default_stdout() -> stdout_access_log::AccessLogFormat {
    stdout_access_log::AccessLogFormat::LogFormat(default_format())
}

fn default_stderr() -> stderr_access_log::AccessLogFormat {
    stderr_access_log::AccessLogFormat::LogFormat(default_format())
}

fn default_format() -> SubstitutionFormatString {
    SubstitutionFormatString {
        format: Some(Kind::TextFormat(Format::DEFAULT.to_owned())),
        ..Default::default()
    }
}

fn object(fields: &Struct, types: Types) -> Vec<(String, JsonValue)> {
    let pairs = fields.fields.iter();
    pairs
        .map(|(name, value)| (name.clone(), json_value(value, types)))
        .collect()
}

fn json_value(value: &Value, types: Types) -> JsonValue {
    match &value.kind {
        None | Some(ValueKind::NullValue(_)) => JsonValue::Null,
        Some(ValueKind::BoolValue(value)) if types == Types::Kept => JsonValue::Bool(*value),
        Some(ValueKind::NumberValue(value)) if types == Types::Kept => JsonValue::Number(*value),
        Some(ValueKind::BoolValue(value)) => JsonValue::Text(value.to_string()),
        Some(ValueKind::NumberValue(value)) => JsonValue::Text(value.to_string()),
        Some(ValueKind::StringValue(text)) => JsonValue::Text(text.clone()),
        Some(ValueKind::StructValue(fields)) => JsonValue::Object(object(fields, types)),
        Some(ValueKind::ListValue(list)) => JsonValue::List(
            list.values
                .iter()
                .map(|value| json_value(value, types))
                .collect(),
        ),
    }
}
