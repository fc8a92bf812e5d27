//! What is found wrong, as a table of reports.

use super::*;

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
            "warning: [0].circuit_breakers.thresholds[1].priority: has its thresholds already: \
             these \
             have no effect; remove them",
            "[0].dns_refresh_rate: is too often; write at least 0.001s",
            "[0].load_assignment.policy.overprovisioning_factor: must be above 0; write percent, \
             for example 140",
            "warning: [0].load_assignment.endpoints: no endpoints have priority 1, but 2 is \
             used; number \
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
fn what_is_for_listeners_only_is_no_field_of_clusters() {
    check_clusters(
        "- {name: a, common_http_protocol_options: {max_stream_duration: 5s}}",
        &[
            "warning: [0].load_assignment: is missing: the cluster has no endpoints; write the \
             endpoints",
            "[0].common_http_protocol_options.max_stream_duration: is served for listeners, not \
             for clusters; remove it",
        ],
    );
}

#[test]
fn listeners_are_checked() {
    let text = "static_resources:\n  listeners:\n  - name: a\n  - {name: a, enable_reuse_port: \
        false, tcp_backlog_size: 0, address: {socket_address: {address: localhost, port_value: \
        70000}}, filter_chains: [{}, {filters: [{name: x}]}]}\n";
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
            "static_resources.listeners[1].tcp_backlog_size: is out of range; write 1 to \
             2147483647; the kernel caps it at net.core.somaxconn",
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
            "server_name: cannot stand in a header field; leave out control characters",
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
        "- match: {prefix: /, headers: [{name: a, string_match: {}}, {name: b, range_match: \
         {start: \
         5, end: 5}}], runtime_fraction: {runtime_key: x}}\n  route:\n    prefix_rewrite: \
         /b\n    regex_rewrite: {pattern: {regex: a}, substitution: '\\1'}\n    weighted_clusters: \
         {total_weight: 3, clusters: [{name: a, weight: 1}, {name: a}]}\n  \
         request_headers_to_add: [{}, {header: {key: a, value: '%NOPE%'}, append: true, \
         append_action: ADD_IF_ABSENT}]\n  response_headers_to_remove: [':path']\n\
         - match: {prefix: /}\n  redirect: {port_redirect: 65536}\n\
         - match: {prefix: /}\n  direct_response: {status: 200, body: {filename: /nowhere/x}}\n",
        &[
            "[0].match.headers[0].string_match: says nothing; write exact, prefix, suffix, \
             contains or safe_regex",
            "warning: [0].match.headers[1].range_match: holds no number; write an end above the \
             start",
            "[0].match.runtime_fraction.default_value: is missing; write numerator and denominator",
            "[0].route.prefix_rewrite: excludes regex_rewrite, which is set too; keep one of them",
            "[0].route.regex_rewrite.substitution: \\1 names a group that the pattern does not \
             have \
             (it has 0)",
            "warning: [0].route.weighted_clusters.total_weight: has no effect: the weights come \
             to 1; \
             remove it",
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
            "note: request_headers_timeout: not set, which means 10s (Envoy: off); set it to \
             choose",
            "note: common_http_protocol_options.idle_timeout: not set, which means 60s \
             (Envoy: 1 h); set it to choose",
            "warning: merge_slashes: not set, which means false, as in Envoy; set it to true at \
             the edge",
            "warning: common_http_protocol_options.headers_with_underscores_action: not set, \
             which means ALLOW, as in Envoy; set it to REJECT_REQUEST at the edge",
        ]
    );
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
            "admin.address.socket_address.address: whoever reaches the administration interface \
             can \
          stop the process; use 127.0.0.1, or start with --admin-public if the network is \
          guarded"
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
