//! Chunked bodies: any split agrees, and what we write is the same body.
#![no_main]

#[allow(dead_code, reason = "each target uses one property")]
#[path = "../../testdata/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::chunked(bytes));
