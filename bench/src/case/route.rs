//! Lookups in tables of three sizes, by four ways to tell routes apart. Public, because
//! `benches/route.rs` also sets first and last route side by side.

use std::hint::black_box;
use std::sync::Arc;

use penstock_core::chance::Chance;
use penstock_core::config::expression::WholeRegex;
use penstock_core::config::route::{
    Action, DirectResponse, HeaderChanges, HeaderMatch, PathMatch, Pattern, Route, RouteConfig,
    RouteMatch, StringMatch, ValueTest, VirtualHost,
};
use penstock_core::http::{Method, RequestHead};
use penstock_core::route::{Lookup, RouteTable};
use penstock_core::stats::PerWorker;

use super::Case;

/// Routes of a table.
pub const SIZES: [u32; 3] = [10, 1000, 10_000];

/// One way to tell routes apart.
pub struct Kind {
    /// In the names of cases.
    pub name: &'static str,
    path: fn(u32) -> PathMatch,
    header: fn(u32) -> Option<String>,
    target: fn(u32) -> String,
}

/// Every way.
pub const KINDS: [Kind; 4] = [
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

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in &KINDS {
        for size in SIZES {
            for (place, index) in [("first", 0), ("last", size - 1)] {
                let name = format!("route/{}/{place}/{size}", kind.name);
                cases.push(Case::new(name, move || lookup(kind, size, index)));
            }
        }
    }
    cases
}

fn lookup(kind: &Kind, size: u32, index: u32) -> impl FnMut() + use<> {
    let (table, request) = (table(kind, size), request(kind, index));
    let mut chance = Chance::new(1);
    let found = table.find(&request, &mut chance);
    assert!(matches!(found, Lookup::Route(route) if route.index == index));
    move || {
        black_box(table.find(black_box(&request), &mut chance));
    }
}

/// A table of `size` routes.
pub fn table(kind: &Kind, size: u32) -> RouteTable {
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

/// What takes the route at `index`.
pub fn request(kind: &Kind, index: u32) -> RequestHead {
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
