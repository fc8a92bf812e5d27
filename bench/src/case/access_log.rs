//! Lines of the access log, as text and as JSON, through the queue that the worker empties.

use std::hint::black_box;
use std::net::SocketAddr;

use penstock_core::access_log::{Facts, Flags, LogQueue, Record};
use penstock_core::config::SinkId;
use penstock_core::event::Time;
use penstock_core::format::{Format, JsonValue};
use penstock_core::http::h1::{RequestOptions, decode_request, decode_response};
use penstock_core::http::{Method, RequestHead, ResponseHead, Version};
use penstock_core::limits::LOG_BYTES_MAX;

use super::Case;
use crate::corpus;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("log/text", || line(text())),
        Case::new("log/json", || line(json())),
    ]
}

fn text() -> Format {
    Format::parse(Format::DEFAULT).expect("the default format is valid")
}

/// The fields of the default text.
fn json() -> Format {
    let fields = [
        ("start", "%START_TIME%"),
        ("method", "%REQ(:METHOD)%"),
        ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
        ("protocol", "%PROTOCOL%"),
        ("status", "%RESPONSE_CODE%"),
        ("flags", "%RESPONSE_FLAGS%"),
        ("received", "%BYTES_RECEIVED%"),
        ("sent", "%BYTES_SENT%"),
        ("duration", "%DURATION%"),
        ("service", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
        ("for", "%REQ(X-FORWARDED-FOR)%"),
        ("agent", "%REQ(USER-AGENT)%"),
        ("id", "%REQ(X-REQUEST-ID)%"),
        ("authority", "%REQ(:AUTHORITY)%"),
        ("upstream", "%UPSTREAM_HOST%"),
    ];
    let fields = fields.map(|(key, text)| (key.to_owned(), JsonValue::Text(text.to_owned())));
    Format::json(fields.into()).expect("the format is valid")
}

fn line(format: Format) -> impl FnMut() {
    let (mut request, mut response) = (RequestHead::default(), ResponseHead::default());
    let options = RequestOptions::default();
    decode_request(corpus::REQUEST_TYPICAL, &options, &mut request).expect("acceptable");
    decode_response(corpus::RESPONSE_TYPICAL, Method::Get, &mut response).expect("acceptable");
    let (record, mut queue) = (record(), LogQueue::new(LOG_BYTES_MAX));
    move || {
        let facts = Facts {
            request: &request,
            original_target: request.target(),
            response: Some(&response),
            trailers: None,
            record: &record,
            listener: "main",
            route: "items",
            virtual_host: "shop",
            cluster: "origin",
            hostname: "gateway",
        };
        assert!(queue.push(SinkId(0), |out| format.write(black_box(&facts), out)));
        queue.drain(&mut |_, line| assert!(black_box(line).len() > 200));
    }
}

/// An exchange like any other.
pub(super) fn record() -> Record {
    const MS: u64 = 1_000_000;
    Record {
        start_wall: 784_111_777_123 * MS,
        start: Time(1000 * MS),
        request_end: Time(1002 * MS),
        upstream_start: Time(1001 * MS),
        response_start: Time(1010 * MS),
        end: Time(1025 * MS),
        bytes_received: 0,
        bytes_sent: 1024,
        status: 200,
        flags: Flags::default(),
        details: "via_upstream",
        attempts: 1,
        version: Version::Http11,
        downstream_direct: SocketAddr::from(([192, 0, 2, 1], 1000)),
        downstream_remote: SocketAddr::from(([203, 0, 113, 9], 1000)),
        downstream_local: SocketAddr::from(([192, 0, 2, 2], 80)),
        upstream_remote: Some(SocketAddr::from(([10, 0, 0, 1], 8080))),
        upstream_local: Some(SocketAddr::from(([192, 0, 2, 2], 2000))),
        connection: 77,
    }
}
