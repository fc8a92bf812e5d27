//! HTTP/2 connections: any split agrees, and what is accepted leaves as exactly one request.
#![no_main]

#[allow(dead_code, reason = "each target uses one property")]
#[path = "../../testdata/h2_properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::frames(bytes));
