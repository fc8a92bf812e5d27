//! Rules about text: line length, file size, machine paths, where packages come from.

use super::Finding;
use super::tree::{File, Tree};

/// Columns of a line.
const LINE_MAX: usize = 100;
/// Lines of a source file; a longer one is a missing room.
const FILE_LINES_MAX: usize = 800;
/// The only place that packages may come from.
const SOURCE: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Files that may be longer, with the reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Beginnings of paths that exist on one machine only. Split, so that this file does not match.
const MACHINE_PATHS: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!("/tmp", "/bash"),
];

pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    for file in &tree.files {
        if has_width(file) {
            long_lines(file, findings);
            long_file(file, findings);
        }
        machine_paths(file, findings);
        package_sources(file, findings);
    }
}

fn has_width(file: &File) -> bool {
    let ends = [".rs", ".sh", ".proto", ".toml"];
    ends.iter().any(|end| file.path.ends_with(end)) || file.path == ".ci/run"
}

/// A line with an address in it may be longer: breaking it would break the address.
fn long_lines(file: &File, findings: &mut Vec<Finding>) {
    for (index, line) in file.text.lines().enumerate() {
        let width = line.chars().count();
        let has_address = line.contains("https://") || line.contains("type.googleapis.com/");
        if width > LINE_MAX && !has_address {
            let what = format!("line of {width} columns, at most {LINE_MAX}: break it");
            findings.push(Finding::new(&file.path, index + 1, what));
        }
    }
}

fn long_file(file: &File, findings: &mut Vec<Finding>) {
    let lines = file.text.lines().count();
    let excepted = LONG_FILES.iter().any(|(path, _)| *path == file.path);
    if lines > FILE_LINES_MAX && !file.is_test() && !excepted {
        let what = format!("file of {lines} lines, at most {FILE_LINES_MAX}: split it");
        findings.push(Finding::new(&file.path, 1, what));
    }
}

fn machine_paths(file: &File, findings: &mut Vec<Finding>) {
    for (index, line) in file.text.lines().enumerate() {
        if MACHINE_PATHS.iter().any(|path| absolute(line, path)) {
            let what = "path of one machine: make it relative or take it from the environment";
            findings.push(Finding::new(&file.path, index + 1, what));
        }
    }
}

/// True if `path` begins a path in `line`: what stands before it is no part of a longer path.
fn absolute(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || "_-.$}".contains(c)))
    })
}

/// Lock files name the default registry only, and no Cargo configuration replaces it.
fn package_sources(file: &File, findings: &mut Vec<Finding>) {
    let (lock, config) = (
        file.path.ends_with("Cargo.lock"),
        file.path.contains(".cargo/"),
    );
    for (index, line) in file.text.lines().enumerate() {
        let foreign = lock && line.starts_with("source =") && !line.contains(SOURCE);
        let replaced = config && (line.starts_with("[source") || line.starts_with("[registr"));
        if foreign || replaced {
            let what = "packages come from the default registry only";
            findings.push(Finding::new(&file.path, index + 1, what));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::absolute;

    #[test]
    fn only_the_beginning_of_a_path_counts() {
        assert!(absolute("see /opt/x", "/opt/"));
        assert!(absolute("\"/opt/x\"", "/opt/"));
        assert!(!absolute("a/opt/x", "/opt/"));
        assert!(!absolute("$HOME/opt/x", "/opt/"));
    }
}
