//! io_uring switched off by `kernel.io_uring_disabled`: `auto` takes epoll and says which knob it
//! was.
//!
//! The knob belongs to the whole machine, so this file holds one test only: cargo runs the files
//! one after the other. It needs root and puts the old value back.

#![forbid(unsafe_code)]

use std::fs;

use penstock_runtime::driver::choose;
use penstock_runtime::{Choice, Preference, UringOptions};

const KNOB: &str = "/proc/sys/kernel/io_uring_disabled";

/// Puts the old value back, also when the test fails.
struct Restore(String);

impl Drop for Restore {
    fn drop(&mut self) {
        // It could be written before.
        let _ = fs::write(KNOB, &self.0);
    }
}

#[test]
fn auto_falls_back_and_names_the_knob() {
    let options = UringOptions::default();
    let works = matches!(choose(Preference::Auto, &options), Ok(Choice::Uring(_)));
    let old = fs::read_to_string(KNOB).unwrap_or_default();
    if !works || fs::write(KNOB, "2").is_err() {
        eprintln!("skipped: {KNOB} cannot be written here, or io_uring does not work anyway");
        return;
    }
    let restore = Restore(old);
    let auto = choose(Preference::Auto, &options);
    let forced = choose(Preference::Uring, &options);
    drop(restore);
    match auto {
        Ok(choice) if choice.name() == "epoll" => {
            let why = choice.fallback().unwrap_or_default();
            assert!(why.contains("io_uring_disabled"), "{why}");
        }
        other => panic!("auto chose {other:?}"),
    }
    let why = forced.expect_err("io_uring is switched off");
    assert!(why.contains("io_uring_disabled"), "{why}");
    assert!(
        matches!(choose(Preference::Auto, &options), Ok(Choice::Uring(_))),
        "it is back"
    );
}
