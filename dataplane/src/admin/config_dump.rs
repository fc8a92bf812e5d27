//! `/config_dump`: the bootstrap in force, and its resources by kind, in the shape of
//! `envoy.admin.v3.ConfigDump`.
//!
//! Everything of the file is shown; the served subset has no field for a secret.

use std::sync::Arc;

use penstock_proto::envoy::config::bootstrap::v3::Bootstrap;
use penstock_proto::envoy::config::bootstrap::v3::bootstrap::StaticResources;
use penstock_proto::envoy::config::listener::v3::Listener;
use penstock_proto::envoy::config::listener::v3::filter::ConfigType;
use penstock_proto::envoy::config::route::v3::RouteConfiguration;
use penstock_proto::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use penstock_proto::prost::{Message, Name};
use penstock_proto::prost_reflect::{DynamicMessage, SerializeOptions};
use penstock_proto::{TYPE_URL_PREFIX, pool};
use serde_json::{Value, json};

use super::answer::{Answer, JSON};
use super::desk::{Desk, timestamp};
use super::query::Query;

pub(super) fn config_dump(desk: &Desk, _: &Query) -> Answer {
    let Some(loaded) = desk.control.loaded() else {
        return Answer::json(&json!({ "configs": [] }));
    };
    Answer::pieces(
        JSON,
        Box::new(pieces(loaded.bootstrap, timestamp(loaded.at))),
    )
}

/// A message as JSON with the field names of the `.proto` files, `Any` opened, defaults left out. A
/// message that cannot be shown says so in its place.
pub(super) fn to_json<M: Message + Name>(message: &M) -> Value {
    let shown = pool()
        .get_message_by_name(&M::full_name())
        .ok_or_else(|| format!("{} has no descriptor", M::full_name()))
        .and_then(|descriptor| {
            let bytes = message.encode_to_vec();
            DynamicMessage::decode(descriptor, &*bytes).map_err(|fault| fault.to_string())
        })
        .and_then(|message| {
            let options = SerializeOptions::new().use_proto_field_name(true);
            message
                .serialize_with_options(serde_json::value::Serializer, &options)
                .map_err(|fault| fault.to_string())
        });
    shown.unwrap_or_else(|fault| json!({ "cannot_be_shown": fault }))
}

/// The document, one resource after the other.
fn pieces(bootstrap: Arc<Bootstrap>, at: String) -> impl Iterator<Item = Vec<u8>> {
    let at = Value::from(at).to_string();
    let head = {
        let (bootstrap, at) = (bootstrap.clone(), at.clone());
        std::iter::once_with(move || {
            let kind = admin_type("BootstrapConfigDump");
            let bootstrap = to_json(&*bootstrap);
            format!(
                "{{\"configs\":[\n{{\"@type\":{kind},\"bootstrap\":{bootstrap},\
                 \"last_updated\":{at}}}"
            )
        })
    };
    let count =
        |count: fn(&StaticResources) -> usize| bootstrap.static_resources.as_ref().map_or(0, count);
    let (clusters, listeners) = (
        count(|resources| resources.clusters.len()),
        count(|resources| resources.listeners.len()),
    );
    let section = |kind, list: &'static str, items: usize, item: Show| {
        let bootstrap = bootstrap.clone();
        let at = at.clone();
        let open = format!(",\n{{\"@type\":{},\"{list}\":[", admin_type(kind));
        let mut comma = "";
        let body = (0..items).flat_map(move |index| {
            let resources = bootstrap.static_resources.as_ref();
            resources
                .map(|resources| item(resources, index))
                .unwrap_or_default()
        });
        let body = body.map(move |(name, resource)| {
            let text = format!("{comma}{{\"{name}\":{resource},\"last_updated\":{at}}}");
            comma = ",\n";
            text
        });
        std::iter::once(open)
            .chain(body)
            .chain(std::iter::once("]}".to_owned()))
    };
    let tail = std::iter::once("]}\n".to_owned());
    head.chain(section(
        "ClustersConfigDump",
        "static_clusters",
        clusters,
        show_cluster,
    ))
    .chain(section(
        "ListenersConfigDump",
        "static_listeners",
        listeners,
        show_listener,
    ))
    .chain(section(
        "RoutesConfigDump",
        "static_route_configs",
        listeners,
        show_routes,
    ))
    .chain(tail)
    .map(String::into_bytes)
}

/// Resources that stand at one index, each under the name of its kind.
type Show = fn(&StaticResources, usize) -> Vec<(&'static str, Value)>;

fn show_cluster(resources: &StaticResources, index: usize) -> Vec<(&'static str, Value)> {
    vec![("cluster", typed(&resources.clusters[index]))]
}

fn show_listener(resources: &StaticResources, index: usize) -> Vec<(&'static str, Value)> {
    vec![("listener", typed(&resources.listeners[index]))]
}

fn show_routes(resources: &StaticResources, index: usize) -> Vec<(&'static str, Value)> {
    let configurations = route_configurations(&resources.listeners[index]);
    configurations
        .map(|routes| ("route_config", typed(&routes)))
        .collect()
}

fn route_configurations(listener: &Listener) -> impl Iterator<Item = RouteConfiguration> {
    let chains = listener
        .filter_chains
        .iter()
        .chain(&listener.default_filter_chain);
    chains
        .flat_map(|chain| &chain.filters)
        .filter_map(|filter| {
            let Some(ConfigType::TypedConfig(any)) = &filter.config_type else {
                return None;
            };
            let manager = any.to_msg::<hcm::HttpConnectionManager>().ok()?;
            match manager.route_specifier? {
                hcm::http_connection_manager::RouteSpecifier::RouteConfig(routes) => Some(routes),
            }
        })
}

/// A resource as it stands in an `Any`.
fn typed<M: Message + Name>(message: &M) -> Value {
    let mut object = to_json(message);
    object["@type"] = format!("{TYPE_URL_PREFIX}{}", M::full_name()).into();
    object
}

fn admin_type(name: &str) -> Value {
    format!("{TYPE_URL_PREFIX}envoy.admin.v3.{name}").into()
}
