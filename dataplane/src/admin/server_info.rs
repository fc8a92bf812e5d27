//! `/server_info` and `/memory`.

use penstock_runtime::Choice;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::config_dump::to_json;
use super::desk::Desk;
use super::query::Query;
use crate::telemetry::process::Process;

pub(super) fn info(desk: &Desk, _: &Query) -> Answer {
    let build = &desk.about.build;
    let uptime = format!("{}s", desk.about.started.elapsed().as_secs());
    Answer::json(&json!({
        "version": format!("{}/{}/penstock/{}", build.revision, build.version, build.driver),
        "state": desk.state().as_str(),
        "uptime_current_epoch": uptime,
        "uptime_all_epochs": uptime,
        "hot_restart_version": "disabled",
        "command_line_options": desk.about.command_line,
        "driver": driver(&desk.about.driver),
        "node": node(desk),
    }))
}

/// Not in Envoy: which driver runs, with what, and why not the preferred one.
fn driver(choice: &Choice) -> Value {
    json!({
        "name": choice.name(),
        "features": choice.features(),
        "lacks": choice.lacks(),
        "fallback": choice.fallback(),
    })
}

fn node(desk: &Desk) -> Value {
    let loaded = desk.control.loaded();
    let node = loaded
        .as_ref()
        .and_then(|loaded| loaded.bootstrap.node.as_ref());
    node.map_or_else(|| Value::Object(Map::new()), to_json)
}

/// Envoy's fields as far as the kernel knows them (64-bit numbers are strings in protobuf's JSON),
/// and what else it knows.
pub(super) fn memory(_: &Desk, _: &Query) -> Answer {
    let process = Process::read();
    let fields = [
        ("heap_size", process.data_bytes),
        ("total_physical_bytes", process.resident_bytes),
        ("anonymous_bytes", process.anonymous_bytes),
        ("virtual_bytes", process.virtual_bytes),
    ];
    let fields = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let object: Map<_, _> = fields
        .map(|(name, value)| (name.to_owned(), Value::from(value.to_string())))
        .collect();
    Answer::json(&Value::Object(object))
}
