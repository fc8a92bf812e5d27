//! Reports and values of the bootstrap file, each case as text in, text out.

use penstock_proto::envoy::config::listener::v3::filter::ConfigType;
use penstock_proto::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;

use super::*;

/// The report of a text; empty if nothing is wrong. Lines of `expected` are trimmed.
fn check(input: &str, expected: &str) {
    check_with(&LoadOptions::default(), input, expected);
}

fn check_with(options: &LoadOptions, input: &str, expected: &str) {
    let report = match load_str("b.yaml", input, options) {
        Ok(loaded) => Findings(loaded.warnings).to_string(),
        Err(findings) => findings.to_string(),
    };
    let expected: Vec<_> = expected
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    assert_eq!(
        report.lines().collect::<Vec<_>>(),
        expected,
        "\n{input}\n{report}\n"
    );
}

fn loaded(input: &str) -> Loaded {
    load_str("b.yaml", input, &LoadOptions::default()).unwrap_or_else(|report| panic!("{report}"))
}

const WHOLE: &str = include_str!("tests/whole.yaml");

#[test]
fn a_whole_file_is_read() {
    let file = loaded(WHOLE);
    let resources = file.bootstrap.static_resources.expect("set");
    assert_eq!(resources.listeners.len(), 1);
    assert_eq!(resources.clusters[0].name, "origin");
    let filter = &resources.listeners[0].filter_chains[0].filters[0];
    let Some(ConfigType::TypedConfig(any)) = &filter.config_type else {
        panic!("no options")
    };
    let manager: hcm::HttpConnectionManager = decode_any(any).expect("it is one");
    assert_eq!(manager.stat_prefix, "ingress");
    assert_eq!(manager.http_filters.len(), 1);
    assert_eq!(file.warnings, []);
}

#[test]
fn json_and_yaml_say_the_same() {
    let json = include_str!("tests/whole.json");
    assert_eq!(loaded(json).bootstrap, loaded(WHOLE).bootstrap);
    let lines: Vec<_> = json.lines().map(str::trim).collect();
    assert_eq!(loaded(&lines.concat()).bootstrap, loaded(WHOLE).bootstrap);
}

#[test]
fn names_may_be_in_either_case() {
    let snake = loaded("static_resources: {clusters: [{name: a, connect_timeout: 1s}]}");
    let camel = loaded("staticResources: {clusters: [{name: a, connectTimeout: 1s}]}");
    assert_eq!(snake.bootstrap, camel.bootstrap);
    check(
        "staticResources: {}\nstatic_resources: {}\n",
        "b.yaml:2:1: static_resources: set twice, first at line 1; remove one of them",
    );
}

#[test]
fn the_kind_of_a_field_decides_what_a_scalar_is() {
    let file = loaded(
        "node: {id: on, cluster: 1.10, locality: {region: 010, zone: '~', sub_zone: ~}}\n\
         static_resources: {clusters: [{respect_dns_ttl: yes, name: null}]}\n",
    );
    let node = file.bootstrap.node.expect("set");
    let place = node.locality.expect("set");
    assert_eq!((&*node.id, &*node.cluster), ("on", "1.10"));
    assert_eq!(
        (&*place.region, &*place.zone, &*place.sub_zone),
        ("010", "~", "")
    );
    let cluster = &file.bootstrap.static_resources.expect("set").clusters[0];
    assert!(cluster.respect_dns_ttl && cluster.name.is_empty());
}

#[test]
fn free_data_follows_yaml() {
    use penstock_proto::prost_types::value::Kind;
    let file =
        loaded("node: {metadata: {a: 1.5, b: 'true', c: true, d: [~, x], e: 010, f: 1e400}}");
    let fields = file
        .bootstrap
        .node
        .expect("set")
        .metadata
        .expect("set")
        .fields;
    let kind = |key: &str| fields[key].kind.clone().expect("set");
    assert_eq!(kind("a"), Kind::NumberValue(1.5));
    assert_eq!(kind("b"), Kind::StringValue("true".into()));
    assert_eq!(kind("c"), Kind::BoolValue(true));
    assert_eq!(kind("e"), Kind::StringValue("010".into()));
    assert_eq!(kind("f"), Kind::StringValue("1e400".into()));
    let Kind::ListValue(list) = kind("d") else {
        panic!("no list")
    };
    assert_eq!(list.values[0].kind, Some(Kind::NullValue(0)));
}

#[test]
fn unknown_fields_are_named() {
    check(
        "static_resources:\n  listners: []\n  clusters:\n  - nmae: a\n    wobble: 1\n",
        "b.yaml:2:3: static_resources.listners: StaticResources has no such field; \
         did you mean `listeners`?
         b.yaml:4:5: static_resources.clusters[0].nmae: Cluster has no such field; \
         did you mean `name`?
         b.yaml:5:5: static_resources.clusters[0].wobble: Cluster has no such field; \
         remove it or check its spelling and its indentation",
    );
}

#[test]
fn fields_of_envoy_that_are_not_served_are_named() {
    check(
        "dynamic_resources: {ads_config: {}}\n\
         static_resources: {clusters: [{outlierDetection: {}, lb_policy: MAGLEV, type: EDS}]}\n",
        "b.yaml:1:1: dynamic_resources: a field of Envoy that is not served; remove it
         b.yaml:2:32: static_resources.clusters[0].outlierDetection: a field of Envoy that is not \
         served; remove it
         b.yaml:2:65: static_resources.clusters[0].lb_policy: `MAGLEV` is a value of Envoy that is \
         not served; use one of ROUND_ROBIN, LEAST_REQUEST, RANDOM
         b.yaml:2:79: static_resources.clusters[0].type: `EDS` is a value of Envoy that is not \
         served; use one of STATIC, STRICT_DNS, LOGICAL_DNS",
    );
}

#[test]
fn unserved_fields_may_be_left_out_but_not_what_guards() {
    let options = LoadOptions {
        allow_unknown_static_fields: true,
    };
    check_with(
        &options,
        "stats_sinks: []\nwobble: 1\nadmin: {}\n",
        "b.yaml:1:1: warning: stats_sinks: a field of Envoy that is not served; it is left out
         b.yaml:2:1: warning: wobble: Bootstrap has no such field; it is left out",
    );
    check_with(
        &options,
        "static_resources:\n  listeners:\n  - filter_chains:\n    - transport_socket: {}\n      \
         filter_chain_match:\n        server_names: [a]\n  clusters: [{connect_timeout: 1}]\n",
        "b.yaml:4:7: static_resources.listeners[0].filter_chains[0].transport_socket: a field of \
         Envoy that is not served; remove it: what it guards would be open
         b.yaml:6:9: static_resources.listeners[0].filter_chains[0].filter_chain_match.server_names\
         : a field of Envoy that is not served; remove it: what it guards would be open
         b.yaml:7:32: static_resources.clusters[0].connect_timeout: expected a duration, found \
         `1`; write seconds: 1s",
    );
}

#[test]
fn wrong_types_are_named() {
    check(
        "node: []\nadmin: {address: {socket_address: {port_value: http, address: [a]}}}\n\
         static_resources:\n  clusters: {a: 1}\n  listeners: [~, 5]\n",
        "b.yaml:1:7: node: expected a map (Node), found a list; write its fields as keys
         b.yaml:2:48: admin.address.socket_address.port_value: expected a whole number, found \
         `http`; write a whole number between 0 and 4294967295
         b.yaml:2:63: admin.address.socket_address.address: expected a text, found a list; write \
         a single value
         b.yaml:4:13: static_resources.clusters: expected a list, found a map; begin each element \
         with a dash, or use [ ]
         b.yaml:5:15: static_resources.listeners[0]: an element is missing; write it or remove \
         the dash
         b.yaml:5:18: static_resources.listeners[1]: expected a map (Listener), found `5`; write \
         its fields as keys",
    );
}

#[test]
fn wrong_values_are_named() {
    check(
        "static_resources:\n  clusters:\n  - type: STATICK\n    respect_dns_ttl: \"yes\"\n    \
         connect_timeout: 250ms\n    max_requests_per_connection: 4294967296\n    \
         per_connection_buffer_limit_bytes: -1\n    common_lb_config: {healthy_panic_threshold: \
         {value: lots}}\n",
        "b.yaml:3:11: static_resources.clusters[0].type: DiscoveryType has no value `STATICK`; \
         use one of STATIC, STRICT_DNS, LOGICAL_DNS
         b.yaml:4:22: static_resources.clusters[0].respect_dns_ttl: expected a boolean, found \
         `yes` in quotes; write true or false
         b.yaml:5:22: static_resources.clusters[0].connect_timeout: expected a duration, found \
         `250ms`; write seconds: 0.25s
         b.yaml:6:34: static_resources.clusters[0].max_requests_per_connection: 4294967296 is out \
         of range; write a whole number between 0 and 4294967295
         b.yaml:7:40: static_resources.clusters[0].per_connection_buffer_limit_bytes: -1 is out \
         of range; write a whole number between 0 and 4294967295
         b.yaml:8:57: static_resources.clusters[0].common_lb_config.healthy_panic_threshold.value: \
         expected a number, found `lots`; write a finite number, for example 12.5",
    );
}

#[test]
fn several_members_of_a_oneof_are_refused() {
    check(
        "layered_runtime: {layers: [{name: a, static_layer: {}}]}\nadmin:\n  \
         address: {}\n  access_log:\n    - typed_config:\n        \
         \"@type\": type.googleapis.com/envoy.extensions.access_loggers.file.v3.\
         FileAccessLog\n        \
         format: a\n        log_format: {}\n        json_format: ~\n",
        "b.yaml:8:9: admin.access_log[0].typed_config.log_format: excludes \
         `format`, which is set too; keep one of `format`, `json_format`, `typed_json_format`, \
         `log_format`",
    );
}

#[test]
fn extensions_are_known_by_their_type() {
    let check = |config: &str, expected: &str| {
        let input = format!(
            "admin:\n  address: {{}}\n  access_log:\n    - name: a\n      typed_config: \
             {config}\n"
        );
        let path = "admin.access_log[0].typed_config";
        check(&input, &expected.replace("PATH", path));
    };
    let remedy = "write \"@type\": type.googleapis.com/… of the extension";
    check(
        "{path: /x}",
        &format!("b.yaml:5:21: PATH: `@type` is missing; {remedy}"),
    );
    check(
        "5",
        &format!("b.yaml:5:21: PATH: expected a map with `@type`, found `5`; {remedy}"),
    );
    check(
        "{'@type': FileAccessLog}",
        &format!("b.yaml:5:31: PATH: `FileAccessLog` is not a type URL; {remedy}"),
    );
    check(
        "{'@type': type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.\
         HttpGrpcAccessLogConfig}",
        "b.yaml:5:31: PATH.@type: `envoy.extensions.access_loggers.grpc.v3.\
         HttpGrpcAccessLogConfig` is an Envoy extension that is not served; remove it, or use an \
         extension that is served",
    );
    check(
        "{'@type': type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAcessLog}",
        "b.yaml:5:31: PATH.@type: no extension has options of type \
         `envoy.extensions.access_loggers.file.v3.\
         FileAcessLog`; did you mean \
         `envoy.extensions.access_loggers.file.v3.FileAccessLog`?",
    );
    check(
        "{'@type': type.googleapis.com/google.protobuf.Struct, value: {}}",
        "b.yaml:5:31: PATH.@type: no extension has options of type \
         `google.protobuf.Struct`; check its spelling",
    );
    check(
        "{'@type': type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, \
         paht: /x}",
        "b.yaml:5:106: PATH.paht: FileAccessLog has no such field; did you mean `path`?",
    );
}

#[test]
fn duplicate_keys_are_all_found() {
    check(
        "node: {id: a, id: b}\nadmin: {}\nnode: {}\n",
        "b.yaml:1:15: duplicate key `id`, first at line 1; remove one of them
         b.yaml:3:1: duplicate key `node`, first at line 1; remove one of them",
    );
}

#[test]
fn texts_that_are_no_yaml_are_refused() {
    check(
        "",
        "b.yaml:1:1: the file is empty; write at least static_resources",
    );
    check(
        "# only words\n",
        "b.yaml:1:1: the file is empty; write at least static_resources",
    );
    check(
        "{}\n---\n{}\n",
        "b.yaml:2:1: a second document begins here; keep one document per file",
    );
    check(
        "5",
        "b.yaml:1:1: expected a map (Bootstrap), found `5`; write its fields as keys",
    );
    check(
        "node: !env {}\n",
        "b.yaml:1:12: the tag `!env` means nothing here; remove it",
    );
    check(
        "? {a: b}\n: c\n",
        "b.yaml:1:3: a key must be a text, but this is a map; \
        write a field name",
    );
    let broken = load_str(
        "b.yaml",
        "node: {id: a\nadmin: ]\n",
        &LoadOptions::default(),
    );
    let report = broken.expect_err("it is broken").to_string();
    assert!(
        report.starts_with("b.yaml:2:6: not valid YAML or JSON: "),
        "{report}"
    );
}

#[test]
fn aliases_and_merges_are_followed_within_bounds() {
    let file = loaded(
        "static_resources:\n  clusters:\n  - &a {name: a, connect_timeout: 1s}\n  \
         - {<<: *a, name: b}\n",
    );
    let clusters = file.bootstrap.static_resources.expect("set").clusters;
    assert_eq!(clusters[1].name, "b");
    assert_eq!(clusters[0].connect_timeout, clusters[1].connect_timeout);

    let mut bomb = String::from("a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n");
    for level in 1..12 {
        let item = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![item; 10].join(", "));
    }
    check(
        &bomb,
        "b.yaml:7:9: the file stands for more than 4000000 values; use fewer aliases \
        or split it",
    );
    check(
        "a: &a [*a]\n",
        "b.yaml:1:8: an alias inside what it names; remove it",
    );
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    check(
        &deep,
        "b.yaml:1:65: more than 64 levels deep; no served configuration needs so many",
    );
    let chain = format!(
        "a: &a {}{}\nb: {}*a{}",
        "[".repeat(40),
        "]".repeat(40),
        "[".repeat(30),
        "]".repeat(30)
    );
    check(
        &chain,
        "b.yaml:1:7: more than 64 levels deep; no served configuration needs so many",
    );
    let deep = format!(
        "node: {{metadata: {}a{}}}",
        "{a: ".repeat(24),
        "}".repeat(24)
    );
    check(
        &deep,
        "b.yaml:1:18: node.metadata: more than 24 levels deep; use fewer levels",
    );
    loaded(&format!(
        "node: {{metadata: {}a{}}}",
        "{a: ".repeat(23),
        "}".repeat(23)
    ));
}

#[test]
fn long_reports_are_cut() {
    let mut input = String::new();
    for number in 0..1500 {
        input += &format!("x{number}: 1\n");
    }
    let report = load_str("b.yaml", &input, &LoadOptions::default()).expect_err("unknown fields");
    assert_eq!(report.0.len(), 1001);
    assert!(
        report
            .to_string()
            .contains("500 more problems are not listed")
    );
}

#[test]
fn places_are_found_by_path() {
    let spans = loaded(WHOLE).spans;
    let check = |path: &str, text: &str| {
        let (line, column) = spans.place(path);
        let found = WHOLE.lines().nth(line as usize - 1).expect("in the file");
        let found: String = found.chars().skip(column as usize - 1).collect();
        assert!(found.starts_with(text), "{path}: {found}");
    };
    check("admin", "admin:");
    check("static_resources.listeners[0].name", "name: ingress");
    check(
        "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.stat_prefix",
        "stat_prefix:",
    );
    check(
        "static_resources.clusters[0].typed_extension_protocol_options\
        [\"envoy.extensions.upstreams.http.v3.HttpProtocolOptions\"].explicit_http_config",
        "explicit_http_config:",
    );
    check(
        "static_resources.clusters[0].not_there.deeper",
        "name: origin",
    );
    assert_eq!(spans.place("not_there"), (1, 1));
    assert!(spans.contains("static_resources.listeners[0].name") && !spans.contains("not_there"));
    let finding = spans.finding(Severity::Note, "admin", "because", "");
    assert!(
        finding
            .to_string()
            .starts_with("b.yaml:1:1: note: admin: because"),
        "{finding}"
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let report = load(Path::new("/nowhere/b.yaml"), &LoadOptions::default()).expect_err("missing");
    let report = report.to_string();
    assert!(
        report.starts_with("/nowhere/b.yaml: cannot be read: No such file"),
        "{report}"
    );
}

/// Broken copies of a good file: any answer will do, but an answer there must be.
#[test]
fn mangled_files_never_panic() {
    let options = LoadOptions {
        allow_unknown_static_fields: true,
    };
    for seed in 0..1000 {
        drop(load_str("b.yaml", &mangled(WHOLE, seed), &options));
    }
}

/// A text with a few pieces cut out, put in or cut off; the same one for a seed.
pub(crate) fn mangled(text: &str, seed: u64) -> String {
    const PIECES: &[&str] = &[
        "~", "[", "]", "{", "}", "&a", "*a", "<<:", "\"", "'", "|", "? ", "- ", ": ", "5", "-1s",
        "\u{feff}", "\t", "!!str ", "@type", "%", "\\u0000", "0x", "1e9s", "\n", "\\1", "*", "(",
    ];
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % below.max(1)
    };
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..=next(3) {
        let at = next(letters.len());
        match next(8) {
            0..=2 => drop(letters.drain(at..(at + next(40)).min(letters.len()))),
            3..=6 => drop(letters.splice(at..at, PIECES[next(PIECES.len())].chars())),
            _ => letters.truncate(at + 1),
        }
    }
    letters.into_iter().collect()
}
