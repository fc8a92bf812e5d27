//! Field paths to places, so that a problem found later can still say where it is.

use std::fmt::Write;
use std::sync::Arc;

use super::finding::{Finding, Severity};
use super::node::{Node, Place, Step};

/// Where the fields of a loaded file are. It holds the file's tree; drop it after translation.
#[derive(Clone, Debug)]
pub struct SpanIndex {
    file: Arc<str>,
    root: Arc<Node>,
}

impl SpanIndex {
    pub(super) fn new(file: Arc<str>, root: Arc<Node>) -> Self {
        Self { file, root }
    }

    /// Line and column of a field path, both from 1; of the nearest field above if the path itself
    /// is not in the file.
    ///
    /// Paths are those of findings: `static_resources.listeners[0].name`, with
    /// `field["key"]` for maps and the fields of an `Any` directly below it.
    pub fn place(&self, path: &str) -> (u32, u32) {
        let mut node = &self.root;
        let mut place = node.place;
        for step in steps(path) {
            let Some((at, child)) = node.child(&step) else {
                break;
            };
            (place, node) = (at, child);
        }
        (place.line, place.column)
    }

    /// Whether the field path itself is written in the file.
    pub fn contains(&self, path: &str) -> bool {
        let mut node = &self.root;
        for step in steps(path) {
            let Some((_, child)) = node.child(&step) else {
                return false;
            };
            node = child;
        }
        !node.is_null()
    }

    /// A problem at a field path.
    pub fn finding(
        &self,
        severity: Severity,
        path: &str,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Finding {
        let (line, column) = self.place(path);
        Finding {
            file: Arc::clone(&self.file),
            line,
            column,
            path: path.to_owned(),
            reason: reason.into(),
            remedy: remedy.into(),
            severity,
        }
    }

    pub(super) fn finding_at(
        &self,
        place: Place,
        path: &str,
        reason: String,
        remedy: String,
    ) -> Finding {
        Finding {
            file: Arc::clone(&self.file),
            line: place.line,
            column: place.column,
            path: path.to_owned(),
            reason,
            remedy,
            severity: Severity::Error,
        }
    }
}

/// A field path under construction: steps are pushed and taken off again.
#[derive(Default, Debug)]
pub(crate) struct FieldPath {
    text: String,
}

impl FieldPath {
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Adds a step; the answer takes it off again through [`FieldPath::pop`].
    pub(crate) fn push(&mut self, step: &Step<'_>) -> usize {
        let length = self.text.len();
        match step {
            Step::Field(name) if length == 0 => self.text.push_str(name),
            Step::Field(name) => write!(self.text, ".{name}").expect("a string takes all"),
            Step::Key(key) => write!(self.text, "[\"{key}\"]").expect("a string takes all"),
            Step::Index(index) => write!(self.text, "[{index}]").expect("a string takes all"),
        }
        length
    }

    pub(crate) fn pop(&mut self, length: usize) {
        self.text.truncate(length);
    }
}

/// The steps of a path; ends early where the text is no path.
fn steps(mut path: &str) -> impl Iterator<Item = Step<'_>> {
    std::iter::from_fn(move || {
        let (step, rest) = first_step(path)?;
        path = rest;
        Some(step)
    })
}

fn first_step(path: &str) -> Option<(Step<'_>, &str)> {
    if let Some(rest) = path.strip_prefix("[\"") {
        let (key, rest) = rest.split_once("\"]")?;
        return Some((Step::Key(key), rest));
    }
    if let Some(rest) = path.strip_prefix('[') {
        let (index, rest) = rest.split_once(']')?;
        return Some((Step::Index(index.parse().ok()?), rest));
    }
    let path = path.strip_prefix('.').unwrap_or(path);
    let end = path.find(['.', '[']).unwrap_or(path.len());
    (end > 0).then(|| (Step::Field(&path[..end]), &path[end..]))
}
