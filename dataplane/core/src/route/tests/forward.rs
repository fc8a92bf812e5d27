//! Clusters, header edits and rewrites.

use super::build::*;
use crate::access_log::Facts;
use crate::chance::Chance;
use crate::config::ClusterId;
use crate::config::expression::anywhere;
use crate::config::route::*;
use crate::fault::Cause;
use crate::http::{RequestHead, ResponseHead};
use crate::limits;
use crate::route::{Around, Choice, HostIndex, OriginalPath, RouteError, RouteRef, RouteTable};

const FIRST: RouteRef = RouteRef {
    host: HostIndex(0),
    index: 0,
};
const PLAIN: Choice = Choice {
    cluster: ClusterId(0),
    weighted: None,
};

fn weighted(weights: &[u32]) -> ClusterChoice {
    let cluster = |(index, weight): (usize, &u32)| WeightedCluster {
        cluster: ClusterId(index as u32),
        weight: *weight,
        headers: HeaderChanges::default(),
        host_rewrite: None,
    };
    ClusterChoice::Weighted {
        clusters: weights.iter().enumerate().map(cluster).collect(),
        total: weights.iter().sum(),
    }
}

fn to(cluster: ClusterChoice) -> RouteTable {
    table(vec![forward(prefix("/"), |forward| {
        forward.cluster = cluster;
        forward.not_found_status = 404;
    })])
}

fn choose(table: &RouteTable, request: &RequestHead) -> Result<Choice, Cause> {
    table.choose(FIRST, request, &snapshot(3), &mut Chance::new(1))
}

#[test]
fn one_cluster_and_named_clusters() {
    let request = get("a", "/");
    assert_eq!(
        choose(&to(ClusterChoice::One(ClusterId(2))), &request),
        Ok(Choice {
            cluster: ClusterId(2),
            weighted: None
        })
    );
    assert_eq!(
        choose(&to(ClusterChoice::One(ClusterId(9))), &request),
        Err(Cause::NoCluster(404))
    );
    let named = to(ClusterChoice::Header("x-cluster".into()));
    let ask = |fields: &[(&str, &str)]| {
        choose(&named, &with_fields(get("a", "/"), fields)).map(|choice| choice.cluster.0)
    };
    assert_eq!(
        ask(&[("x-cluster", "cluster-1"), ("x-cluster", "cluster-2")]),
        Ok(1)
    );
    // Known by name, but removed.
    assert_eq!(
        ask(&[("x-cluster", "cluster-3")]),
        Err(Cause::NoCluster(404))
    );
    assert_eq!(ask(&[("x-cluster", "nowhere")]), Err(Cause::NoCluster(404)));
    assert_eq!(ask(&[]), Err(Cause::NoCluster(404)));
}

#[test]
fn weights_are_shares() {
    let table = to(weighted(&[1, 0, 3]));
    let (snapshot, request) = (snapshot(3), get("a", "/"));
    let mut chance = Chance::new(5);
    let mut counts = [0_u32; 3];
    for _ in 0..8000 {
        let choice = table
            .choose(FIRST, &request, &snapshot, &mut chance)
            .unwrap();
        assert_eq!(choice.weighted, Some(choice.cluster.0));
        counts[choice.cluster.0 as usize] += 1;
    }
    assert_eq!(counts[1], 0);
    assert!(counts[0].abs_diff(2000) < 150, "{counts:?}");
}

/// The request as the origin gets it.
fn rewritten(table: &RouteTable, choice: Choice, mut request: RequestHead) -> RequestHead {
    let record = record();
    let result = table.rewrite_request(
        FIRST,
        choice,
        &mut request,
        &around(&record),
        &mut Vec::new(),
    );
    assert_eq!(result, Ok(()));
    request
}

fn adds(value: &str, action: AppendAction) -> HeaderChanges {
    HeaderChanges {
        request: HeaderEdits {
            remove: Vec::new(),
            add: vec![addition("x-level", value, action)],
        },
        response: HeaderEdits {
            remove: Vec::new(),
            add: vec![addition("x-level", value, action)],
        },
    }
}

/// A table that adds its level's name at every level.
fn levels(action: AppendAction, most_specific_wins: bool) -> RouteTable {
    let mut clusters = weighted(&[1]);
    if let ClusterChoice::Weighted { clusters, .. } = &mut clusters {
        clusters[0].headers = adds("weight", action);
    }
    let mut route = forward(prefix("/"), |forward| forward.cluster = clusters);
    route.headers = adds("route", action);
    let mut config = config(vec![route]);
    config.virtual_hosts[0].headers = adds("host", action);
    config.headers = adds("config", action);
    config.most_specific_wins = most_specific_wins;
    compile(config)
}

const WEIGHTED: Choice = Choice {
    cluster: ClusterId(0),
    weighted: Some(0),
};

#[test]
fn levels_follow_one_another() {
    use AppendAction::{AddIfAbsent, AppendOrAdd, OverwriteIfExists, OverwriteOrAdd};
    for (action, most_specific_wins, expect) in [
        (
            AppendOrAdd,
            false,
            vec!["weight", "route", "host", "config"],
        ),
        (AppendOrAdd, true, vec!["weight", "config", "host", "route"]),
        (OverwriteOrAdd, false, vec!["config"]),
        (OverwriteOrAdd, true, vec!["route"]),
        (AddIfAbsent, false, vec!["weight"]),
        (OverwriteIfExists, false, vec![]),
    ] {
        let table = levels(action, most_specific_wins);
        let request = rewritten(&table, WEIGHTED, get("a", "/"));
        assert_eq!(field(&request, "x-level"), expect, "{action:?}");
        let mut response = ResponseHead::default();
        let (request, record) = (get("a", "/"), record());
        let facts = facts(&request, &record);
        table.edit_response(
            FIRST,
            Some(WEIGHTED),
            &mut response,
            &facts,
            &mut Vec::new(),
        );
        let values = response.fields.values_by_name(b"x-level");
        let values: Vec<_> = values
            .map(|value| std::str::from_utf8(value).unwrap())
            .collect();
        assert_eq!(values, expect, "{action:?}");
    }
}

fn facts<'a>(request: &'a RequestHead, record: &'a crate::access_log::Record) -> Facts<'a> {
    Facts {
        request,
        original_target: b"/",
        response: None,
        trailers: None,
        record,
        listener: "front",
        route: "",
        virtual_host: "all",
        cluster: "backend",
        hostname: "gate",
    }
}

fn edited(edits: HeaderEdits, fields: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut route = route(prefix("/"));
    route.name = "main".into();
    route.headers.request = edits;
    let request = rewritten(
        &table(vec![route]),
        PLAIN,
        with_fields(get("a", "/p"), fields),
    );
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    request
        .fields
        .iter()
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

fn check_edit(edits: HeaderEdits, fields: &[(&str, &str)], expect: &[(&str, &str)]) {
    let edited = edited(edits, fields);
    let edited: Vec<_> = edited
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    assert_eq!(edited, expect);
}

fn edits(remove: &[&str], add: Vec<HeaderAddition>) -> HeaderEdits {
    HeaderEdits {
        remove: remove.iter().map(|name| (*name).into()).collect(),
        add,
    }
}

#[test]
fn actions_of_additions() {
    use AppendAction::{AddIfAbsent, AppendOrAdd, OverwriteIfExists, OverwriteOrAdd};
    let one = |action| edits(&[], vec![addition("x", "new", action)]);
    check_edit(
        one(AppendOrAdd),
        &[("x", "1"), ("y", "2")],
        &[("x", "1"), ("y", "2"), ("x", "new")],
    );
    check_edit(one(AddIfAbsent), &[("x", "1")], &[("x", "1")]);
    check_edit(one(AddIfAbsent), &[], &[("x", "new")]);
    check_edit(
        one(OverwriteOrAdd),
        &[("x", "1"), ("x", "2")],
        &[("x", "new")],
    );
    check_edit(one(OverwriteIfExists), &[("x", "1")], &[("x", "new")]);
    check_edit(one(OverwriteIfExists), &[], &[]);
}

#[test]
fn values_are_made_before_anything_is_put_in_place() {
    use AppendAction::{AddIfAbsent, AppendOrAdd, OverwriteOrAdd};
    let add = vec![
        addition("a", "%REQ(b)%", AppendOrAdd),
        addition("b", "%REQ(a)%", OverwriteOrAdd),
        addition("c", "1", AddIfAbsent),
        addition("c", "2", AddIfAbsent),
        addition("gone", "%REQ(removed)%", AppendOrAdd),
        addition(
            "path",
            "%REQ(:PATH)% %ROUTE_NAME% %UPSTREAM_CLUSTER% %HOSTNAME%",
            AppendOrAdd,
        ),
    ];
    check_edit(
        edits(&["removed"], add),
        &[("a", "1"), ("b", "2"), ("removed", "x")],
        &[
            ("a", "1"),
            ("b", "1"),
            ("a", "2"),
            ("c", "1"),
            ("c", "2"),
            ("path", "/p main backend gate"),
        ],
    );
}

#[test]
fn empty_values_are_kept_on_demand() {
    let mut kept = addition("kept", "%REQ(nothing)%", AppendAction::AppendOrAdd);
    kept.keep_empty = true;
    let left_out = addition("left-out", "%REQ(nothing)%", AppendAction::AppendOrAdd);
    check_edit(edits(&[], vec![left_out, kept]), &[], &[("kept", "")]);
}

#[test]
fn edits_are_bounded() {
    let big = "x".repeat(1000);
    let value = "%REQ(big)%".repeat(100);
    let mut route = route(prefix("/"));
    route.headers.request = edits(&[], vec![addition("a", &value, AppendAction::AppendOrAdd)]);
    route.headers.response = edits(&[], vec![addition("a", &value, AppendAction::AppendOrAdd)]);
    let table = table(vec![route]);
    let mut request = with_fields(get("a", "/"), &[("big", &big)]);
    let record = record();
    let mut response = ResponseHead::default();
    table.edit_response(
        FIRST,
        None,
        &mut response,
        &facts(&request, &record),
        &mut Vec::new(),
    );
    assert!(response.fields.is_empty());
    let around = around(&record);
    let result = table.rewrite_request(FIRST, PLAIN, &mut request, &around, &mut Vec::new());
    assert!(matches!(result, Err(Cause::Malformed(_))));
}

fn regex_rewrite(pattern: &str, substitution: &str) -> PathRewrite {
    PathRewrite::Regex {
        pattern: anywhere(pattern).unwrap(),
        substitution: substitution.into(),
    }
}

fn check_path(path: PathMatch, rewrite: PathRewrite, target: &str, expect: Option<&str>) {
    let table = table(vec![forward(path, |forward| {
        forward.path_rewrite = rewrite
    })]);
    let request = rewritten(&table, PLAIN, get("a", target));
    let new = std::str::from_utf8(request.target()).unwrap();
    assert_eq!(new, expect.unwrap_or(target));
    let original = field(&request, "x-envoy-original-path");
    assert_eq!(original, Vec::from_iter(expect.map(|_| target)));
}

#[test]
fn paths_are_rewritten() {
    let to = |text: &str| PathRewrite::Prefix(text.into());
    check_path(prefix("/api"), PathRewrite::Keep, "/api/x?q", None);
    check_path(prefix("/api"), to(""), "/api/x?q", None);
    check_path(prefix("/api"), to("/v1"), "/api/x?q", Some("/v1/x?q"));
    check_path(prefix("/api"), to("/"), "/api/x", Some("//x"));
    check_path(prefix("/api/"), to("/"), "/api/x", Some("/x"));
    check_path(prefix("/api"), to("/v1"), "/apix", Some("/v1x"));
    check_path(prefix("/api"), to("v1"), "/api", Some("/v1"));
    check_path(segments("/api"), to("/v1"), "/api/x?q", Some("/v1/x?q"));
    check_path(segments("/api"), to("/v1"), "/api?q", Some("/v1?q"));
    check_path(exact("/api"), to("/v1"), "/api?q", Some("/v1?q"));
    check_path(regex("/a.*"), to("/v1"), "/api/x?q", Some("/v1?q"));
}

#[test]
fn paths_are_rewritten_by_expression() {
    for (pattern, substitution, target, expect) in [
        (
            "^/a/([^/]+)(/.*)$",
            "\\2/by/\\1",
            "/a/b/c?q=/a/b",
            "/c/by/b?q=/a/b",
        ),
        ("a", "x\\0", "/aba", "/xabxa"),
        ("b", "\\\\", "/aba", "/a\\a"),
        ("^/a", "", "/a", "/"),
        ("^/a", "", "/a?q", "/?q"),
        ("^/a/", "", "/a/b", "/b"),
        ("^/(x)?", "/\\1y", "/a", "/ya"),
        ("b*", "-", "/abba", "/-/-a-a-"),
        ("z", "y", "/a", "/a"),
    ] {
        check_path(
            prefix("/"),
            regex_rewrite(pattern, substitution),
            target,
            Some(expect),
        );
    }
}

#[test]
fn rewritten_paths_are_bounded() {
    let rewrite = regex_rewrite("a", &"b".repeat(100));
    let table = table(vec![forward(prefix("/"), |forward| {
        forward.path_rewrite = rewrite
    })]);
    let mut request = get(
        "a",
        &format!("/{}", "a".repeat(limits::TARGET_BYTES_MAX / 50)),
    );
    let record = record();
    let mut scratch = Vec::new();
    let result = table.rewrite_request(FIRST, PLAIN, &mut request, &around(&record), &mut scratch);
    assert!(matches!(result, Err(Cause::Malformed(_))));
    assert!(scratch.len() < 2 * limits::TARGET_BYTES_MAX);
}

#[test]
fn the_original_path_can_be_suppressed() {
    let table = table(vec![forward(prefix("/a"), |forward| {
        forward.path_rewrite = PathRewrite::Prefix("/b".into());
    })]);
    let record = record();
    let around = Around {
        original_path: OriginalPath::Drop,
        ..around(&record)
    };
    let mut request = get("a", "/a");
    table
        .rewrite_request(FIRST, PLAIN, &mut request, &around, &mut Vec::new())
        .unwrap();
    assert_eq!(request.target(), b"/b");
    assert!(field(&request, "x-envoy-original-path").is_empty());
}

fn check_host(rewrite: HostRewrite, fields: &[(&str, &str)], host: &str, forwarded: &[&str]) {
    let table = table(vec![forward(prefix("/"), |forward| {
        forward.host_rewrite = rewrite;
        forward.append_forwarded_host = true;
    })]);
    let request = with_fields(get("old:80", "/tenant/x?/y"), fields);
    let request = rewritten(&table, PLAIN, request);
    assert_eq!(std::str::from_utf8(request.authority()).unwrap(), host);
    assert_eq!(field(&request, "x-forwarded-host"), forwarded);
}

#[test]
fn hosts_are_rewritten() {
    let literal = || HostRewrite::Literal("new".into());
    check_host(HostRewrite::Keep, &[], "old:80", &[]);
    check_host(HostRewrite::Auto, &[], "old:80", &[]);
    check_host(literal(), &[], "new", &["old:80"]);
    check_host(
        literal(),
        &[("x-forwarded-host", "first")],
        "new",
        &["first", "old:80"],
    );
    check_host(
        literal(),
        &[("x-forwarded-host", "first, old:80")],
        "new",
        &["first, old:80"],
    );
    let header = || HostRewrite::Header("x-host".into());
    check_host(
        header(),
        &[("x-host", "from-field")],
        "from-field",
        &["old:80"],
    );
    check_host(header(), &[("x-host", "")], "old:80", &[]);
    check_host(header(), &[("x-host", "a b")], "old:80", &[]);
    check_host(header(), &[("x-host", "user@evil/")], "old:80", &[]);
    check_host(header(), &[], "old:80", &[]);
    let path = HostRewrite::PathRegex {
        pattern: anywhere("^/([a-z]+)/.*$").unwrap(),
        substitution: "\\1.example".into(),
    };
    check_host(path, &[], "tenant.example", &["old:80"]);
}

#[test]
fn the_endpoint_names_the_host() {
    let table = table(vec![
        forward(prefix("/a"), |forward| {
            forward.host_rewrite = HostRewrite::Auto;
            forward.append_forwarded_host = true;
        }),
        route(prefix("/")),
    ]);
    let mut request = get("old", "/");
    table.rewrite_host_auto(FIRST, "", &mut request);
    assert_eq!(request.authority(), b"old");
    table.rewrite_host_auto(FIRST, "origin.example", &mut request);
    assert_eq!(request.authority(), b"origin.example");
    assert_eq!(field(&request, "x-forwarded-host"), ["old"]);
    let plain = RouteRef { index: 1, ..FIRST };
    table.rewrite_host_auto(plain, "other", &mut request);
    assert_eq!(request.authority(), b"origin.example");
}

#[test]
fn a_weighted_cluster_has_its_own_host() {
    let mut clusters = weighted(&[1]);
    if let ClusterChoice::Weighted { clusters, .. } = &mut clusters {
        clusters[0].host_rewrite = Some("own".into());
    }
    let table = to(clusters);
    assert_eq!(
        rewritten(&table, WEIGHTED, get("a", "/")).authority(),
        b"own"
    );
}

fn errors(config: RouteConfig) -> Vec<String> {
    let errors = RouteTable::compile(config).map(|_| ()).unwrap_err();
    errors.iter().map(RouteError::to_string).collect()
}

#[test]
fn all_mistakes_are_reported_with_their_places() {
    let mut wrong = forward(segments("/a/"), |forward| {
        forward.path_rewrite = regex_rewrite("(a)", "\\2");
        forward.host_rewrite = HostRewrite::Literal("a b".into());
        forward.cluster = weighted(&[0]);
    });
    let removed = edits(
        &[":path", "X"],
        vec![addition("host", "x", AppendAction::AppendOrAdd)],
    );
    wrong.headers.request = removed;
    wrong.matcher.headers = vec![header("", ValueTest::Present(true))];
    wrong.matcher.fraction = Some(Fraction {
        numerator: 1,
        denominator: 7,
    });
    let mut direct = route(prefix("/"));
    direct.action = Action::Direct(Box::new(DirectResponse {
        status: 99,
        body: Box::default(),
    }));
    let mut config = config(vec![wrong, direct]);
    config.virtual_hosts.push(VirtualHost::default());
    assert_eq!(
        errors(config),
        [
            "virtual_hosts[0].routes[0].match.path_separated_prefix: it must begin with a slash, \
            not end \
         with one, and hold no ? or #",
            "virtual_hosts[0].routes[0].match.headers[0].name: a name is needed",
            "virtual_hosts[0].routes[0].match.runtime_fraction: the denominator must be 100, \
            10000 or \
         1000000",
            "virtual_hosts[0].routes[0].request_headers_to_add[0]: pseudo-headers and host \
            cannot be \
         changed here; use host_rewrite_literal",
            "virtual_hosts[0].routes[0].request_headers_to_remove[0]: pseudo-headers and host \
            cannot be \
         changed here; use host_rewrite_literal",
            "virtual_hosts[0].routes[0].request_headers_to_remove[1]: the name must be in lower \
            case",
            "virtual_hosts[0].routes[0].route.weighted_clusters: the sum of the weights must be \
            above 0 \
         and below 2^32",
            "virtual_hosts[0].routes[0].route.regex_rewrite.substitution: \\2 names a group that \
            the \
         pattern does not have (it has 1)",
            "virtual_hosts[0].routes[0].route.host_rewrite_literal: this is no host and port \
            (RFC 3986 \
         section 3.2)",
            "virtual_hosts[0].routes[1].direct_response.status: the status must be from 200 to 599",
            "virtual_hosts[1].domains: at least one domain is needed",
        ]
    );
}

#[test]
fn substitutions_are_checked() {
    for (substitution, is_right) in [
        ("\\0\\1", true),
        ("\\2", false),
        ("\\", false),
        ("\\x", false),
        ("\\\\", true),
        ("a b", false),
        ("a\r\nb", false),
    ] {
        let route = forward(prefix("/"), |forward| {
            forward.path_rewrite = regex_rewrite("(a)", substitution);
        });
        let result = RouteTable::compile(config(vec![route]));
        assert_eq!(result.is_ok(), is_right, "{substitution:?}");
    }
}
