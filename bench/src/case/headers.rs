//! Header operations: the fields themselves, and the edits of all levels of a route. Edits need a
//! fresh head each time, so decoding a typical one (`h1/request/typical`, `h1/response/typical`
//! without the scan) is part of those cases.

use std::hint::black_box;

use penstock_core::access_log::{Facts, Record};
use penstock_core::config::ClusterId;
use penstock_core::config::route::{
    AppendAction, HeaderAddition, HeaderChanges, HeaderEdits, PathMatch, RouteConfig, VirtualHost,
};
use penstock_core::format::Format;
use penstock_core::http::h1::{RequestOptions, decode_request, decode_response};
use penstock_core::http::{Fields, HeaderId, Method, RequestHead, ResponseHead};
use penstock_core::route::{Around, Choice, HostIndex, OriginalPath, RouteRef, RouteTable};

use super::Case;
use super::access_log::record;
use crate::{corpus, gateway};

const ONLY: RouteRef = RouteRef {
    host: HostIndex(0),
    index: 0,
};
const CHOICE: Choice = Choice {
    cluster: ClusterId(0),
    weighted: None,
};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("headers/fields", fields),
        Case::new("headers/request-literal", || request_edits("shop")),
        Case::new("headers/request-formatted", || request_edits(FORMATTED)),
        Case::new("headers/response-literal", || response_edits("shop")),
        Case::new("headers/response-formatted", || response_edits(FORMATTED)),
    ]
}

const FORMATTED: &str = "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%;%REQ(X-REQUEST-ID)%";

/// Eight fields are added; one is found, one replaced and two removed.
fn fields() -> impl FnMut() {
    let mut fields = Fields::default();
    move || {
        fields.clear();
        for name in NAMES {
            fields.push(black_box(name), b"some value of usual length");
        }
        black_box(fields.value(HeaderId::UserAgent));
        black_box(fields.value_by_name(b"x-six"));
        fields.set(HeaderId::XForwardedProto, b"https");
        fields.remove(HeaderId::Accept);
        fields.remove_by_name(b"x-five");
        assert_eq!(black_box(&fields).len(), NAMES.len() - 1);
    }
}

const NAMES: [&[u8]; 8] = [
    b"User-Agent",
    b"Accept",
    b"X-One",
    b"X-Two",
    b"X-Forwarded-For",
    b"X-Five",
    b"X-Six",
    b"Content-Type",
];

/// Route, virtual host and configuration each remove a field, append one, overwrite one and add one
/// that is absent.
fn request_edits(value: &str) -> impl FnMut() + use<> {
    let (table, record) = (table(value), record());
    let (options, mut request) = (RequestOptions::default(), RequestHead::default());
    let mut scratch = Vec::new();
    move || {
        let decoded = decode_request(black_box(corpus::REQUEST_TYPICAL), &options, &mut request);
        assert!(decoded.is_ok());
        let around = around(&record);
        let edited = table.rewrite_request(ONLY, CHOICE, &mut request, &around, &mut scratch);
        assert!(edited.is_ok() && black_box(&request).fields.len() >= 11);
    }
}

/// The same towards the client.
fn response_edits(value: &str) -> impl FnMut() + use<> {
    let (table, record) = (table(value), record());
    let (mut request, mut response) = (RequestHead::default(), ResponseHead::default());
    let options = RequestOptions::default();
    decode_request(corpus::REQUEST_TYPICAL, &options, &mut request).expect("acceptable");
    let mut scratch = Vec::new();
    move || {
        let head = black_box(corpus::RESPONSE_TYPICAL);
        assert!(decode_response(head, Method::Get, &mut response).is_ok());
        let facts = facts(&request, &record);
        table.edit_response(ONLY, Some(CHOICE), &mut response, &facts, &mut scratch);
        assert!(black_box(&response).fields.len() >= 11);
    }
}

fn around(record: &Record) -> Around<'_> {
    Around {
        record,
        listener: "main",
        cluster: "origin",
        hostname: "gateway",
        original_path: OriginalPath::Keep,
    }
}

fn facts<'a>(request: &'a RequestHead, record: &'a Record) -> Facts<'a> {
    Facts {
        request,
        original_target: request.target(),
        response: None,
        trailers: None,
        record,
        listener: "main",
        route: "",
        virtual_host: "shop",
        cluster: "origin",
        hostname: "gateway",
    }
}

fn table(value: &str) -> RouteTable {
    let mut route = gateway::route(PathMatch::Prefix("/".into()), gateway::forward());
    route.headers = changes("route", value);
    let host = VirtualHost {
        name: "shop".into(),
        domains: vec!["*".into()],
        routes: vec![route],
        headers: changes("host", value),
        ..VirtualHost::default()
    };
    let config = RouteConfig {
        virtual_hosts: vec![host],
        headers: changes("config", value),
        ..RouteConfig::default()
    };
    RouteTable::compile(config).expect("the table is valid")
}

fn changes(level: &str, value: &str) -> HeaderChanges {
    HeaderChanges {
        request: edits(level, value),
        response: edits(level, value),
    }
}

fn edits(level: &str, value: &str) -> HeaderEdits {
    let addition = |name: &str, action| HeaderAddition {
        name: name.into(),
        value: Format::parse(value).expect("the format is valid"),
        action,
        keep_empty: false,
    };
    HeaderEdits {
        remove: vec![format!("x-secret-{level}").into()],
        add: vec![
            addition("x-appended", AppendAction::AppendOrAdd),
            addition("x-tenant", AppendAction::OverwriteOrAdd),
            addition(&format!("x-{level}"), AppendAction::AddIfAbsent),
        ],
    }
}
