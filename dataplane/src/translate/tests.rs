//! Meanings and reports: configurations as text, snapshots and findings as they come out.

use std::net::SocketAddr;
use std::time::Duration;

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

/// Findings about clusters; the clusters are written below `static_resources.clusters`.
fn check_clusters(clusters: &str, expected: &[&str]) {
    let text = format!("static_resources:\n  clusters:\n{}", indent(clusters, 2));
    let prefix = "static_resources.clusters";
    let found = report(&mut translator(false), &text);
    let found: Vec<_> = found
        .iter()
        .map(|line| line.replacen(prefix, "", 1))
        .collect();
    assert_eq!(found, expected, "\n{text}\n{found:#?}");
}

/// Findings about the connection manager, written below it.
fn check_http(manager: &str, expected: &[&str]) {
    let text = file(CLUSTER, manager);
    let prefix = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.";
    let found = report(&mut translator(false), &text);
    let found: Vec<_> = found
        .iter()
        .map(|line| line.replacen(prefix, "", 1))
        .collect();
    assert_eq!(found, expected, "\n{text}\n{found:#?}");
}

/// Findings about routes, written as the routes of a virtual host.
fn check_routes(routes: &str, expected: &[&str]) {
    let manager = format!(
        "route_config:\n  virtual_hosts:\n  - name: all\n    domains: ['*']\n    routes:\n{}",
        indent(routes, 4)
    );
    let text = file(CLUSTER, &manager);
    let prefix = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.\
        route_config.virtual_hosts[0].routes";
    let found = report(&mut translator(false), &text);
    let found: Vec<_> = found
        .iter()
        .map(|line| line.replacen(prefix, "", 1))
        .collect();
    assert_eq!(found, expected, "\n{text}\n{found:#?}");
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
    assert_eq!(listener.http.decode.fields_max, 64);
    assert_eq!(listener.http.access_logs.len(), 1);
    let routes = &listener.http.routes.config().virtual_hosts[0].routes;
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
    let http = &listener.http;
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
fn set_fields_win() {
    let manager = format!(
        "normalize_path: false\nuse_remote_address: false\nmerge_slashes: true\n\
         request_headers_timeout: 0s\nstream_idle_timeout: 0s\nrequest_timeout: 2s\n\
         path_with_escaped_slashes_action: KEEP_UNCHANGED\nmax_request_headers_kb: 8\n\
         common_http_protocol_options: {{idle_timeout: 0s, max_requests_per_connection: 7, \
         headers_with_underscores_action: DROP_HEADER}}\n\
         http_protocol_options: {{accept_http_10: true, enable_trailers: true}}\n\
         strip_any_host_port: true\nserver_name: edge\nserver_header_transformation: \
         APPEND_IF_ABSENT\nupgrade_configs: [{{upgrade_type: WebSocket}}, {{upgrade_type: x, \
         enabled: false}}]\n{ROUTES}"
    );
    let snapshot = snapshot(&file(CLUSTER, &manager));
    let http = &listener(&snapshot).http;
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
        Arc::clone(&listener.http.routes.config().virtual_hosts[0].routes[0].stats)
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
fn a_listener_notices_that_its_cluster_is_gone() {
    let mut translator = translator(false);
    apply(&mut translator, &file(CLUSTER, ROUTES), &Resolved::new());
    let other = CLUSTER.replace("name: a", "name: b");
    assert_eq!(
        report(&mut translator, &file(&other, ROUTES)),
        [
            "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.\
          virtual_hosts[0].routes[0].route.cluster: no cluster is called `a`; configure it, or set \
          validate_clusters to false"
        ]
    );
}

#[test]
fn names_become_endpoints_when_they_are_answered() {
    let named = "  - {name: a, type: STRICT_DNS, dns_lookup_family: V4_ONLY, respect_dns_ttl: true, \
        load_assignment: {endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: \
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
}

#[test]
fn endpoints_have_priority_weight_and_health() {
    let named = "  - name: a\n    load_assignment:\n      policy: {overprovisioning_factor: 200}\n      \
        endpoints:\n      - priority: 1\n        lb_endpoints: [{endpoint: {address: {socket_address: \
        {address: '::1', port_value: 1}}}, health_status: DRAINING}]\n      - lb_endpoints: \
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
fn clusters_are_checked() {
    let endpoint = |host: &str, port: u32| {
        format!(
            "{{endpoint: {{address: {{socket_address: {{address: {host}, port_value: {port}}}}}}}}}"
        )
    };
    check_clusters(
        "- name: ''\n- {name: a}\n- {name: a, connect_timeout: -1s, load_assignment: {}}",
        &[
            "[0].name: is missing; write a name",
            "warning: [0].load_assignment: is missing: the cluster has no endpoints; write the \
             endpoints",
            "warning: [1].load_assignment: is missing: the cluster has no endpoints; write the \
             endpoints",
            "[2].name: `a` is the name of clusters[1] already; choose another name",
            "[2].connect_timeout: a time must not be negative; write 0s or more",
        ],
    );
    check_clusters(
        &format!(
            "- name: a\n  connect_timeout: 0s\n  per_connection_buffer_limit_bytes: 0\n  \
             common_lb_config: {{healthy_panic_threshold: {{value: 101}}}}\n  \
             least_request_lb_config: {{choice_count: 1}}\n  circuit_breakers: {{thresholds: \
             [{{}}, {{priority: DEFAULT}}]}}\n  dns_refresh_rate: 0s\n  load_assignment:\n    \
             policy: {{overprovisioning_factor: 0}}\n    endpoints:\n    - lb_endpoints: [{}, {}, \
             {{}}]\n    - priority: 2\n",
            endpoint("origin.test", 80),
            endpoint("10.0.0.1", 0)
        ),
        &[
            "[0].connect_timeout: must be above 0; write a time, for example 5s",
            "[0].per_connection_buffer_limit_bytes: a bound is needed; write the bytes, for \
             example 32768",
            "[0].common_lb_config.healthy_panic_threshold.value: is no share in percent; write 0 \
             to 100",
            "warning: [0].least_request_lb_config: has no effect with another policy; set \
             lb_policy to LEAST_REQUEST",
            "[0].least_request_lb_config.choice_count: must be 2 or more; write 2, or use RANDOM",
            "[0].circuit_breakers.thresholds[1].priority: has its thresholds already; remove one \
             of them",
            "[0].dns_refresh_rate: must be above 0; write a time, for example 5s",
            "[0].load_assignment.policy.overprovisioning_factor: must be above 0; write percent, \
             for example 140",
            "[0].load_assignment.endpoints: no endpoints have priority 1, but 2 is used; number \
             priorities from 0 without gaps",
            "[0].load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.\
             address: `origin.test` is no IP address, and the cluster is STATIC; write an IP \
             address, or set type to STRICT_DNS",
            "[0].load_assignment.endpoints[0].lb_endpoints[1].endpoint.address.socket_address.\
             port_value: is out of range; write a port from 1 to 65535",
            "[0].load_assignment.endpoints[0].lb_endpoints[2].endpoint: is missing; write \
             endpoint with its address",
        ],
    );
    check_clusters(
        &format!(
            "- {{name: a, type: LOGICAL_DNS, load_assignment: {{endpoints: [{{lb_endpoints: [{}, \
             {}]}}]}}}}",
            endpoint("a.test", 80),
            endpoint("b..test", 80)
        ),
        &[
            "[0].load_assignment.endpoints: LOGICAL_DNS has exactly one endpoint, found 2; keep \
             one, or use STRICT_DNS",
            "[0].load_assignment.endpoints[0].lb_endpoints[1].endpoint.address.socket_address.\
             address: `b..test` is neither a name nor an IP address; write a DNS name of letters, \
             digits, dashes and dots",
        ],
    );
}

#[test]
fn listeners_are_checked() {
    let text = "static_resources:\n  listeners:\n  - name: a\n  - {name: a, enable_reuse_port: \
        false, address: {socket_address: {address: localhost, port_value: 70000}}, filter_chains: \
        [{}, {filters: [{name: x}]}]}\n";
    assert_eq!(
        report(&mut translator(false), text),
        [
            "static_resources.listeners[0].address: an address is needed; write socket_address",
            "static_resources.listeners[0].filter_chains: is missing; write a chain with its \
             filters",
            "static_resources.listeners[1].name: `a` is the name of listeners[0] already; choose \
             another name",
            "static_resources.listeners[1].enable_reuse_port: each worker has its own socket, \
             which needs it; remove it or set it to true",
            "static_resources.listeners[1].address.socket_address.port_value: is out of range; \
             write a port from 0 to 65535",
            "static_resources.listeners[1].filter_chains: several chains take every connection; \
             keep one; filter_chain_match is not served yet",
            "static_resources.listeners[1].filter_chains[0].filters: expected one filter, found \
             0; write the HTTP connection manager and nothing else",
            "static_resources.listeners[1].filter_chains[1].filters[0].typed_config: is missing; \
             write the options of the HTTP connection manager",
        ]
    );
}

#[test]
fn http_settings_are_checked() {
    check_http("", &["route_config: is missing; write the routes"]);
    check_http(
        &format!(
            "max_request_headers_kb: 8193\ncommon_http_protocol_options: {{max_headers_count: 0, \
             idle_timeout: -1s}}\nhttp_protocol_options: {{allow_chunked_length: true, \
             allow_absolute_url: false, default_host_for_http_10: a/b}}\nstrip_any_host_port: \
             true\nstrip_matching_host_port: true\nserver_name: \"a\\nb\"\nupgrade_configs: \
             [{{upgrade_type: websocket}}, {{upgrade_type: WebSocket}}, {{upgrade_type: CONNECT}}, \
             {{}}]\n{ROUTES}"
        ),
        &[
            "max_request_headers_kb: is out of range; write 1 to 8192",
            "common_http_protocol_options.max_headers_count: is out of range; write 1 to 1024",
            "common_http_protocol_options.idle_timeout: a time must not be negative; write 0s or \
             more",
            "http_protocol_options.allow_chunked_length: a message with Content-Length and \
             Transfer-Encoding is always refused; remove it",
            "http_protocol_options.allow_absolute_url: targets in absolute form are always \
             accepted (RFC 9112 section 3.2.2); remove it",
            "warning: http_protocol_options.default_host_for_http_10: has no effect; set \
             accept_http_10 to true",
            "http_protocol_options.default_host_for_http_10: is no authority; write a host name",
            "strip_matching_host_port: excludes strip_any_host_port, which is set too; keep one \
             of them",
            "server_name: cannot stand in a header field; leave out control characters, and \
             blanks at the ends",
            "upgrade_configs: `websocket` stands here twice; remove one of them",
            "upgrade_configs[2].upgrade_type: `connect` is not served; use websocket",
            "upgrade_configs[3].upgrade_type: is no protocol; write one, for example websocket",
        ],
    );
}

#[test]
fn extensions_must_be_in_their_place() {
    let text = file(CLUSTER, ROUTES).replace(
        "filters.http.router.v3.Router",
        "access_loggers.stream.v3.StdoutAccessLog",
    );
    let found = report(&mut translator(false), &text);
    let [found] = found.as_slice() else {
        panic!("{found:#?}")
    };
    assert!(
        found.ends_with(
            "http_filters[0].typed_config.@type: `type.googleapis.com/envoy.extensions.\
             access_loggers.stream.v3.StdoutAccessLog` has no place here; use \
             envoy.extensions.filters.http.router.v3.Router"
        ),
        "{found}"
    );
}

#[test]
fn routes_are_checked() {
    check_routes(
        "- {}\n- {match: {}, route: {}}\n- {match: {prefix: /}, direct_response: {status: 99}}\n\
         - {match: {safe_regex: {regex: '(a'}}, route: {cluster: none}}\n\
         - {match: {path_separated_prefix: /a/}, route: {cluster_header: ':path'}}\n",
        &[
            "[0].match: is missing; write match with prefix, path or safe_regex",
            "[0]: does nothing; write route, redirect or direct_response",
            "[1].match: no path is named; write prefix, path, path_separated_prefix or safe_regex",
            "[1].route: no cluster is named; write cluster, cluster_header or weighted_clusters",
            "[2].direct_response.status: the status must be from 200 to 599",
            "[3].match.safe_regex.regex: unclosed group; write an expression in RE2 syntax",
            "[3].route.cluster: no cluster is called `none`; configure it, or set \
             validate_clusters to false",
            "[4].match.path_separated_prefix: it must begin with a slash, not end with one, and \
             hold no ? or #",
            "[4].route.cluster_header: is no header field; write the name of a field that names \
             the cluster",
        ],
    );
    check_routes(
        "- match: {prefix: /, headers: [{name: a, string_match: {}}, {name: b, range_match: {start: \
         5, end: 5}}], runtime_fraction: {runtime_key: x}}\n  route:\n    prefix_rewrite: /b\n    \
         regex_rewrite: {pattern: {regex: a}, substitution: '\\1'}\n    weighted_clusters: \
         {total_weight: 3, clusters: [{name: a, weight: 1}, {name: a}]}\n  \
         request_headers_to_add: [{}, {header: {key: a, value: '%NOPE%'}, append: true, \
         append_action: ADD_IF_ABSENT}]\n  response_headers_to_remove: [':path']\n\
         - match: {prefix: /}\n  redirect: {port_redirect: 65536}\n\
         - match: {prefix: /}\n  direct_response: {status: 200, body: {filename: /nowhere/x}}\n",
        &[
            "[0].match.headers[0].string_match: says nothing; write exact, prefix, suffix, \
             contains or safe_regex",
            "[0].match.headers[1].range_match: holds no number; write an end above the start",
            "[0].match.runtime_fraction.default_value: is missing; write numerator and denominator",
            "[0].route.prefix_rewrite: excludes regex_rewrite, which is set too; keep one of them",
            "[0].route.regex_rewrite.substitution: \\1 names a group that the pattern does not have \
             (it has 0)",
            "[0].route.weighted_clusters.total_weight: is 3, but the weights come to 1; remove it",
            "[0].route.weighted_clusters.clusters[1].weight: is missing; write its share; 0 \
             switches it off",
            "[0].request_headers_to_add[0].header: is missing; write header with key and value",
            "[0].request_headers_to_add[0]: this is no header name (RFC 9110 section 5.1)",
            "[0].request_headers_to_add[1].header.value: byte 0: there is no operator NOPE",
            "[0].request_headers_to_add[1].append: excludes append_action, which is set too; keep \
             append_action",
            "[0].response_headers_to_remove[0]: pseudo-headers and host cannot be changed here; \
             use host_rewrite_literal",
            "[1].redirect.port_redirect: is out of range; write a port from 1 to 65535",
            "[2].direct_response.body: the file `/nowhere/x` cannot be read: No such file or \
             directory (os error 2); name something that this process can read",
        ],
    );
}

#[test]
fn notes_tell_where_absent_is_stricter_than_in_envoy() {
    let text = file(CLUSTER, ROUTES);
    let prefix = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.";
    let found = report(&mut translator(true), &text);
    let found: Vec<_> = found
        .iter()
        .map(|line| line.replacen(prefix, "", 1))
        .collect();
    assert_eq!(
        found,
        [
            "note: overload_manager: not set, which means a bound of all connections by \
             descriptors and memory (Envoy: none); set it to choose",
            "note: static_resources.clusters[0].per_connection_buffer_limit_bytes: not set, \
             which means 32 KiB (Envoy: 1 MiB); set it to choose",
            "note: static_resources.listeners[0].per_connection_buffer_limit_bytes: not set, \
             which means 32 KiB (Envoy: 1 MiB); set it to choose",
            "note: use_remote_address: not set, which means true (Envoy: false); set it to choose",
            "note: normalize_path: not set, which means true (Envoy: false); set it to choose",
            "note: path_with_escaped_slashes_action: not set, which means REJECT_REQUEST (Envoy: \
             KEEP_UNCHANGED); set it to choose",
            "note: request_headers_timeout: not set, which means 10s (Envoy: off); set it to choose",
            "note: common_http_protocol_options.idle_timeout: not set, which means 60s (Envoy: 1 \
             h); set it to choose",
            "warning: merge_slashes: not set, which means false, as in Envoy; set it to true at \
             the edge",
            "warning: common_http_protocol_options.headers_with_underscores_action: not set, \
             which means ALLOW, as in Envoy; set it to REJECT_REQUEST at the edge",
        ]
    );
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
        let table = &listener(&snapshot).http.routes;
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
fn administration_stays_on_loopback() {
    let admin = |address: &str| {
        format!("admin: {{address: {{socket_address: {{address: {address}, port_value: 9901}}}}}}")
    };
    assert_eq!(report(&mut translator(false), &admin("127.0.0.1")), [""; 0]);
    assert_eq!(
        report(&mut translator(false), &admin("0.0.0.0")),
        [
            "admin.address.socket_address.address: whoever reaches the administration interface can \
          stop the process; use 127.0.0.1, or start with --admin-public if the network is guarded"
        ]
    );
    let process = Arc::new(ConnectionBudget::new(1, None));
    let options = TranslateOptions {
        admin: AdminReach::Anywhere,
        notes: false,
    };
    let mut translator = Translator::new(1, Arc::default(), process, options);
    assert_eq!(report(&mut translator, &admin("0.0.0.0")), [""; 0]);
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
