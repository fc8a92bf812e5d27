//! PROXY header: the same verdict for every prefix, a bound, and a round trip.
#![no_main]

#[allow(dead_code, reason = "each target uses one property")]
#[path = "../../testdata/preface_properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::proxy_header(bytes));
