//! The four SMP messages of a run: that they are what they say, and that they fit each other and
//! the histogram.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use penstock_proto::prost::{Message, Name};
use penstock_proto::prost_reflect::DynamicMessage;
use penstock_proto::smp::{
    EnvironmentConfig, PerformanceTestConfig, PerformanceTestResult, ServiceMesh, ServiceMeshConfig,
};
use serde_json::Value;

use super::{Faults, Finding, Rule, finding};
use crate::base64;
use crate::report::smp::labels::DOCUMENTED;

/// Steps of a histogram of three digits are a thousandth wide.
const RESOLUTION: f64 = 0.002;

/// The messages of a run.
struct Messages {
    test: PerformanceTestConfig,
    mesh: ServiceMeshConfig,
    environment: EnvironmentConfig,
    result: PerformanceTestResult,
}

pub(super) fn check(folder: &Path, campaign: &str, run: &str) -> Vec<Finding> {
    let smp = folder.join("smp");
    let messages = match read(&smp) {
        Ok(messages) => messages,
        Err(finding) => return vec![*finding],
    };
    let result = smp.join("result.yaml");
    let named = |path: &Path, faults: Faults| -> Vec<Finding> {
        let faults = faults.into_iter();
        faults
            .map(|(rule, what)| finding(path, rule, &what))
            .collect()
    };
    let mut findings = named(&smp.join("result.pb"), binary(&smp, &messages.result));
    findings.extend(named(&result, ids(&messages, campaign, run)));
    findings.extend(named(&result, times(&smp, &messages.result)));
    findings.extend(named(&result, labels(&messages.result.labels)));
    findings.extend(named(&result, latency(folder, &messages.result)));
    let mesh = smp.join("service-mesh-config.yaml");
    findings.extend(named(&mesh, saturation(&messages.mesh)));
    findings
}

fn read(smp: &Path) -> Result<Messages, Box<Finding>> {
    let path = smp.join("test-config.yaml");
    let test = yaml(&path)?;
    let part = |name: &str| test.get(name).cloned().unwrap_or(Value::Null);
    message::<ServiceMesh>(&path, part("mesh"))?;
    let file = |name: &str| {
        let path = smp.join(name);
        yaml(&path).map(|value| (path, value))
    };
    let (mesh, environment, result) = (
        file("service-mesh-config.yaml")?,
        file("environment-config.yaml")?,
        file("result.yaml")?,
    );
    let report = file("report.yaml")?;
    if report.1.get("exp_uuid").and_then(Value::as_str).is_none() {
        let what = "there is no `exp_uuid`";
        return Err(Box::new(finding(&report.0, Rule::Form, what)));
    }
    Ok(Messages {
        test: message(&path, part("test"))?,
        mesh: message(&mesh.0, mesh.1)?,
        environment: message(&environment.0, environment.1)?,
        result: message(&result.0, result.1)?,
    })
}

fn yaml(path: &Path) -> Result<Value, Box<Finding>> {
    let fault = |what: String| Box::new(finding(path, Rule::Form, &what));
    let text = fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
    serde_saphyr::from_str(&text).map_err(|error| fault(error.to_string()))
}

/// A message in any of its spellings; unknown fields are refused.
fn message<M: Message + Name + Default>(path: &Path, value: Value) -> Result<M, Box<Finding>> {
    let fault = |what: String| Box::new(finding(path, Rule::Form, &what));
    let descriptor = penstock_proto::smp_pool()
        .get_message_by_name(&M::full_name())
        .expect("types and descriptors come from the same files");
    let dynamic = DynamicMessage::deserialize(descriptor, value);
    let dynamic = dynamic.map_err(|error| fault(error.to_string()))?;
    dynamic
        .transcode_to()
        .map_err(|error| fault(error.to_string()))
}

fn binary(smp: &Path, result: &PerformanceTestResult) -> Faults {
    let bytes = fs::read(smp.join("result.pb")).unwrap_or_default();
    let what = match PerformanceTestResult::decode(bytes.as_slice()) {
        Err(error) => format!("it cannot be decoded: {error}"),
        Ok(decoded) if decoded != *result => "result.yaml says something else".to_owned(),
        Ok(decoded) if decoded.encode_to_vec() != bytes => {
            "encoding it again gives other bytes".to_owned()
        }
        Ok(_) => return Faults::new(),
    };
    vec![(Rule::Binary, what)]
}

fn ids(messages: &Messages, campaign: &str, run: &str) -> Faults {
    let (result, mesh) = (&messages.result, &messages.mesh);
    let pairs = [
        ("id", result.id.as_str(), run),
        ("test_id", &result.test_id, &messages.test.id),
        ("mesh_config_id", &result.mesh_config_id, &mesh.id),
        ("env_id", &result.env_id, &messages.environment.id),
        ("exp_uuid of the mesh config", &mesh.exp_uuid, run),
        (
            "exp_group_uuid of the mesh config",
            &mesh.exp_group_uuid,
            campaign,
        ),
    ];
    let broken = pairs
        .iter()
        .filter(|(_, is, should)| is != should || is.is_empty());
    broken
        .map(|(name, is, should)| (Rule::Ids, format!("{name} is `{is}`, not `{should}`")))
        .collect()
}

fn times(smp: &Path, result: &PerformanceTestResult) -> Faults {
    let mut faults = Faults::new();
    let text = fs::read_to_string(smp.join("result.yaml")).unwrap_or_default();
    let lines = text
        .lines()
        .filter(|line| line.starts_with("start_time:") || line.starts_with("end_time:"));
    for line in lines.filter(|line| !line.trim_end_matches(['"', '\'']).ends_with('Z')) {
        faults.push((Rule::Times, format!("not in UTC: {line}")));
    }
    let nanoseconds = |time: &Option<penstock_proto::prost_types::Timestamp>| {
        let time = time.unwrap_or_default();
        i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos)
    };
    if nanoseconds(&result.end_time) <= nanoseconds(&result.start_time) {
        faults.push((Rule::Times, "the end is not after the start".to_owned()));
    }
    faults
}

fn labels(labels: &BTreeMap<String, String>) -> Faults {
    let mut faults: Vec<String> = labels
        .keys()
        .filter(|name| !DOCUMENTED.contains(&name.as_str()))
        .map(|name| format!("`{name}` is no known label"))
        .collect();
    let value = |name: &str| labels.get(name).map(String::as_str);
    let errors = value("errors_total").and_then(|text| text.parse::<u64>().ok());
    match (value("valid"), errors) {
        (Some("true"), Some(0)) => {}
        (Some("true"), _) => faults.push("it is valid, but `errors_total` is not 0".to_owned()),
        (Some("false"), _) if value("note").is_some_and(|note| !note.is_empty()) => {}
        (Some("false"), _) => faults.push("it is not valid, and no `note` says why".to_owned()),
        _ => faults.push("`valid` is neither `true` nor `false`".to_owned()),
    }
    faults
        .into_iter()
        .map(|what| (Rule::Labels, what))
        .collect()
}

fn latency(folder: &Path, result: &PerformanceTestResult) -> Faults {
    let label = |name: &str| result.labels.get(name).map_or("", String::as_str);
    let fault = |what: String| vec![(Rule::Latency, what)];
    if label("latency_unit") != "ms" {
        return fault("`latency_unit` does not say `ms`".to_owned());
    }
    let kind = label("latency_kind");
    if !["corrected", "service_time"].contains(&kind) {
        return fault(format!("`latency_kind` is `{kind}`"));
    }
    let latencies = result.latencies_ms.unwrap_or_default();
    let log = folder.join(format!("raw/{kind}.hlog"));
    let Some(histogram) = fs::read(&log).ok().and_then(|text| histogram(&text)) else {
        return match latencies.max > 0.0 {
            true => fault(format!("there is no histogram in raw/{kind}.hlog")),
            false => Faults::new(),
        };
    };
    let at = |percent| histogram.value_at_percentile(percent);
    let pairs = [
        ("min", latencies.min, histogram.min()),
        ("p50", latencies.p50, at(50.0)),
        ("p90", latencies.p90, at(90.0)),
        ("p99", latencies.p99, at(99.0)),
        ("max", latencies.max, histogram.max()),
    ];
    let apart = |is: f64, should: f64| (is - should).abs() > should * RESOLUTION + 1e-6;
    let pairs = pairs.map(|(name, is, should)| (name, is, should as f64 / 1e6));
    let broken = pairs.iter().filter(|(_, is, should)| apart(*is, *should));
    broken
        .map(|(name, is, should)| {
            (
                Rule::Latency,
                format!("{name} is {is} ms, {should} ms in the histogram"),
            )
        })
        .collect()
}

/// All intervals of a log in one histogram.
fn histogram(log: &[u8]) -> Option<Histogram<u64>> {
    let mut sum: Option<Histogram<u64>> = None;
    for entry in IntervalLogIterator::new(log) {
        let Ok(LogEntry::Interval(interval)) = entry else {
            continue;
        };
        let bytes = base64::decode(interval.encoded_histogram())?;
        let one = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .ok()?;
        match &mut sum {
            None => sum = Some(one),
            Some(sum) => sum.add(one).ok()?,
        }
    }
    sum
}

/// A field of 32 bits and the label with the true number.
fn saturation(mesh: &ServiceMeshConfig) -> Faults {
    let gateway = mesh.ingress_gateway.unwrap_or_default();
    let pairs = [
        ("rps", gateway.rps, "rps"),
        ("bps", gateway.bps, "bytes_total"),
    ];
    let mut faults = Faults::new();
    for (field, value, label) in pairs {
        let number = mesh
            .labels
            .get(label)
            .and_then(|text| text.parse::<f64>().ok());
        let Some(number) = number else {
            faults.push((Rule::Saturation, format!("label `{label}` has no number")));
            continue;
        };
        let fits = number.round().min(f64::from(i32::MAX));
        if (fits - f64::from(value)).abs() > 1.0 {
            let what = format!("`{field}` is {value}, but label `{label}` says {number}");
            faults.push((Rule::Saturation, what));
        }
    }
    faults
}
