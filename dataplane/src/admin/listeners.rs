//! `/listeners`: where listeners are bound.

use std::fmt::Write as _;
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::answer::Answer;
use super::desk::Desk;
use super::query::Query;

pub(super) fn listeners(desk: &Desk, query: &Query) -> Answer {
    let listening = desk.control.listening();
    if query.json() {
        let statuses: Vec<Value> = listening
            .iter()
            .map(|one| json!({ "name": one.name, "local_address": socket_address(one.address) }))
            .collect();
        return Answer::json(&json!({ "listener_statuses": statuses }));
    }
    let mut text = String::new();
    for one in listening {
        let _ = writeln!(text, "{}::{}", one.name.escape_debug(), one.address);
    }
    Answer::text(text)
}

/// `envoy.config.core.v3.Address`.
pub(super) fn socket_address(address: SocketAddr) -> Value {
    let (ip, port) = (address.ip().to_string(), address.port());
    json!({ "socket_address": { "address": ip, "port_value": port } })
}
