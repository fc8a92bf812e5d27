//! Response heads: any split agrees, and what we write reads as exactly one response.
#![no_main]

#[allow(dead_code, reason = "each target uses one property")]
#[path = "../../testdata/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::response_head(bytes));
