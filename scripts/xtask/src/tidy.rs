//! `cargo xtask tidy`: the rules of the house that a machine can check, also run as a test.
//!
//! Each rule is a leaf that takes the tree and returns findings; nothing here changes a file.
//!
//! | room | rules |
//! |---|---|
//! | `text` | line length, file size, machine paths, package sources |
//! | `code` | file header, banned names, leftovers, reasons of `#[allow]` |
//! | `walls` | `unsafe`, `cfg` and I/O outside their rooms |
//! | `dead` | Rust files that no module names |
//! | `edges` | dependencies between rooms, crates that must not be reachable |

mod code;
mod dead;
mod edges;
mod mask;
mod text;
mod tree;
mod walls;

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use tree::Tree;

/// One broken rule: where, what, and what to do.
#[derive(Debug)]
struct Finding {
    path: String,
    line: usize,
    what: String,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        let (path, what) = (path.to_owned(), what.into());
        Self { path, line, what }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// Prints every finding; fails if there is one.
pub(crate) fn run(root: &Path) -> ExitCode {
    match check(root) {
        Ok((files, findings)) if findings.is_empty() => {
            println!("tidy: {files} files, nothing to say");
            ExitCode::SUCCESS
        }
        Ok((files, findings)) => {
            findings.iter().for_each(|finding| println!("{finding}"));
            println!("tidy: {files} files, {} findings", findings.len());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("tidy: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Number of files read, and what is wrong with them.
fn check(root: &Path) -> Result<(usize, Vec<Finding>), String> {
    let tree = Tree::read(root)?;
    let packages = edges::Packages::load(root)?;
    let mut findings = Vec::new();
    text::check(&tree, &mut findings);
    code::check(&tree, &mut findings);
    walls::check(&tree, &packages, &mut findings);
    dead::check(&tree, &packages, &mut findings);
    edges::check(&packages, &mut findings);
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    Ok((tree.files.len(), findings))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn the_tree_is_tidy() {
        let (_, findings) = check(&crate::root()).unwrap();
        let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "\n{}", lines.join("\n"));
    }
}
