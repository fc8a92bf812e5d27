//! What a translation works with: where it is in the file, what it found wrong, and the names that
//! its resources may refer to.
//!
//! Every builder always returns a value, so that all problems of a file are found in one pass; what
//! was built is used only if there was no error.

use std::collections::HashSet;
use std::time::Duration;

use penstock_proto::prost::{Message, Name};
use penstock_proto::prost_types;

use super::intern::Interner;
use super::runtime::Runtime;
use super::source::Inputs;
use crate::bootstrap::{self, FieldPath, Finding, Severity, SpanIndex, Step};
use crate::telemetry::access_log::Sinks;

/// A translation under way.
pub(super) struct Draft<'a> {
    spans: &'a SpanIndex,
    path: FieldPath,
    pub(super) findings: Vec<Finding>,
    /// Whether notes are wanted.
    pub(super) notes: bool,
    /// Ids of cluster names; a name may have one without being configured.
    pub(super) cluster_ids: &'a mut Interner,
    /// Clusters of this configuration.
    pub(super) configured: &'a HashSet<&'a str>,
    /// Clusters that routes named.
    pub(super) referred: Vec<Box<str>>,
    /// Files and variables that were read.
    pub(super) inputs: Inputs,
    pub(super) runtime: &'a Runtime,
    pub(super) sinks: &'a Sinks,
    pub(super) workers: usize,
}

/// What a draft is made with.
pub(super) struct Means<'a> {
    pub(super) spans: &'a SpanIndex,
    pub(super) notes: bool,
    pub(super) cluster_ids: &'a mut Interner,
    pub(super) configured: &'a HashSet<&'a str>,
    pub(super) runtime: &'a Runtime,
    pub(super) sinks: &'a Sinks,
    pub(super) workers: usize,
}

impl<'a> Draft<'a> {
    pub(super) fn new(means: Means<'a>) -> Self {
        Self {
            spans: means.spans,
            path: FieldPath::default(),
            findings: Vec::new(),
            notes: means.notes,
            cluster_ids: means.cluster_ids,
            configured: means.configured,
            referred: Vec::new(),
            inputs: Inputs::default(),
            runtime: means.runtime,
            sinks: means.sinks,
            workers: means.workers,
        }
    }

    /// Works on a field of where it is.
    pub(super) fn field<R>(&mut self, name: &str, run: impl FnOnce(&mut Self) -> R) -> R {
        self.step(&Step::Field(name), run)
    }

    /// Works on one key of a map field.
    pub(super) fn key<R>(&mut self, name: &str, key: &str, run: impl FnOnce(&mut Self) -> R) -> R {
        self.field(name, |draft| draft.step(&Step::Key(key), run))
    }

    /// Works on one element of a list field.
    pub(super) fn element<R>(
        &mut self,
        name: &str,
        index: usize,
        run: impl FnOnce(&mut Self) -> R,
    ) -> R {
        self.field(name, |draft| draft.step(&Step::Index(index), run))
    }

    /// Works on every element of a list field, in order.
    pub(super) fn each<T, R>(
        &mut self,
        name: &str,
        items: &[T],
        mut run: impl FnMut(&mut Self, &T) -> R,
    ) -> Vec<R> {
        let numbered = items.iter().enumerate();
        numbered
            .map(|(index, item)| self.element(name, index, |draft| run(draft, item)))
            .collect()
    }

    fn step<R>(&mut self, step: &Step<'_>, run: impl FnOnce(&mut Self) -> R) -> R {
        let length = self.path.push(step);
        let result = run(self);
        self.path.pop(length);
        result
    }

    /// Something wrong with a field of where it is; with an empty name, with the place itself.
    pub(super) fn error(
        &mut self,
        field: &str,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.find(Severity::Error, field, reason.into(), remedy.into());
    }

    /// Something that looks wrong but can be used.
    pub(super) fn warn(
        &mut self,
        field: &str,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.find(Severity::Warning, field, reason.into(), remedy.into());
    }

    /// An absent field means something else than in Envoy.
    pub(super) fn note_absent(&mut self, field: &str, meaning: &str) {
        if self.notes && !self.is_set(field) {
            let reason = format!("not set, which means {meaning}");
            self.find(Severity::Note, field, reason, "set it to choose".to_owned());
        }
    }

    /// An absent field means the same as in Envoy, which is not what an edge should have.
    pub(super) fn warn_absent(&mut self, field: &str, meaning: &str, advice: &str) {
        if self.notes && !self.is_set(field) {
            self.warn(field, format!("not set, which means {meaning}"), advice);
        }
    }

    /// Whether a field of where it is stands in the file.
    fn is_set(&mut self, field: &str) -> bool {
        let spans = self.spans;
        self.at(field, |path| spans.contains(path))
    }

    fn find(&mut self, severity: Severity, field: &str, reason: String, remedy: String) {
        let spans = self.spans;
        let finding = self.at(field, |path| spans.finding(severity, path, reason, remedy));
        self.findings.push(finding);
    }

    /// A path relative to where it is; it may have several steps.
    fn at<R>(&mut self, field: &str, run: impl FnOnce(&str) -> R) -> R {
        if field.is_empty() {
            return run(self.path.as_str());
        }
        let length = self.path.push(&Step::Field(field));
        let result = run(self.path.as_str());
        self.path.pop(length);
        result
    }

    /// Options of an extension, which must be of type `M`.
    pub(super) fn options<M: Message + Name + Default>(
        &mut self,
        any: &prost_types::Any,
    ) -> Option<M> {
        match bootstrap::decode_any(any) {
            Ok(options) => Some(options),
            Err(_) => {
                let reason = format!("`{}` has no place here", any.type_url);
                self.error("@type", reason, format!("use {}", M::full_name()));
                None
            }
        }
    }

    /// A duration that is not negative.
    pub(super) fn duration(
        &mut self,
        field: &str,
        value: Option<&prost_types::Duration>,
    ) -> Option<Duration> {
        let value = value?;
        let seconds = u64::try_from(value.seconds).ok();
        let nanos = u32::try_from(value.nanos).ok();
        let duration = seconds
            .zip(nanos)
            .map(|(seconds, nanos)| Duration::new(seconds, nanos));
        if duration.is_none() {
            self.error(field, "a time must not be negative", "write 0s or more");
        }
        duration
    }

    /// A timeout: 0 switches it off, absent is the default.
    pub(super) fn timeout(
        &mut self,
        field: &str,
        value: Option<&prost_types::Duration>,
        default: Option<Duration>,
    ) -> Option<Duration> {
        match value {
            None => default,
            Some(_) => self
                .duration(field, value)
                .filter(|timeout| !timeout.is_zero()),
        }
    }

    /// A duration above 0.
    pub(super) fn positive(
        &mut self,
        field: &str,
        value: Option<&prost_types::Duration>,
        default: Duration,
    ) -> Duration {
        let Some(duration) = self.duration(field, value) else {
            return default;
        };
        if duration.is_zero() {
            self.error(field, "must be above 0", "write a time, for example 5s");
        }
        duration
    }

    /// A text that may go into a header field (RFC 9110 section 5.5).
    pub(super) fn header_text(&mut self, field: &str, text: &str) -> Box<str> {
        let is_allowed = |byte: u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        if !text.bytes().all(is_allowed) {
            self.error(
                field,
                "cannot stand in a header field",
                "leave out control characters",
            );
        }
        text.into()
    }

    /// A text that must be there.
    pub(super) fn required(&mut self, field: &str, text: &str, remedy: &str) {
        if text.is_empty() {
            self.error(field, "is missing", remedy);
        }
    }
}
