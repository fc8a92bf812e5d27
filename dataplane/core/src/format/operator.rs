//! Operators by name: what they are called in Envoy, and what each one reads.

use super::time::TimeFormat;
use super::value::Value;
use crate::access_log::{Facts, Flags, Record};
use crate::event::Time;
use crate::http::h1::is_token_byte;
use crate::http::{Fields, HeaderId, RequestHead};

/// An operator with its argument and length.
#[derive(Debug)]
pub(super) struct Operator {
    command: Command,
    /// `:N`: at most this many bytes of the value.
    pub(super) bytes_max: Option<u32>,
}

#[derive(Debug)]
enum Command {
    /// `%REQ(X?Y)%`
    Request(Names),
    /// `%REQ_WITHOUT_QUERY(X?Y)%`
    RequestWithoutQuery(Names),
    /// `%RESP(X?Y)%`
    Response(Names),
    /// `%TRAILER(X?Y)%`
    Trailer(Names),
    /// `%PATH(query:which)%`
    Path { query: bool, which: WhichPath },
    /// `%START_TIME(format)%`
    StartTime(TimeFormat),
    /// `%EMIT_TIME(format)%`
    EmitTime(TimeFormat),
    /// `%COMMON_DURATION(from:to:unit)%`
    CommonDuration(Point, Point, Unit),
    /// Without argument.
    Simple(Simple),
}

/// A field and the one that stands in for it.
#[derive(Debug)]
struct Names {
    first: Name,
    second: Option<Name>,
}

#[derive(Debug)]
enum Name {
    Method,
    Path,
    Authority,
    Scheme,
    Field(Box<[u8]>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum WhichPath {
    Now,
    Original,
    OriginalOrNow,
}

/// Moments of an exchange.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Point {
    RequestStart,
    RequestEnd,
    UpstreamStart,
    ResponseStart,
    ResponseEnd,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unit {
    Nanoseconds,
    Microseconds,
    Milliseconds,
}

/// Declares the operators without argument.
macro_rules! simple {
    ($($variant:ident = $name:literal,)*) => {
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        enum Simple { $($variant,)* }

        const SIMPLE: &[(&str, Simple)] = &[$(($name, Simple::$variant),)*];
    };
}

simple! {
    Protocol = "PROTOCOL",
    ResponseCode = "RESPONSE_CODE",
    ResponseCodeDetails = "RESPONSE_CODE_DETAILS",
    ResponseFlags = "RESPONSE_FLAGS",
    ResponseFlagsLong = "RESPONSE_FLAGS_LONG",
    BytesReceived = "BYTES_RECEIVED",
    BytesSent = "BYTES_SENT",
    Duration = "DURATION",
    RequestDuration = "REQUEST_DURATION",
    ResponseDuration = "RESPONSE_DURATION",
    ResponseTxDuration = "RESPONSE_TX_DURATION",
    UpstreamHost = "UPSTREAM_HOST",
    UpstreamCluster = "UPSTREAM_CLUSTER",
    UpstreamClusterRaw = "UPSTREAM_CLUSTER_RAW",
    UpstreamLocal = "UPSTREAM_LOCAL_ADDRESS",
    UpstreamLocalIp = "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    UpstreamLocalPort = "UPSTREAM_LOCAL_PORT",
    UpstreamRemote = "UPSTREAM_REMOTE_ADDRESS",
    UpstreamRemoteIp = "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    UpstreamRemotePort = "UPSTREAM_REMOTE_PORT",
    UpstreamAttempts = "UPSTREAM_REQUEST_ATTEMPT_COUNT",
    UpstreamFailure = "UPSTREAM_TRANSPORT_FAILURE_REASON",
    DownstreamRemote = "DOWNSTREAM_REMOTE_ADDRESS",
    DownstreamRemoteIp = "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    DownstreamRemotePort = "DOWNSTREAM_REMOTE_PORT",
    DownstreamDirect = "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
    DownstreamDirectIp = "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
    DownstreamDirectPort = "DOWNSTREAM_DIRECT_REMOTE_PORT",
    DownstreamLocal = "DOWNSTREAM_LOCAL_ADDRESS",
    DownstreamLocalIp = "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    DownstreamLocalPort = "DOWNSTREAM_LOCAL_PORT",
    RouteName = "ROUTE_NAME",
    VirtualHostName = "VIRTUAL_HOST_NAME",
    VirtualClusterName = "VIRTUAL_CLUSTER_NAME",
    RequestedServerName = "REQUESTED_SERVER_NAME",
    ConnectionId = "CONNECTION_ID",
    ConnectionTermination = "CONNECTION_TERMINATION_DETAILS",
    Hostname = "HOSTNAME",
    StreamId = "STREAM_ID",
    TraceId = "TRACE_ID",
}

/// Operators with an argument.
const WITH_ARGUMENT: &[&str] = &[
    "REQ",
    "REQ_WITHOUT_QUERY",
    "RESP",
    "TRAILER",
    "PATH",
    "START_TIME",
    "EMIT_TIME",
    "COMMON_DURATION",
];

/// Beginnings of operators that Envoy has and Penstock does not.
const NOT_SERVED: &[&str] = &[
    "ACCESS_LOG_TYPE",
    "CEL",
    "CLUSTER_METADATA",
    "CONNECTION_POOL",
    "CUSTOM_FLAGS",
    "DOWNSTREAM_",
    "DYNAMIC_METADATA",
    "ENVIRONMENT",
    "FILTER_CHAIN_NAME",
    "FILTER_STATE",
    "GRPC_STATUS",
    "LISTENER_METADATA",
    "LOCAL_REPLY_BODY",
    "METADATA",
    "QUERY_PARAM",
    "REQUEST_",
    "RESPONSE_",
    "ROUNDTRIP_DURATION",
    "START_TIME_LOCAL",
    "TLS_JA",
    "UNIQUE_ID",
    "UPSTREAM_",
    "VIRTUAL_HOST_METADATA",
];

impl Operator {
    /// From name, argument and length, or why not.
    pub(super) fn parse(
        name: &str,
        argument: Option<&str>,
        bytes_max: Option<u32>,
    ) -> Result<Self, String> {
        if let Some((_, simple)) = SIMPLE.iter().find(|(known, _)| *known == name) {
            let command = Command::Simple(*simple);
            return match argument {
                None | Some("") => Ok(Self { command, bytes_max }),
                Some(argument) => Err(format!("{name} takes no argument, not {argument:?}")),
            };
        }
        let command = match name {
            "REQ" => Command::Request(Names::parse(name, argument)?),
            "REQ_WITHOUT_QUERY" => Command::RequestWithoutQuery(Names::parse(name, argument)?),
            "RESP" if argument.is_some_and(|name| name.eq_ignore_ascii_case(":status")) => {
                Command::Simple(Simple::ResponseCode)
            }
            "RESP" => Command::Response(Names::parse(name, argument)?),
            "TRAILER" => Command::Trailer(Names::parse(name, argument)?),
            "PATH" => path(argument.unwrap_or(""))?,
            "START_TIME" => Command::StartTime(TimeFormat::parse(argument.unwrap_or(""))?),
            "EMIT_TIME" => Command::EmitTime(TimeFormat::parse(argument.unwrap_or(""))?),
            "COMMON_DURATION" => common_duration(argument.unwrap_or(""))?,
            _ => return Err(unknown(name)),
        };
        Ok(Self { command, bytes_max })
    }

    /// What it says of an exchange.
    pub(super) fn value<'a>(&'a self, facts: &Facts<'a>) -> Value<'a> {
        let record = facts.record;
        match &self.command {
            Command::Request(names) => names.find(|name| request_field(facts.request, name)),
            Command::RequestWithoutQuery(names) => {
                match names.find(|name| request_field(facts.request, name)) {
                    Value::Text(text) => Value::Text(without_query(text)),
                    value => value,
                }
            }
            Command::Response(names) => match facts.response {
                Some(response) => names.find(|name| field(&response.fields, name)),
                None => Value::Absent,
            },
            Command::Trailer(names) => match facts.trailers {
                Some(trailers) => names.find(|name| field(trailers, name)),
                None => Value::Absent,
            },
            Command::Path { query, which } => path_value(facts, *query, *which),
            Command::StartTime(format) => Value::Time(format, record.start_wall),
            Command::EmitTime(format) => match between(record.start, record.end) {
                Some(passed) => Value::Time(format, record.start_wall.saturating_add(passed)),
                None => Value::Absent,
            },
            Command::CommonDuration(from, to, unit) => duration(record, *from, *to, *unit),
            Command::Simple(simple) => simple_value(*simple, facts),
        }
    }
}

/// The error for an unknown name: not served, or probably misspelt.
fn unknown(name: &str) -> String {
    let known = || {
        SIMPLE
            .iter()
            .map(|(name, _)| *name)
            .chain(WITH_ARGUMENT.iter().copied())
    };
    let near = known().map(|known| (distance(name, known), known)).min();
    if let Some((distance, near)) = near
        && distance <= 1 + name.len() / 6
    {
        return format!("there is no operator {name}; did you mean {near}?");
    }
    if NOT_SERVED
        .iter()
        .any(|beginning| name.starts_with(beginning))
    {
        return format!("the operator {name} is not served");
    }
    format!("there is no operator {name}")
}

/// Levenshtein distance.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, left) in from.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, right) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

impl Names {
    fn parse(operator: &str, argument: Option<&str>) -> Result<Self, String> {
        let argument = argument.unwrap_or("");
        let (first, second) = match argument.split_once('?') {
            Some((first, second)) => (first, Some(second)),
            None => (argument, None),
        };
        let name = |text: &str| match Name::parse(text) {
            Some(Name::Field(_)) | None if text.starts_with(':') => {
                Err(format!("there is no pseudo-header {text}"))
            }
            Some(Name::Field(name)) => Ok(Name::Field(name)),
            Some(_) if !operator.starts_with("REQ") => {
                Err(format!("{text} is only in requests; use REQ({text})"))
            }
            Some(name) => Ok(name),
            None => Err(format!(
                "{operator} needs the name of a header, or two with a question mark \
                         between them; {text:?} is none"
            )),
        };
        Ok(Self {
            first: name(first)?,
            second: second.map(name).transpose()?,
        })
    }

    /// The value of the first name that has one.
    fn find<'a>(&self, value: impl Fn(&Name) -> Value<'a>) -> Value<'a> {
        match (value(&self.first), &self.second) {
            (Value::Absent, Some(second)) => value(second),
            (value, _) => value,
        }
    }
}

impl Name {
    /// `None` if it is no name of a field (RFC 9110 section 5.1).
    fn parse(text: &str) -> Option<Self> {
        let is_name = |byte: u8| is_token_byte(byte) && byte != b'%';
        let name = text.to_ascii_lowercase();
        match &*name {
            ":method" => Some(Self::Method),
            ":path" => Some(Self::Path),
            ":authority" | "host" => Some(Self::Authority),
            ":scheme" => Some(Self::Scheme),
            "" => None,
            _ if !name.bytes().all(is_name) => None,
            _ => Some(Self::Field(name.into_bytes().into())),
        }
    }
}

fn request_field<'a>(request: &'a RequestHead, name: &Name) -> Value<'a> {
    match name {
        Name::Method => Value::text(request.method_text()),
        Name::Path => Value::text(request.target()),
        Name::Authority => Value::text(request.authority()),
        // A head that was never parsed has no scheme either.
        Name::Scheme if request.method_text().is_empty() => Value::Absent,
        Name::Scheme => Value::text(request.scheme().as_bytes()),
        Name::Field(_) => field(&request.fields, name),
    }
}

/// Envoy joins repeated fields that it knows by name and takes the first of any other; so do we.
fn field<'a>(fields: &'a Fields, name: &Name) -> Value<'a> {
    let Name::Field(name) = name else {
        return Value::Absent;
    };
    match (HeaderId::of(name), fields.value_by_name(name)) {
        (_, None) => Value::Absent,
        (HeaderId::Other, Some(first)) => Value::Text(first),
        (id, Some(first)) => match fields.list().iter().filter(|field| field.id == id).count() {
            1 => Value::Text(first),
            _ => Value::Fields(fields, id),
        },
    }
}

fn without_query(target: &[u8]) -> &[u8] {
    let end = target.iter().position(|&byte| byte == b'?');
    &target[..end.unwrap_or(target.len())]
}

/// `%PATH(X:Y)%`: X is WQ (with query) or NQ, Y is ORIG, PATH or ORIG_OR_PATH.
fn path(argument: &str) -> Result<Command, String> {
    let (query, which) = argument.split_once(':').unwrap_or((argument, ""));
    let query = match query {
        "" | "WQ" => true,
        "NQ" => false,
        _ => return Err(format!("PATH takes WQ or NQ first, not {query:?}")),
    };
    let which = match which {
        "" | "ORIG_OR_PATH" => WhichPath::OriginalOrNow,
        "ORIG" => WhichPath::Original,
        "PATH" => WhichPath::Now,
        _ => {
            return Err(format!(
                "PATH takes ORIG, PATH or ORIG_OR_PATH, not {which:?}"
            ));
        }
    };
    Ok(Command::Path { query, which })
}

fn path_value<'a>(facts: &Facts<'a>, query: bool, which: WhichPath) -> Value<'a> {
    let now = facts.request.target();
    let target = match which {
        WhichPath::Now => now,
        WhichPath::Original => facts.original_target,
        WhichPath::OriginalOrNow if facts.original_target.is_empty() => now,
        WhichPath::OriginalOrNow => facts.original_target,
    };
    Value::text(if query { target } else { without_query(target) })
}

fn common_duration(argument: &str) -> Result<Command, String> {
    let mut parts = argument.split(':');
    let (from, to, unit) = (parts.next(), parts.next(), parts.next());
    let unit = match unit {
        Some("ns") => Unit::Nanoseconds,
        Some("us") => Unit::Microseconds,
        Some("ms") => Unit::Milliseconds,
        _ => return Err("COMMON_DURATION takes from:to:unit, the unit ms, us or ns".into()),
    };
    if parts.next().is_some() {
        return Err("COMMON_DURATION takes three arguments".into());
    }
    Ok(Command::CommonDuration(point(from)?, point(to)?, unit))
}

fn point(name: Option<&str>) -> Result<Point, String> {
    match name.unwrap_or("") {
        "DS_RX_BEG" => Ok(Point::RequestStart),
        "DS_RX_END" => Ok(Point::RequestEnd),
        "US_TX_BEG" => Ok(Point::UpstreamStart),
        "US_RX_BEG" => Ok(Point::ResponseStart),
        "DS_TX_END" => Ok(Point::ResponseEnd),
        other => Err(format!(
            "the moment {other:?} is not served; use DS_RX_BEG, DS_RX_END, US_TX_BEG, US_RX_BEG or \
             DS_TX_END"
        )),
    }
}

fn duration<'a>(record: &Record, from: Point, to: Point, unit: Unit) -> Value<'a> {
    let moment = |point| match point {
        Point::RequestStart => record.start,
        Point::RequestEnd => record.request_end,
        Point::UpstreamStart => record.upstream_start,
        Point::ResponseStart => record.response_start,
        Point::ResponseEnd => record.end,
    };
    let divisor = match unit {
        Unit::Nanoseconds => 1,
        Unit::Microseconds => 1_000,
        Unit::Milliseconds => 1_000_000,
    };
    match between(moment(from), moment(to)) {
        Some(nanoseconds) => Value::Number(nanoseconds / divisor),
        None => Value::Absent,
    }
}

/// Nanoseconds; `None` unless both moments came.
fn between(from: Time, to: Time) -> Option<u64> {
    (from != Time::NEVER && to != Time::NEVER).then(|| to.since(from))
}

fn simple_value<'a>(simple: Simple, facts: &Facts<'a>) -> Value<'a> {
    let record = facts.record;
    let milliseconds = |from, to| duration(record, from, to, Unit::Milliseconds);
    match simple {
        Simple::Protocol if facts.request.method_text().is_empty() => Value::Absent,
        Simple::Protocol => Value::text(record.version.as_str().as_bytes()),
        Simple::ResponseCode => Value::Number(record.status.into()),
        Simple::ResponseCodeDetails => Value::words(record.details),
        Simple::ResponseFlags if record.flags.is_empty() => Value::Absent,
        Simple::ResponseFlags => Value::Flags(record.flags, false),
        Simple::ResponseFlagsLong if record.flags.is_empty() => Value::Absent,
        Simple::ResponseFlagsLong => Value::Flags(record.flags, true),
        Simple::BytesReceived => Value::Number(record.bytes_received),
        Simple::BytesSent => Value::Number(record.bytes_sent),
        Simple::Duration => milliseconds(Point::RequestStart, Point::ResponseEnd),
        Simple::RequestDuration => milliseconds(Point::RequestStart, Point::RequestEnd),
        Simple::ResponseDuration => milliseconds(Point::RequestStart, Point::ResponseStart),
        Simple::ResponseTxDuration => milliseconds(Point::ResponseStart, Point::ResponseEnd),
        Simple::UpstreamHost | Simple::UpstreamRemote => Value::address(record.upstream_remote),
        Simple::UpstreamCluster | Simple::UpstreamClusterRaw => {
            Value::text(facts.cluster.as_bytes())
        }
        Simple::UpstreamLocal => Value::address(record.upstream_local),
        Simple::UpstreamLocalIp => Value::ip(record.upstream_local),
        Simple::UpstreamLocalPort => Value::port(record.upstream_local),
        Simple::UpstreamRemoteIp => Value::ip(record.upstream_remote),
        Simple::UpstreamRemotePort => Value::port(record.upstream_remote),
        Simple::UpstreamAttempts => Value::Number(record.attempts.into()),
        Simple::UpstreamFailure => {
            match record.flags.contains(Flags::UPSTREAM_CONNECTION_FAILURE) {
                true => Value::words(record.details),
                false => Value::Absent,
            }
        }
        Simple::DownstreamRemote => Value::address(Some(record.downstream_remote)),
        Simple::DownstreamRemoteIp => Value::ip(Some(record.downstream_remote)),
        Simple::DownstreamRemotePort => Value::port(Some(record.downstream_remote)),
        Simple::DownstreamDirect => Value::address(Some(record.downstream_direct)),
        Simple::DownstreamDirectIp => Value::ip(Some(record.downstream_direct)),
        Simple::DownstreamDirectPort => Value::port(Some(record.downstream_direct)),
        Simple::DownstreamLocal => Value::address(Some(record.downstream_local)),
        Simple::DownstreamLocalIp => Value::ip(Some(record.downstream_local)),
        Simple::DownstreamLocalPort => Value::port(Some(record.downstream_local)),
        Simple::RouteName => Value::text(facts.route.as_bytes()),
        Simple::VirtualHostName => Value::text(facts.virtual_host.as_bytes()),
        Simple::ConnectionId => Value::Number(record.connection),
        Simple::Hostname => Value::text(facts.hostname.as_bytes()),
        Simple::StreamId => match facts.request.fields.value(HeaderId::XRequestId) {
            Some(id) => Value::text(id),
            None => Value::Absent,
        },
        Simple::TraceId => trace_id(&facts.request.fields),
        // TLS, virtual clusters and details of a connection's end do not exist here.
        Simple::VirtualClusterName
        | Simple::RequestedServerName
        | Simple::ConnectionTermination => Value::Absent,
    }
}

/// The trace id of a well-formed `traceparent` (W3C Trace Context section 3.2).
fn trace_id(fields: &Fields) -> Value<'_> {
    let id = fields
        .value_by_name(b"traceparent")
        .and_then(|value| value.get(3..35));
    match id {
        Some(id) if id.iter().all(u8::is_ascii_hexdigit) => Value::Text(id),
        _ => Value::Absent,
    }
}
