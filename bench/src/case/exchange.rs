//! Whole exchanges through an engine: events in, operations out. The copies into buffers stand for
//! those of the kernel and are counted.

use std::hint::black_box;

use penstock_core::config::{AccessLog, SinkId};
use penstock_core::format::Format;

use super::Case;
use crate::corpus;
use crate::gateway::Gateway;

pub(super) fn cases() -> Vec<Case> {
    let log = || AccessLog {
        sink: SinkId(0),
        format: Format::parse(Format::DEFAULT).expect("the default format is valid"),
    };
    let short = || corpus::REQUEST_SHORT.to_vec();
    vec![
        keep_alive("exchange/1k", Vec::new, short, 1024),
        keep_alive("exchange/1k-logged", move || vec![log()], short, 1024),
        keep_alive("exchange/1k-typical", Vec::new, typical, 1024),
        keep_alive("exchange/1k-twenty", Vec::new, corpus::request_twenty, 1024),
        keep_alive("exchange/64k", Vec::new, short, 64 * 1024),
        Case::new("exchange/1k-new-client", new_client),
    ]
}

fn typical() -> Vec<u8> {
    corpus::REQUEST_TYPICAL.to_vec()
}

/// GET on connections that stay.
fn keep_alive(
    name: &'static str,
    logs: impl Fn() -> Vec<AccessLog> + 'static,
    request: impl Fn() -> Vec<u8> + 'static,
    size: usize,
) -> Case {
    Case::new(name, move || {
        let (request, response) = (request(), corpus::response_with_body(size));
        let mut gateway = Gateway::new(logs());
        gateway.accept();
        let bytes = gateway.exchange(&request, &response);
        assert!(bytes > size, "{name}: {bytes} bytes reached the client");
        move || {
            black_box(gateway.exchange(black_box(&request), black_box(&response)));
        }
    })
}

/// Each request comes on a connection of its own; the origin's stays.
fn new_client() -> impl FnMut() {
    let response = corpus::response_with_body(1024);
    let mut gateway = Gateway::new(Vec::new());
    move || {
        gateway.accept();
        let bytes = gateway.exchange(black_box(corpus::REQUEST_CLOSE), black_box(&response));
        assert!(bytes > 1024 && !gateway.has_client());
    }
}
