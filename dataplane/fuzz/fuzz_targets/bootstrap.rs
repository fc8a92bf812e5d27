//! Bootstrap files: any text is read to the end without a panic, and what is accepted translates to
//! a snapshot or to findings that name their place. Seeds: the files under `examples/`.
//!
//! `cargo +nightly fuzz run -s none bootstrap`: nothing of ours here is unsafe, and the address
//! sanitizer would take most of the time.
#![no_main]

use std::sync::Arc;

use penstock::bootstrap::{LoadOptions, load_str};
use penstock::telemetry::access_log::Sinks;
use penstock::translate::names::Resolved;
use penstock::translate::{TranslateOptions, Translator};
use penstock_core::accept::ConnectionBudget;

fn translator() -> Translator {
    let process = Arc::new(ConnectionBudget::new(1000, None));
    Translator::new(1, Arc::new(Sinks::default()), process, TranslateOptions::default())
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // One of the two per run: reading costs most, and a byte more or less gives the other one.
    let allow_unknown_static_fields = bytes.len() % 2 == 1;
    let options = LoadOptions { allow_unknown_static_fields };
    match load_str("fuzz.yaml", text, &options) {
        Ok(loaded) => {
            if let Err(findings) = translator().apply(&loaded, &Resolved::default()) {
                assert!(!findings.0.is_empty(), "refused without a reason");
            }
        }
        Err(findings) => assert!(!findings.0.is_empty(), "refused without a reason"),
    }
});
