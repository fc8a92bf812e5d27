//! Field blocks: cut into frames or not, the same fields come of them or the same refusal.
#![no_main]

#[allow(dead_code, reason = "each target uses one property")]
#[path = "../../testdata/h2_properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::block(bytes));
