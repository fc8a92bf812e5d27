//! Rust files that no crate reaches: walks `mod name;` from every crate root.

use std::collections::HashSet;

use super::Finding;
use super::edges::Packages;
use super::tree::Tree;

pub(super) fn check(tree: &Tree, packages: &Packages, findings: &mut Vec<Finding>) {
    let mut alive = HashSet::new();
    let detached = tree.rust().filter(|file| is_fuzz_root(&file.path));
    let mut open = packages.crate_roots();
    open.extend(detached.map(|file| file.path.clone()));
    while let Some(path) = open.pop() {
        if let Some(file) = tree.file(&path)
            && alive.insert(path.clone())
        {
            open.extend(modules(
                &file.code,
                &file.text,
                &path,
                packages.is_root(&path),
            ));
        }
    }
    let dead = tree.rust().filter(|file| !alive.contains(&file.path));
    findings.extend(dead.map(|file| {
        let what = "no module names this file: name it or delete it";
        Finding::new(&file.path, 1, what)
    }));
}

/// Fuzz packages stand outside the workspace; each of their files is a crate root.
fn is_fuzz_root(path: &str) -> bool {
    path.contains("/fuzz_targets/") || path.starts_with("fuzz_targets/")
}

/// Candidate paths of the modules that `code` declares.
fn modules(code: &str, text: &str, path: &str, is_root: bool) -> Vec<String> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.trim_end_matches(".rs");
    let below = if is_root {
        folder.to_owned()
    } else {
        format!("{folder}/{stem}")
    };
    let mut paths = Vec::new();
    for (line, original) in code.lines().zip(text.lines()) {
        if let Some(module) = declared(line) {
            paths.push(format!("{below}/{module}.rs"));
            paths.push(format!("{below}/{module}/mod.rs"));
        }
        if let Some(explicit) = quoted_path(line, original) {
            paths.push(resolve(folder, explicit));
        }
    }
    paths
}

/// The name in `mod name;`.
fn declared(line: &str) -> Option<&str> {
    let (_, rest) = line.trim_end().split_once("mod ")?;
    let name = rest.strip_suffix(';')?;
    name.chars()
        .all(|c| c.is_alphanumeric() || c == '_')
        .then_some(name)
}

/// The path in `#[path = "..."]` or `include!("...")`.
fn quoted_path<'a>(line: &str, original: &'a str) -> Option<&'a str> {
    let named = line.contains("#[path") || line.contains("include!(");
    named.then(|| original.split('"').nth(1)).flatten()
}

/// `relative` seen from `folder`, with `..` resolved.
fn resolve(folder: &str, relative: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in relative.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::{declared, resolve};

    #[test]
    fn modules_are_found() {
        assert_eq!(declared("pub(crate) mod name;"), Some("name"));
        assert_eq!(declared("mod tests {"), None);
        assert_eq!(resolve("a/b", "../c.rs"), "a/c.rs");
    }
}
