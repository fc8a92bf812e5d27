//! What may stand in which room: `unsafe`, `cfg`, and input or output in the core.

use super::Finding;
use super::edges::Packages;
use super::tree::{File, Tree};

/// The room of `unsafe`.
const UNSAFE_ROOM: &str = "fastpath-sys/";
/// The rooms of `cfg(feature)` and `cfg(target_os)`.
const CFG_ROOMS: &[&str] = &["fastpath-sys/", "dataplane/runtime/src/driver.rs"];
/// The room without I/O, clock, thread and lock.
const PURE_ROOM: &str = "dataplane/core/src/";

/// What the pure room must not name. Addresses are values: they come from `core::net`, which has
/// nothing else.
const IMPURE: &[&str] = &[
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "std::net",
    "std::io",
    "std::os",
    "std::thread",
    "std::fs",
    "std::env",
    "std::process",
    "Instant::now",
    "SystemTime",
    "Mutex",
    "RwLock",
    "Condvar",
    "mpsc",
    "println!",
    "eprintln!",
    "tokio",
];

pub(super) fn check(tree: &Tree, packages: &Packages, findings: &mut Vec<Finding>) {
    for file in tree.rust() {
        unsafe_outside(file, findings);
        cfg_outside(file, findings);
        impure(file, findings);
    }
    for root in packages.crate_roots() {
        forbids_unsafe(tree, &root, findings);
    }
}

fn unsafe_outside(file: &File, findings: &mut Vec<Finding>) {
    if file.path.starts_with(UNSAFE_ROOM) {
        return;
    }
    for (index, line) in file.code.lines().enumerate() {
        if has_word(line, "unsafe") {
            let what = "`unsafe` lives in fastpath-sys only";
            findings.push(Finding::new(&file.path, index + 1, what));
        }
    }
}

fn forbids_unsafe(tree: &Tree, root: &str, findings: &mut Vec<Finding>) {
    let Some(file) = tree.file(root) else { return };
    let forbids = file.code.contains("#![forbid(unsafe_code)]");
    if !forbids && !root.starts_with(UNSAFE_ROOM) && !file.is_test() {
        let what = "crate root without `#![forbid(unsafe_code)]`";
        findings.push(Finding::new(root, 1, what));
    }
}

fn cfg_outside(file: &File, findings: &mut Vec<Finding>) {
    if CFG_ROOMS.iter().any(|room| file.path.starts_with(room)) {
        return;
    }
    for (index, line) in file.code.lines().enumerate() {
        let platform = ["feature", "target_os", "target_arch", "unix", "windows"]
            .iter()
            .any(|word| has_word(line, word));
        if platform && (has_word(line, "cfg") || has_word(line, "cfg_attr")) {
            let what = "`cfg` of a feature or platform belongs in driver.rs or fastpath-sys";
            findings.push(Finding::new(&file.path, index + 1, what));
        }
    }
}

fn impure(file: &File, findings: &mut Vec<Finding>) {
    if !file.path.starts_with(PURE_ROOM) {
        return;
    }
    for (number, line) in file.shipped() {
        if let Some(name) = IMPURE.iter().find(|name| has_word(line, name)) {
            let what = format!("`{name}`: the core has no I/O, clock, thread or lock");
            findings.push(Finding::new(&file.path, number, what));
        }
    }
}

/// True if `word` occurs in `line` and is no part of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let after = line[at + word.len()..].chars().next();
        !is_word(line[..at].chars().next_back()) && !is_word(after)
    })
}
