//! Random tables and requests against the oracle.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;

use super::build::*;
use super::oracle;
use crate::chance::Chance;
use crate::config::expression::WholeRegex;
use crate::config::route::*;
use crate::http::RequestHead;
use crate::route::index::Worth;
use crate::route::{HostIndex, Lookup, RouteRef, RouteTable};

/// Expressions with and without a literal beginning; compiled once, clones are cheap.
static EXPRESSIONS: LazyLock<Vec<WholeRegex>> = LazyLock::new(|| {
    let given = [
        "/a.*",
        "/a/.*",
        "/[ab]+",
        "/a(b|c)/.*",
        "(?i)/a/b",
        "/ab?c.*",
        ".*",
        "/a/[a-z]+",
        "/a|/b",
        "/a/b",
        "/a+",
        "/A.",
        "/ab/.",
        "[^c]*",
        "",
        "a",
        "(?i)A",
        "[0-9]+",
        "a|b,a",
        "/[^a]*",
        "/a/[^b]",
        "\\W*",
    ];
    let many = (0..40).map(|number| format!("/a/{}.*", ["a", "b", "ab", "c"][number % 4]));
    let all = given.iter().map(ToString::to_string).chain(many);
    all.map(|pattern| whole(&pattern)).collect()
});

fn text() -> impl Strategy<Value = String> {
    select(vec![
        "", "1", "2", "10", "-3", "a", "A", "ab", "b,a", "1,2", "GET", "get",
    ])
    .prop_map(str::to_owned)
}

fn path_text() -> impl Strategy<Value = String> {
    let segment = select(vec!["a", "b", "ab", "A", "abc", "", "c", "\u{fc}"]);
    prop::collection::vec(segment, 0..4).prop_map(|segments| {
        segments
            .iter()
            .map(|segment| format!("/{segment}"))
            .collect()
    })
}

/// Mostly one of a few texts, so that many routes stand at the same one.
fn path() -> impl Strategy<Value = PathMatch> {
    let few = select(vec!["/", "/a", "/a/b", "/ab"]).prop_map(str::to_owned);
    let text = prop_oneof![2 => few, 1 => path_text()];
    (text, 0..10, select(EXPRESSIONS.clone())).prop_map(|(text, kind, regex)| match kind {
        0..3 => PathMatch::Prefix(text.into()),
        3..5 => {
            let text = text.trim_end_matches('/');
            PathMatch::SegmentPrefix(if text.is_empty() { "/a" } else { text }.into())
        }
        5..8 => PathMatch::Exact(text.into()),
        _ => PathMatch::Regex(regex),
    })
}

fn string_match() -> impl Strategy<Value = StringMatch> {
    (text(), 0..8, any::<bool>(), select(EXPRESSIONS.clone())).prop_map(
        |(text, kind, ignore_case, regex)| {
            let part = || {
                if text.is_empty() {
                    "a".into()
                } else {
                    text.clone().into()
                }
            };
            let pattern = match kind {
                0..4 => return exactly(text, ignore_case && kind == 0),
                4 => Pattern::Prefix(part()),
                5 => Pattern::Suffix(part()),
                6 => Pattern::Contains(part()),
                _ => Pattern::Regex(regex),
            };
            StringMatch {
                pattern,
                ignore_case,
            }
        },
    )
}

fn exactly(text: String, ignore_case: bool) -> StringMatch {
    StringMatch {
        pattern: Pattern::Exact(text.into()),
        ignore_case,
    }
}

fn value_test() -> impl Strategy<Value = ValueTest> {
    prop_oneof![
        1 => any::<bool>().prop_map(ValueTest::Present),
        1 => (-5_i64..5, 0_i64..15).prop_map(|(start, end)| ValueTest::Range { start, end }),
        6 => string_match().prop_map(ValueTest::Text),
    ]
}

fn header_match() -> impl Strategy<Value = HeaderMatch> {
    let names = vec![
        "x-a",
        "x-a",
        "x-b",
        ":method",
        ":path",
        ":scheme",
        ":authority",
        "cookie",
    ];
    (select(names), value_test(), 0..8, 0..3).prop_map(|(name, test, invert, missing)| {
        HeaderMatch {
            name: name.into(),
            test,
            invert: invert == 0,
            missing_is_empty: missing == 0,
        }
    })
}

fn query_match() -> impl Strategy<Value = QueryMatch> {
    (select(vec!["p", "q"]), value_test()).prop_map(|(name, test)| QueryMatch {
        name: name.into(),
        test: match test {
            ValueTest::Range { .. } => ValueTest::Present(true),
            test => test,
        },
    })
}

fn any_route() -> impl Strategy<Value = Route> {
    let headers = prop_oneof![
        1 => prop::collection::vec(header_match(), 0..1),
        6 => prop::collection::vec(header_match(), 1..2),
        2 => prop::collection::vec(header_match(), 2..4),
    ];
    let query = prop::collection::vec(query_match(), 0..2);
    let fraction = (0..5, 0..100_u32).prop_map(|(kind, numerator)| {
        (kind == 0).then_some(Fraction {
            numerator,
            denominator: 100,
        })
    });
    (path(), 0..4, headers, query, fraction).prop_map(|(path, case, headers, query, fraction)| {
        let mut route = route(path);
        route.matcher.case_sensitive = case > 0;
        route.matcher.headers = headers;
        route.matcher.query = query;
        route.matcher.fraction = fraction;
        route
    })
}

fn request() -> impl Strategy<Value = RequestHead> {
    let names = select(vec!["x-a", "x-a", "x-b", "cookie", "other"]);
    let fields = prop::collection::vec((names, text()), 0..4);
    let query = prop::option::of(prop::collection::vec(
        (select(vec!["p", "q", ""]), text()),
        0..3,
    ));
    let few = select(vec!["/", "/a", "/a/b", "/a/ab", "/ab/c"]).prop_map(str::to_owned);
    let path = prop_oneof![few, path_text()];
    (path, query, fields, any::<bool>()).prop_map(|(path, query, fields, secure)| {
        let mut target = path;
        if let Some(pairs) = query {
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            target = format!("{target}?{}", pairs.join("&"));
        }
        let mut request = get(if secure { "a" } else { "" }, &target);
        request.secure = secure;
        for (name, value) in fields {
            request.fields.push(name.as_bytes(), value.as_bytes());
        }
        request
    })
}

fn settings(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(20_261_121),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(settings(2000))]

    /// The same route as the oracle, and the same use of chance.
    #[test]
    fn finds_what_the_oracle_finds(
        routes in prop::collection::vec(any_route(), 0..40),
        requests in prop::collection::vec(request(), 1..12),
        seed in any::<u64>(),
        (split, set) in (1..9_usize, 1..17_usize),
    ) {
        let table = RouteTable::compile_with(config(routes), Worth { split, set }).unwrap();
        let host = HostIndex(0);
        for request in &requests {
            let (mut chance, mut expected_chance) = (Chance::new(seed), Chance::new(seed));
            let routes = &table.host(host).routes;
            // A request without a target takes no route; the oracle does not know that rule.
            let expected = match request.target() {
                b"" => None,
                _ => oracle::first(routes, request, &mut expected_chance),
            };
            let expected = expected.map_or(Lookup::NoRoute { host }, |index| {
                Lookup::Route(RouteRef { host, index })
            });
            prop_assert_eq!(table.find(request, &mut chance), expected);
            prop_assert_eq!(chance.bits(), expected_chance.bits());
        }
    }

    /// The same virtual host as the oracle.
    #[test]
    fn finds_the_host_that_the_oracle_finds(
        mut domains in prop::collection::vec("[*]?[ab.A]{0,5}[*]?", 1..20),
        authorities in prop::collection::vec("[ab.A]{0,7}(:8)?", 1..20),
    ) {
        domains.retain(|domain| !domain.is_empty() && domain != "**");
        let mut seen = std::collections::HashSet::new();
        domains.retain(|domain| seen.insert(domain.to_lowercase()));
        let hosts = domains.iter().map(|domain| VirtualHost {
            domains: vec![domain.as_str().into()],
            ..VirtualHost::default()
        });
        let virtual_hosts = hosts.collect();
        let table = compile(RouteConfig { virtual_hosts, ..RouteConfig::default() });
        for authority in &authorities {
            let found = table.find(&get(authority, "/"), &mut Chance::new(0));
            let expected = match oracle::host(&domains, authority) {
                Some(index) => Lookup::NoRoute { host: HostIndex(index as u32) },
                None => Lookup::NoHost,
            };
            prop_assert_eq!(found, expected, "{} in {:?}", authority, domains);
        }
    }
}
