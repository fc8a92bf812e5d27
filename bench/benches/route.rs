//! What finding a route costs, for the first and the last route of tables of three sizes.
//!
//! The promise is that both cost the same CPU per request within 5 %; here only the lookup is
//! measured, which is a small part of a request, so the difference shows enlarged. The last table
//! takes first and last in turns and keeps the fastest round of each, so that a busy machine
//! disturbs both alike.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use penstock_core::chance::Chance;
use penstock_core::config::expression::WholeRegex;
use penstock_core::config::route::{
    Action, DirectResponse, HeaderChanges, HeaderMatch, PathMatch, Pattern, Route, RouteConfig,
    RouteMatch, StringMatch, ValueTest, VirtualHost,
};
use penstock_core::http::{Method, RequestHead};
use penstock_core::route::{Lookup, RouteTable};
use penstock_core::stats::PerWorker;

const SIZES: [u32; 3] = [10, 1000, 10_000];

/// One way to tell routes apart.
struct Kind {
    name: &'static str,
    path: fn(u32) -> PathMatch,
    header: fn(u32) -> Option<String>,
    target: fn(u32) -> String,
}

const KINDS: [Kind; 4] = [
    Kind {
        name: "prefix",
        path: |index| PathMatch::Prefix(format!("/service-{index:05}/").into()),
        header: |_| None,
        target: |index| format!("/service-{index:05}/items/42?page=3"),
    },
    Kind {
        name: "exact",
        path: |index| PathMatch::Exact(format!("/service-{index:05}/items").into()),
        header: |_| None,
        target: |index| format!("/service-{index:05}/items?page=3"),
    },
    Kind {
        name: "header",
        path: |_| PathMatch::Prefix("/api/".into()),
        header: |index| Some(format!("tenant-{index:05}")),
        target: |_| "/api/items/42?page=3".into(),
    },
    Kind {
        name: "regex",
        path: |index| {
            let pattern = format!("/service-{index:05}/items/[0-9]+");
            PathMatch::Regex(WholeRegex::parse(&pattern).expect("the pattern is well-formed"))
        },
        header: |_| None,
        target: |index| format!("/service-{index:05}/items/42?page=3"),
    },
];

fn table(kind: &Kind, size: u32) -> RouteTable {
    let host = VirtualHost {
        domains: vec!["*.example.com".into()],
        routes: (0..size).map(|index| route(kind, index)).collect(),
        ..VirtualHost::default()
    };
    let config = RouteConfig {
        virtual_hosts: vec![host],
        ..RouteConfig::default()
    };
    RouteTable::compile(config).expect("the configuration is well-formed")
}

fn route(kind: &Kind, index: u32) -> Route {
    let header = (kind.header)(index).map(|value| HeaderMatch {
        name: "x-tenant".into(),
        test: ValueTest::Text(StringMatch {
            pattern: Pattern::Exact(value.into()),
            ignore_case: false,
        }),
        invert: false,
        missing_is_empty: false,
    });
    Route {
        name: "".into(),
        matcher: RouteMatch {
            path: (kind.path)(index),
            case_sensitive: true,
            headers: header.into_iter().collect(),
            query: Vec::new(),
            fraction: None,
        },
        action: Action::Direct(Box::new(DirectResponse {
            status: 200,
            body: Box::default(),
        })),
        headers: HeaderChanges::default(),
        stats: Arc::new(PerWorker::new(1)),
    }
}

fn request(kind: &Kind, index: u32) -> RequestHead {
    let mut request = RequestHead {
        method: Method::Get,
        ..RequestHead::default()
    };
    request.method_text = request.fields.store(b"GET");
    request.set_authority(b"shop.example.com");
    request.set_target((kind.target)(index).as_bytes());
    for (name, value) in [
        ("user-agent", "bench/1"),
        ("accept", "*/*"),
        ("x-trace", "none"),
    ] {
        request.fields.push(name.as_bytes(), value.as_bytes());
    }
    if let Some(value) = (kind.header)(index) {
        request.fields.push(b"x-tenant", value.as_bytes());
    }
    request
}

fn find(criterion: &mut Criterion) {
    for kind in KINDS {
        let mut group = criterion.benchmark_group(format!("route/{}", kind.name));
        for size in SIZES {
            let table = table(&kind, size);
            for (place, index) in [("first", 0), ("last", size - 1)] {
                let request = request(&kind, index);
                let mut chance = Chance::new(1);
                let found = table.find(&request, &mut chance);
                assert!(matches!(found, Lookup::Route(route) if route.index == index));
                group.bench_function(BenchmarkId::new(place, size), |bencher| {
                    bencher.iter(|| table.find(black_box(&request), &mut chance));
                });
            }
        }
    }
}

/// Prints both places side by side: nanoseconds of the fastest round, and the ratio.
fn side_by_side(_: &mut Criterion) {
    println!("side by side, nanoseconds per lookup: kind, routes, first, last, last / first");
    for kind in KINDS {
        for size in SIZES {
            let table = table(&kind, size);
            let requests = [request(&kind, 0), request(&kind, size - 1)];
            let mut fastest = [f64::INFINITY; 2];
            for _ in 0..ROUNDS {
                for (place, request) in requests.iter().enumerate() {
                    fastest[place] = fastest[place].min(round(&table, request));
                }
            }
            let [first, last] = fastest;
            let ratio = last / first;
            println!(
                "{:8} {size:6} {first:7.1} {last:7.1} {ratio:6.3}",
                kind.name
            );
        }
    }
}

const ROUNDS: u32 = 1000;
const LOOKUPS_PER_ROUND: u32 = 500;

/// Nanoseconds per lookup.
fn round(table: &RouteTable, request: &RequestHead) -> f64 {
    let mut chance = Chance::new(1);
    let start = Instant::now();
    for _ in 0..LOOKUPS_PER_ROUND {
        black_box(table.find(black_box(request), &mut chance));
    }
    start.elapsed().as_nanos() as f64 / f64::from(LOOKUPS_PER_ROUND)
}

criterion_group! {
    name = routes;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .without_plots();
    targets = find, side_by_side
}
criterion_main!(routes);
