//! Meanings and reports: configurations as text, snapshots and findings as they come out.

mod every_field;
mod reports;

use std::net::SocketAddr;
use std::time::Duration;

use penstock_core::config::Http;
use penstock_core::config::cluster::{Cluster, Health, Policy};
use penstock_core::config::listener::{Listener, ServerHeader, StripPort};
use penstock_core::config::route::{Action, AppendAction, ClusterChoice, Pattern, ValueTest};
use penstock_core::http::path::EscapedSlashes;

use super::names::Family;
use super::*;
use crate::bootstrap::{Severity, load_str};

const WHOLE: &str = include_str!("../bootstrap/tests/whole.yaml");

/// A file with these clusters and one listener with these fields of its connection manager. Each
/// part is indented as it must be for its place.
fn file(clusters: &str, manager: &str) -> String {
    const TYPE: &str = "type.googleapis.com/envoy.extensions";
    format!(
        "static_resources:\n  clusters:\n{clusters}\n  listeners:\n  - name: ingress\n    address: \
         {{socket_address: {{address: 127.0.0.1, port_value: 8080}}}}\n    filter_chains:\n    - \
         filters:\n      - name: http\n        typed_config:\n          \"@type\": \
         {TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager\n          \
         stat_prefix: ingress\n          http_filters: [{{name: router, typed_config: {{\"@type\": \
         {TYPE}.filters.http.router.v3.Router}}}}]\n{}",
        indent(manager, 10)
    )
}

fn indent(text: &str, by: usize) -> String {
    text.lines()
        .map(|line| format!("{:by$}{line}\n", ""))
        .collect()
}

const CLUSTER: &str = "  - {name: a, load_assignment: {endpoints: [{lb_endpoints: [{endpoint: \
    {address: {socket_address: {address: 10.0.0.1, port_value: 80}}}}]}]}}";
const ROUTES: &str = "route_config: {virtual_hosts: [{name: all, domains: ['*'], routes: [{match: \
    {prefix: /}, route: {cluster: a}}]}]}";

fn translator(notes: bool) -> Translator {
    let process = Arc::new(ConnectionBudget::new(1000, None));
    let options = TranslateOptions {
        notes,
        ..Default::default()
    };
    Translator::new(2, Arc::default(), process, options)
}

fn read(text: &str) -> Loaded {
    load_str("b.yaml", text, &LoadOptions::default()).unwrap_or_else(|report| panic!("{report}"))
}

fn apply(translator: &mut Translator, text: &str, resolved: &Resolved) -> Arc<Snapshot> {
    let translated = translator.apply(&read(text), resolved);
    translated
        .unwrap_or_else(|report| panic!("{report}\n{text}"))
        .snapshot
}

fn snapshot(text: &str) -> Arc<Snapshot> {
    apply(&mut translator(false), text, &Resolved::new())
}

fn cluster<'a>(snapshot: &'a Snapshot, name: &str) -> &'a Arc<Cluster> {
    snapshot
        .cluster(snapshot.cluster_ids[name])
        .expect("configured")
}

/// The settings of its first chain.
fn http(listener: &Listener) -> &Http {
    let mut settings = listener.chains.http_settings();
    settings.next().expect("a chain serves HTTP")
}

fn listener(snapshot: &Snapshot) -> &Arc<Listener> {
    snapshot
        .listeners
        .iter()
        .flatten()
        .next()
        .expect("there is one")
}

/// The reasons of a text's findings, each as `path: reason; remedy`, without the places.
fn report(translator: &mut Translator, text: &str) -> Vec<String> {
    let findings = match translator.apply(&read(text), &Resolved::new()) {
        Ok(translated) => translated.findings,
        Err(findings) => findings.0,
    };
    let line = |finding: &Finding| {
        let kind = match finding.severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
            Severity::Note => "note: ",
        };
        let remedy = if finding.remedy.is_empty() { "" } else { "; " };
        format!(
            "{kind}{}: {}{remedy}{}",
            finding.path, finding.reason, finding.remedy
        )
    };
    findings.iter().map(line).collect()
}

#[test]
fn a_whole_file_becomes_a_snapshot() {
    let snapshot = snapshot(WHOLE);
    assert_eq!(snapshot.generation, 1);
    let origin = cluster(&snapshot, "origin");
    assert_eq!(origin.policy, Policy::LeastRequest { choices: 3 });
    assert_eq!(origin.connect_timeout, Duration::from_millis(250));
    assert_eq!(origin.requests_per_connection_max, Some(100));
    assert_eq!(
        origin.priorities[0][0].address,
        "127.0.0.1:9000".parse().expect("valid")
    );
    assert_eq!(origin.priorities[0][0].weight, 2);
    let listener = listener(&snapshot);
    assert_eq!(listener.address, "127.0.0.1:8080".parse().expect("valid"));
    assert_eq!(http(listener).decode.fields_max, 64);
    assert_eq!(http(listener).access_logs.len(), 1);
    let routes = &http(listener).routes.config().virtual_hosts[0].routes;
    let Action::Forward(forward) = &routes[1].action else {
        panic!("forwards")
    };
    let ClusterChoice::Weighted { clusters, total: 3 } = &forward.cluster else {
        panic!("splits")
    };
    assert_eq!(clusters[0].cluster, origin.id);
    assert_eq!(forward.timeout, Some(Duration::from_millis(1500)));
    let ValueTest::Text(text) = &routes[1].matcher.headers[0].test else {
        panic!("a text")
    };
    assert!(matches!(&text.pattern, Pattern::Exact(exact) if **exact == *"on"));
    assert_eq!(
        routes[1].headers.response.add[0].action,
        AppendAction::OverwriteOrAdd
    );
}

#[test]
fn absent_fields_mean_what_the_table_says() {
    let snapshot = snapshot(&file(CLUSTER, ROUTES));
    let listener = listener(&snapshot);
    let http = http(listener);
    assert_eq!(listener.buffer_limit, 32 * 1024);
    assert_eq!(listener.connections.limit(), u32::MAX);
    assert_eq!(http.head_timeout, Some(Duration::from_secs(10)));
    assert_eq!(http.idle_timeout, Some(Duration::from_secs(60)));
    assert_eq!(http.stream_idle_timeout, Some(Duration::from_secs(300)));
    assert_eq!(
        (http.request_timeout, http.connection_duration_max),
        (None, None)
    );
    assert_eq!(http.delayed_close_timeout, Duration::from_secs(1));
    assert!(http.path.normalize && !http.path.merge_slashes);
    assert_eq!(http.path.escaped_slashes, EscapedSlashes::Reject);
    assert!(http.forwarded.use_remote_address && http.request_id.generate);
    assert_eq!(http.server, ServerHeader::Overwrite("penstock".into()));
    assert!(!http.decode.accept_http10 && !http.forward_trailers && !http.suppress_envoy_headers);
    let cluster = cluster(&snapshot, "a");
    assert_eq!(cluster.buffer_limit, 32 * 1024);
    assert_eq!(
        (cluster.overprovisioning_percent, cluster.panic_percent),
        (140, 50)
    );
    assert_eq!(cluster.connect_timeout, Duration::from_secs(5));
    assert_eq!(cluster.idle_timeout, Some(Duration::from_secs(3600)));
    assert_eq!(cluster.breakers.default.thresholds, Default::default());
    let Action::Forward(forward) = &http.routes.config().virtual_hosts[0].routes[0].action else {
        panic!("forwards")
    };
    assert_eq!(
        (forward.timeout, forward.idle_timeout),
        (Some(Duration::from_secs(15)), None)
    );
}

#[test]
fn a_route_may_have_its_own_stream_duration() {
    for (field, expect) in [
        ("{}", None),
        ("{max_stream_duration: 0s}", Some(None)),
        (
            "{max_stream_duration: 7s}",
            Some(Some(Duration::from_secs(7))),
        ),
    ] {
        let own = format!("cluster: a, max_stream_duration: {field}");
        let routes = ROUTES.replace("cluster: a", &own);
        assert_ne!(routes, ROUTES);
        let snapshot = snapshot(&file(CLUSTER, &routes));
        let table = &http(listener(&snapshot)).routes;
        let Action::Forward(forward) = &table.config().virtual_hosts[0].routes[0].action else {
            panic!("forwards")
        };
        assert_eq!(forward.stream_duration_max, expect);
    }
}

#[test]
fn set_fields_win() {
    let manager = format!(
        "normalize_path: false\nuse_remote_address: false\nmerge_slashes: true\n\
         request_headers_timeout: 0s\nstream_idle_timeout: 0s\nrequest_timeout: 2s\n\
         path_with_escaped_slashes_action: KEEP_UNCHANGED\nmax_request_headers_kb: 8\n\
         common_http_protocol_options: {{idle_timeout: 0s, max_requests_per_connection: 7, \
         max_stream_duration: 90s, \
         headers_with_underscores_action: DROP_HEADER}}\n\
         http_protocol_options: {{accept_http_10: true, enable_trailers: true}}\n\
         strip_any_host_port: true\nserver_name: edge\nserver_header_transformation: \
         APPEND_IF_ABSENT\nupgrade_configs: [{{upgrade_type: WebSocket}}, {{upgrade_type: x, \
         enabled: false}}]\n{ROUTES}"
    );
    let snapshot = snapshot(&file(CLUSTER, &manager));
    let http = http(listener(&snapshot));
    assert!(!http.path.normalize && !http.forwarded.use_remote_address && http.path.merge_slashes);
    assert_eq!(
        (
            http.head_timeout,
            http.stream_idle_timeout,
            http.idle_timeout
        ),
        (None, None, None)
    );
    assert_eq!(http.request_timeout, Some(Duration::from_secs(2)));
    assert_eq!(http.stream_duration_max, Some(Duration::from_secs(90)));
    assert_eq!(http.path.escaped_slashes, EscapedSlashes::Keep);
    assert_eq!(http.decode.head_bytes_max, 8 * 1024);
    assert_eq!(http.requests_per_connection_max, Some(7));
    assert!(http.decode.accept_http10 && http.forward_trailers);
    assert_eq!(http.host.strip_port, StripPort::Any);
    assert_eq!(http.server, ServerHeader::AppendIfAbsent("edge".into()));
    assert_eq!(http.upgrades, ["websocket".into()]);
}

#[test]
fn what_did_not_change_keeps_its_place_in_memory() {
    let mut translator = translator(false);
    let none = Resolved::new();
    let two = format!("{CLUSTER}\n{}", CLUSTER.replace("name: a", "name: b"));
    let first = apply(&mut translator, &file(&two, ROUTES), &none);
    let same = apply(&mut translator, &file(&two, ROUTES), &none);
    assert_eq!(same.generation, 2);
    assert!(Arc::ptr_eq(listener(&first), listener(&same)));
    assert!(Arc::ptr_eq(cluster(&first, "a"), cluster(&same, "a")));

    let other = two.replacen("name: a,", "name: a, connect_timeout: 1s,", 1);
    let other = apply(&mut translator, &file(&other, ROUTES), &none);
    assert!(Arc::ptr_eq(listener(&first), listener(&other)));
    assert!(Arc::ptr_eq(cluster(&first, "b"), cluster(&other, "b")));
    let (before, after) = (cluster(&first, "a"), cluster(&other, "a"));
    assert!(!Arc::ptr_eq(before, after));
    assert!(Arc::ptr_eq(&before.stats, &after.stats));
    assert!(Arc::ptr_eq(&before.breakers, &after.breakers));
    assert_eq!(
        (before.id, &before.priorities),
        (after.id, &after.priorities)
    );

    let gone = apply(&mut translator, &file(CLUSTER, ROUTES), &none);
    assert!(gone.cluster(cluster(&first, "b").id).is_none());
    let back = apply(&mut translator, &file(&two, ROUTES), &none);
    assert_eq!(cluster(&back, "b").id, cluster(&first, "b").id);
}

#[test]
fn a_changed_listener_keeps_its_counters() {
    let mut translator = translator(false);
    let first = apply(&mut translator, &file(CLUSTER, ROUTES), &Resolved::new());
    let routes = ROUTES.replace("{prefix: /}", "{prefix: /x}");
    let second = apply(&mut translator, &file(CLUSTER, &routes), &Resolved::new());
    let (first, second) = (listener(&first), listener(&second));
    assert!(!Arc::ptr_eq(first, second));
    assert_eq!(first.id, second.id);
    assert!(Arc::ptr_eq(&first.stats, &second.stats));
    assert!(Arc::ptr_eq(&first.connections, &second.connections));
    let stats = |listener: &Listener| {
        Arc::clone(&http(listener).routes.config().virtual_hosts[0].routes[0].stats)
    };
    assert!(Arc::ptr_eq(&stats(first), &stats(second)));
}

#[test]
fn a_refused_configuration_changes_nothing() {
    let mut translator = translator(false);
    let first = apply(&mut translator, &file(CLUSTER, ROUTES), &Resolved::new());
    let broken = file(CLUSTER, &ROUTES.replace("cluster: a", "cluster: b"));
    assert!(translator.apply(&read(&broken), &Resolved::new()).is_err());
    let again = apply(&mut translator, &file(CLUSTER, ROUTES), &Resolved::new());
    assert_eq!(again.generation, 2);
    assert!(Arc::ptr_eq(listener(&first), listener(&again)));
}

#[test]
fn names_become_endpoints_when_they_are_answered() {
    let named = "  - {name: a, type: STRICT_DNS, dns_lookup_family: V4_ONLY, \
        respect_dns_ttl: true, load_assignment: {endpoints: [{lb_endpoints: [{endpoint: \
        {address: {socket_address: \
        {address: origin.test, port_value: 80}}}}]}]}}";
    let mut translator = translator(false);
    let first = apply(&mut translator, &file(named, ROUTES), &Resolved::new());
    assert_eq!(cluster(&first, "a").priorities, [vec![]]);
    let names = translator.names();
    let [name] = names.as_slice() else {
        panic!("one name")
    };
    assert_eq!(
        (&*name.key.name, name.key.port, name.key.family),
        ("origin.test", 80, Family::V4Only)
    );
    assert_eq!(
        (name.refresh, name.respect_ttl),
        (Duration::from_secs(5), true)
    );

    let address = |last: u8| SocketAddr::from(([10, 0, 0, last], 80));
    let answers = |list: &[u8]| {
        let addresses = list.iter().map(|last| address(*last)).collect();
        Resolved::from([(name.key.clone(), addresses)])
    };
    let second = translator.resolve(&answers(&[1, 2])).expect("changed");
    assert!(translator.resolve(&answers(&[1, 2])).is_none());
    let third = translator.resolve(&answers(&[2, 3])).expect("changed");
    let endpoints = |snapshot: &Arc<Snapshot>| cluster(snapshot, "a").priorities[0].clone();
    let (second, third) = (endpoints(&second), endpoints(&third));
    assert_eq!(second[1], third[0]);
    assert_ne!(second[0].id, third[1].id);
    assert_eq!(third[1].hostname.as_deref(), Some("origin.test"));

    let logical = named.replace("STRICT_DNS", "LOGICAL_DNS");
    let logical = apply(&mut translator, &file(&logical, ROUTES), &answers(&[7, 8]));
    let logical = endpoints(&logical);
    assert_eq!(
        logical.iter().map(|one| one.address).collect::<Vec<_>>(),
        [address(7)]
    );
    // Another address is the same endpoint: connections to the old one stay.
    let moved = endpoints(&translator.resolve(&answers(&[8])).expect("changed"));
    assert_eq!((moved[0].id, moved[0].address), (logical[0].id, address(8)));
}

#[test]
fn endpoints_have_priority_weight_and_health() {
    let named = "  - name: a\n    load_assignment:\n      policy: \
        {overprovisioning_factor: 200}\n      endpoints:\n      - priority: 1\n        \
        lb_endpoints: [{endpoint: {address: {socket_address: {address: '::1', port_value: 1}}}, \
        health_status: DRAINING}]\n      - lb_endpoints: \
        [{endpoint: {hostname: h, address: {socket_address: {address: 10.0.0.1, port_value: 1}}}, \
        load_balancing_weight: 5, health_status: DEGRADED}]\n";
    let snapshot = snapshot(&file(named, ROUTES));
    let cluster = cluster(&snapshot, "a");
    let [first, second] = cluster.priorities.as_slice() else {
        panic!("two priorities")
    };
    assert_eq!((first[0].weight, first[0].health), (5, Health::Degraded));
    assert_eq!(first[0].hostname.as_deref(), Some("h"));
    assert_eq!(
        (second[0].health, second[0].hostname.as_deref()),
        (Health::Unhealthy, None)
    );
    assert_eq!(cluster.overprovisioning_percent, 200);
}

#[test]
fn bounds_of_the_process_are_taken() {
    const MONITOR: &str = "{name: c, typed_config: {\"@type\": type.googleapis.com/envoy.\
        extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig, \
        max_active_downstream_connections: 7}}";
    let process = Arc::new(ConnectionBudget::new(1000, None));
    let mut translator = Translator::new(
        1,
        Arc::default(),
        Arc::clone(&process),
        TranslateOptions::default(),
    );
    let none = Resolved::new();
    let text = file(CLUSTER, ROUTES);
    let runtime = "layered_runtime: {layers: [{name: x, static_layer: {envoy.resource_limits.\
        listener.ingress.connection_limit: 5, overload: {global_downstream_max_connections: 6}}}]}";
    let with_runtime = apply(&mut translator, &format!("{runtime}\n{text}"), &none);
    assert_eq!(
        (listener(&with_runtime).connections.limit(), process.limit()),
        (5, 6)
    );
    apply(
        &mut translator,
        &format!("overload_manager: {{resource_monitors: [{MONITOR}]}}\n{text}"),
        &none,
    );
    assert_eq!(process.limit(), 7);
    let plain = apply(&mut translator, &text, &none);
    assert_eq!(
        (listener(&plain).connections.limit(), process.limit()),
        (u32::MAX, 1000)
    );
}

#[test]
fn the_runtime_overrides_shares() {
    let routes = "route_config: {virtual_hosts: [{name: all, domains: ['*'], routes: [{match: \
        {prefix: /, runtime_fraction: {runtime_key: a.b, default_value: {numerator: 200}}}, route: \
        {cluster: a}}]}]}";
    let share = |layer: &str| {
        let runtime = format!("layered_runtime: {{layers: [{{name: x, static_layer: {layer}}}]}}");
        let snapshot = snapshot(&format!("{runtime}\n{}", file(CLUSTER, routes)));
        let table = &http(listener(&snapshot)).routes;
        let share = table.config().virtual_hosts[0].routes[0]
            .matcher
            .fraction
            .expect("set");
        (share.numerator, share.denominator)
    };
    assert_eq!(share("{}"), (100, 100));
    assert_eq!(share("{a.b: 5}"), (5, 100));
    assert_eq!(
        share("{a: {b: {numerator: 3, denominator: MILLION}}}"),
        (3, 1_000_000)
    );
    assert_eq!(share("{a: {b: wrong}}"), (100, 100));
}

#[test]
fn older_forms_mean_the_same() {
    let older = "  - {name: a, max_requests_per_connection: 9, common_http_protocol_options: \
        {idle_timeout: 3s}}";
    let snapshot = snapshot(&file(older, ROUTES));
    let cluster = cluster(&snapshot, "a");
    assert_eq!(cluster.requests_per_connection_max, Some(9));
    assert_eq!(cluster.idle_timeout, Some(Duration::from_secs(3)));
}
