//! The text files of the workspace, read once.

use std::fs;
use std::path::{Path, PathBuf};

use super::mask::mask;

/// Folders that hold no sources of ours (`.git` may be a file, too).
const SKIPPED: &[&str] = &["target", ".git", "node_modules", "corpus", "artifacts"];

/// Every text file below the workspace's folder, in order of its path.
pub(super) struct Tree {
    pub(super) files: Vec<File>,
}

/// One text file. For Rust, `code` is the text with comments and literals blanked.
pub(super) struct File {
    /// Relative to the workspace, with `/`.
    pub(super) path: String,
    pub(super) text: String,
    pub(super) code: String,
}

impl Tree {
    pub(super) fn read(root: &Path) -> Result<Self, String> {
        let mut paths = Vec::new();
        collect(root, &mut paths)?;
        paths.sort();
        let files = paths.iter().filter_map(|path| File::read(root, path));
        Ok(Self {
            files: files.collect(),
        })
    }

    pub(super) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is_rust())
    }

    pub(super) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

impl File {
    /// `None` for what is not text.
    fn read(root: &Path, path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let path = path.strip_prefix(root).ok()?.to_str()?.to_owned();
        let code = if path.ends_with(".rs") {
            mask(&text)
        } else {
            String::new()
        };
        Some(Self { path, text, code })
    }

    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// True for files that hold tests only.
    pub(super) fn is_test(&self) -> bool {
        let in_folder = |name: &str| self.path.split('/').any(|part| part == name);
        in_folder("tests") || in_folder("benches") || self.path.ends_with("/tests.rs")
    }

    /// Lines of code that are shipped, numbered from 1: everything above the tests at the end.
    pub(super) fn shipped(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = if self.is_test() {
            0
        } else {
            tests_begin(&self.code)
        };
        self.code
            .lines()
            .take(end)
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }
}

/// Lines above `#[cfg(test)] mod tests`.
fn tests_begin(code: &str) -> usize {
    let lines: Vec<&str> = code.lines().collect();
    let found = lines
        .windows(2)
        .position(|pair| pair[0].trim() == "#[cfg(test)]" && pair[1].starts_with("mod tests"));
    found.unwrap_or(lines.len())
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<(), String> {
    let fault = |error| format!("cannot read {}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        let (path, name) = (entry.path(), entry.file_name());
        let kind = entry.file_type().map_err(fault)?;
        if SKIPPED.iter().any(|skipped| name == *skipped) {
            continue;
        }
        if kind.is_dir() {
            collect(&path, paths)?;
        } else if kind.is_file() {
            paths.push(path);
        }
    }
    Ok(())
}
