//! ClientHello: the same verdict for every prefix, and a bound.
#![no_main]

#[allow(dead_code, reason = "each target uses one property")]
#[path = "../../testdata/preface_properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::client_hello(bytes));
