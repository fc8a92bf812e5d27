//! Paths: normalizing is a fixed point and never leaves a dot segment.
#![no_main]

#[allow(dead_code, reason = "each target uses one property")]
#[path = "../../testdata/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::path(bytes));
