//! Which route a request finds, one table per matcher; and what finding it costs.

use super::build::*;
use crate::chance::Chance;
use crate::config::route::*;
use crate::http::RequestHead;
use crate::route::{HostIndex, Lookup, RouteTable};

fn found(table: &RouteTable, request: &RequestHead) -> Option<u32> {
    match table.find(request, &mut Chance::new(1)) {
        Lookup::Route(route) => Some(route.index),
        _ => None,
    }
}

fn check_path(path: &PathMatch, case_sensitive: bool, target: &str, expect: bool) {
    let mut route = route(path.clone());
    route.matcher.case_sensitive = case_sensitive;
    let found = found(&table(vec![route]), &get("a", target));
    assert_eq!(
        found.is_some(),
        expect,
        "{path:?} {case_sensitive} {target}"
    );
}

#[test]
fn paths() {
    for (path, target, expect) in [
        (prefix("/a"), "/a", true),
        (prefix("/a"), "/ab?x=1", true),
        (prefix("/a"), "/A", false),
        (prefix("/a?x"), "/a?x", false),
        (prefix("/"), "*", false),
        (prefix(""), "*", true),
        (prefix(""), "", false),
        (segments("/a"), "/a", true),
        (segments("/a"), "/a/", true),
        (segments("/a"), "/a/b?c", true),
        (segments("/a"), "/ab", false),
        (segments("/a"), "/a;x", false),
        (exact("/a"), "/a?b", true),
        (exact("/a"), "/a/", false),
        (regex("/a/[0-9]+"), "/a/12?x", true),
        (regex("/a/[0-9]+"), "/a/12/", false),
        (regex("/a|/bcd"), "/b", false),
        (regex("/a|/bcd"), "/bcd", true),
    ] {
        check_path(&path, true, target, expect);
    }
    for (path, target, expect) in [
        (prefix("/aB"), "/AbC", true),
        (segments("/aB"), "/Ab/C", true),
        (segments("/aB"), "/AbC", false),
        (exact("/aB"), "/Ab", true),
        (exact("/aB"), "/Ac", false),
        (regex("/aB"), "/Ab", false),
    ] {
        check_path(&path, false, target, expect);
    }
}

fn check_header(matcher: HeaderMatch, fields: &[(&str, &str)], expect: bool) {
    let text = format!("{matcher:?} {fields:?}");
    let mut route = route(prefix("/"));
    route.matcher.headers = vec![matcher];
    let request = with_fields(get("a.example:80", "/p?q=1"), fields);
    assert_eq!(
        found(&table(vec![route]), &request).is_some(),
        expect,
        "{text}"
    );
}

fn pattern(pattern: Pattern, ignore_case: bool) -> ValueTest {
    ValueTest::Text(StringMatch {
        pattern,
        ignore_case,
    })
}

#[test]
fn headers() {
    let range = || ValueTest::Range { start: -1, end: 10 };
    let starts = || pattern(Pattern::Prefix("ab".into()), false);
    let ends = || pattern(Pattern::Suffix("bc".into()), true);
    let has = || pattern(Pattern::Contains("b".into()), true);
    let matches = || pattern(Pattern::Regex(whole("a.c")), false);
    for (name, test, value, expect) in [
        ("x", is("abc"), "abc", true),
        ("x", is("abc"), "aBc", false),
        (
            "x",
            pattern(Pattern::Exact("abc".into()), true),
            "aBC",
            true,
        ),
        ("x", starts(), "abc", true),
        ("x", starts(), "a", false),
        ("x", ends(), "aBC", true),
        ("x", ends(), "bcd", false),
        ("x", has(), "aBc", true),
        ("x", has(), "ac", false),
        ("x", matches(), "abc", true),
        ("x", matches(), "abcd", false),
        ("x", range(), "-1", true),
        ("x", range(), " +9 ", true),
        ("x", range(), "10", false),
        ("x", range(), "1a", false),
        ("x", range(), "99999999999999999999", false),
        ("x", ValueTest::Present(true), "", true),
        ("x", ValueTest::Present(false), "", false),
        (":method", is("GET"), "", true),
        (":authority", is("a.example:80"), "", true),
        ("host", is("a.example:80"), "", true),
        (":path", is("/p?q=1"), "", true),
        (":scheme", is("http"), "", true),
        (":unknown", ValueTest::Present(true), "", false),
    ] {
        check_header(header(name, test), &[("X", value)], expect);
    }
}

#[test]
fn n06_repeated_fields_match_as_a_list_and_value_by_value() {
    let twice = [("x", "a"), ("x", "b")];
    for value in ["a,b", "a", "b"] {
        check_header(header("x", is(value)), &twice, true);
        let inverted = HeaderMatch {
            invert: true,
            ..header("x", is(value))
        };
        check_header(inverted, &twice, false);
    }
    for value in ["b,a", "", "c"] {
        check_header(header("x", is(value)), &twice, false);
    }
    check_header(
        header("x", ValueTest::Range { start: 0, end: 9 }),
        &[("x", "a"), ("x", "7")],
        true,
    );
    let cookies = [("cookie", "a=1"), ("cookie", "b=2")];
    check_header(header("cookie", is("a=1; b=2")), &cookies, true);
}

#[test]
fn missing_fields_and_inversion() {
    for (test, invert, missing_is_empty, missing, empty) in [
        (is("a"), false, false, false, false),
        (is("a"), true, false, false, true),
        (is("a"), true, true, true, true),
        (is(""), false, true, true, true),
        (is(""), false, false, false, true),
        (ValueTest::Present(true), false, false, false, true),
        (ValueTest::Present(true), true, false, true, false),
        (ValueTest::Present(false), false, false, true, false),
        (ValueTest::Present(false), true, false, false, true),
        (ValueTest::Present(true), false, true, true, true),
    ] {
        let matcher = || HeaderMatch {
            invert,
            missing_is_empty,
            ..header("x", test.clone())
        };
        check_header(matcher(), &[], missing);
        check_header(matcher(), &[("x", "")], empty);
    }
}

#[test]
fn query_parameters() {
    for (target, test, expect) in [
        ("/?q=1", is("1"), true),
        ("/?a&q=1&q=2", is("1"), true),
        ("/?a&q=2&q=1", is("1"), false),
        ("/?q", is(""), true),
        ("/?q", ValueTest::Present(true), true),
        ("/?qq=1", ValueTest::Present(true), false),
        ("/", ValueTest::Present(true), false),
        ("/", ValueTest::Present(false), true),
        ("/?q=1", ValueTest::Present(false), false),
        ("/?q=%31", is("1"), false),
        ("/?q=a=b", is("a=b"), true),
        ("/?Q=1", is("1"), false),
    ] {
        let mut route = route(prefix("/"));
        route.matcher.query = vec![QueryMatch {
            name: "q".into(),
            test,
        }];
        assert_eq!(
            found(&table(vec![route]), &get("a", target)).is_some(),
            expect,
            "{target}"
        );
    }
}

#[test]
fn fractions_share_one_draw_and_leave_chance_alone_otherwise() {
    let part = |path, numerator| {
        let mut route = route(path);
        route.matcher.fraction = Some(Fraction {
            numerator,
            denominator: 100,
        });
        route
    };
    let table = table(vec![
        part(prefix("/a"), 30),
        part(prefix("/a"), 60),
        route(prefix("/")),
    ]);
    let mut counts = [0_u32; 3];
    let mut chance = Chance::new(7);
    for _ in 0..10_000 {
        match table.find(&get("a", "/a"), &mut chance) {
            Lookup::Route(route) => counts[route.index as usize] += 1,
            other => panic!("{other:?}"),
        }
    }
    // 30 %, then those between 30 and 60 %, then the rest.
    assert!(
        counts[0].abs_diff(3000) < 200 && counts[1].abs_diff(3000) < 200,
        "{counts:?}"
    );
    let mut untouched = Chance::new(7);
    table.find(&get("a", "/b"), &mut untouched);
    assert_eq!(untouched.bits(), Chance::new(7).bits());
}

#[test]
fn tls_is_required_by_host() {
    let table = |require_tls| {
        let mut config = config(vec![route(prefix("/"))]);
        config.virtual_hosts[0].require_tls = require_tls;
        compile(config)
    };
    let is_redirected = |require_tls, request: &RequestHead| {
        let lookup = table(require_tls).find(request, &mut Chance::new(1));
        lookup == Lookup::TlsRequired { host: HostIndex(0) }
    };
    let mut secure = get("a", "/");
    secure.secure = true;
    let claims = [("x-envoy-internal", "true"), ("x-forwarded-proto", "https")];
    let claimed = with_fields(get("a", "/"), &claims);
    for (require, plain) in [
        (RequireTls::None, false),
        (RequireTls::ExternalOnly, true),
        (RequireTls::All, true),
    ] {
        assert_eq!(is_redirected(require, &get("a", "/")), plain);
        assert_eq!(is_redirected(require, &claimed), plain);
        assert!(!is_redirected(require, &secure));
    }
}

#[test]
fn no_host_and_no_route() {
    let mut config = config(vec![route(prefix("/a"))]);
    config.virtual_hosts[0].domains = vec!["a".into()];
    let table = compile(config);
    let find = |authority, target| table.find(&get(authority, target), &mut Chance::new(1));
    assert_eq!(find("b", "/a"), Lookup::NoHost);
    assert_eq!(find("a", "/b"), Lookup::NoRoute { host: HostIndex(0) });
    let empty = RouteTable::default();
    assert_eq!(
        empty.find(&get("a", "/"), &mut Chance::new(1)),
        Lookup::NoHost
    );
}

/// How many routes are looked at before the right one is found.
fn examined(table: &RouteTable, request: &RequestHead, expect: u32) -> u32 {
    let mut count = 0;
    let lookup = table.first_match(HostIndex(0), request, &mut Chance::new(1), |_| count += 1);
    assert!(
        matches!(lookup, Lookup::Route(route) if route.index == expect),
        "{lookup:?}"
    );
    count
}

/// 10,000 routes: the first, the one in the middle and the last cost the same.
fn check_steps(make: impl Fn(u32) -> Route, request: impl Fn(u32) -> RequestHead) {
    let mut routes: Vec<_> = (0..10_000).map(make).collect();
    routes.push(route(prefix("/")));
    let table = table(routes);
    for index in [0, 1, 4999, 9999] {
        assert_eq!(examined(&table, &request(index), index), 1, "{index}");
    }
    assert_eq!(examined(&table, &get("a", "/nowhere"), 10_000), 1);
}

#[test]
fn steps_do_not_depend_on_the_place() {
    let path = |index: u32| format!("/service-{index}/");
    check_steps(
        |index| route(prefix(&path(index))),
        |index| get("a", &(path(index) + "x")),
    );
    check_steps(
        |index| route(exact(&path(index))),
        |index| get("a", &path(index)),
    );
    let segment = |index: u32| format!("/service-{index}");
    check_steps(
        |index| route(segments(&segment(index))),
        |index| get("a", &path(index)),
    );
    let by_header = |index: u32| {
        let mut route = route(prefix("/api"));
        route.matcher.headers = vec![
            header(":method", is("GET")),
            header("x-tenant", is(&index.to_string())),
        ];
        route
    };
    let tenant = |index: u32| with_fields(get("a", "/api"), &[("x-tenant", &index.to_string())]);
    check_steps(by_header, tenant);
    let by_query = |index: u32| {
        let mut route = route(exact("/api"));
        route.matcher.query = vec![QueryMatch {
            name: "id".into(),
            test: is(&index.to_string()),
        }];
        route
    };
    check_steps(by_query, |index| get("a", &format!("/api?id={index}")));
}

#[test]
fn steps_of_regular_expressions() {
    let literal = |index: u32| route(regex(&format!("/service-{index}/[a-z]+")));
    let routes = (0..500).map(literal).chain([route(prefix("/"))]).collect();
    let table_of_literals = table(routes);
    let set = |index: u32| route(regex(&format!("/[a-z]+/{index}/.*")));
    let table_of_sets = table((0..500).map(set).chain([route(prefix("/"))]).collect());
    for index in [0, 250, 499] {
        let request = get("a", &format!("/service-{index}/x"));
        assert_eq!(examined(&table_of_literals, &request, index), 1);
        let request = get("a", &format!("/some/{index}/x"));
        assert_eq!(examined(&table_of_sets, &request, index), 1);
    }
}
