//! A worker that dies takes the process with it, loudly: half a gateway is worse than none.

use std::process::Command;
use std::thread;

use penstock_runtime::Preference;

use crate::support::{Duty, start};

/// In the environment of a child: its worker is to die.
const DOOMED: &str = "PENSTOCK_TEST_DOOMED";

#[test]
fn a_panic_on_a_worker_ends_the_process() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "death::child", "--nocapture"])
        .env(DOOMED, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stderr);
    assert_eq!(child.status.code(), Some(1), "{said}");
    let line = "penstock: worker 0 died: as asked for; ending the process";
    assert!(said.contains(line), "{said}");
}

#[test]
fn child() {
    if std::env::var_os(DOOMED).is_none() {
        return;
    }
    let world = start(Preference::Auto, 1, Duty::Panic, 4);
    let _client = world.client();
    loop {
        thread::park();
    }
}
