//! The bootstrap file: text to typed messages, with every problem reported at its place.
//!
//! The file is Envoy's bootstrap in YAML or JSON. This module decides what the file says, along the
//! descriptors in `penstock-proto`; what it means is decided by `translate`.
//!
//! ```text
//! text ─► yaml (tree with places) ─► walk (fields, kinds, names) ─► Bootstrap + SpanIndex
//! ```

mod extension;
mod finding;
mod known;
mod node;
mod scalar;
mod span;
mod walk;
mod yaml;

#[cfg(test)]
pub(crate) mod tests;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use penstock_proto::envoy::config::bootstrap::v3::Bootstrap;
use penstock_proto::prost::{DecodeError, Message, Name};
use penstock_proto::prost_types::Any;

pub use finding::{Finding, Findings, Severity};
pub use span::SpanIndex;

pub(crate) use node::Step;
pub(crate) use span::FieldPath;

/// How a file is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LoadOptions {
    /// Leave fields out that are unknown or not served, with a warning for each, instead of
    /// refusing the file. Fields that guard something, such as a part of a match or a transport
    /// socket, stay errors; so do invalid values.
    pub allow_unknown_static_fields: bool,
}

/// A file that was read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it says.
    pub bootstrap: Bootstrap,
    /// What was left out of it.
    pub warnings: Vec<Finding>,
    /// Where its fields are.
    pub spans: SpanIndex,
}

/// Reads a bootstrap file.
///
/// # Errors
/// All problems of the file, warnings among them; one finding if it cannot be read at all.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Loaded, Findings> {
    let name = path.display().to_string();
    match read_file(path) {
        Ok(text) => load_str(&name, &text, options),
        Err(reason) => Err(Findings(vec![Finding {
            file: Arc::from(name),
            line: 0,
            column: 0,
            path: String::new(),
            reason,
            remedy: "name a readable file in UTF-8".to_owned(),
            severity: Severity::Error,
        }])),
    }
}

/// Reads a bootstrap from a text; `name` stands for the file in findings.
///
/// # Errors
/// All problems of the text, warnings among them.
pub fn load_str(name: &str, text: &str, options: &LoadOptions) -> Result<Loaded, Findings> {
    let file: Arc<str> = Arc::from(name);
    let (root, faults) =
        yaml::read(text).map_err(|fault| Findings(vec![fault.into_finding(&file)]))?;
    let spans = SpanIndex::new(Arc::clone(&file), Arc::clone(&root));
    let message = penstock_proto::pool()
        .get_message_by_name(&Bootstrap::full_name())
        .expect("our own descriptors hold the message that was generated from them");
    let (dynamic, found) = walk::Walk::new(&spans, options).run(&root, &message);

    let mut findings: Vec<_> = faults
        .into_iter()
        .map(|fault| fault.into_finding(&file))
        .collect();
    findings.extend(found);
    findings.sort_by_key(|finding| (finding.line, finding.column));
    let findings = Findings(findings);
    if findings.has_errors() {
        return Err(findings);
    }
    match Bootstrap::decode(dynamic.encode_to_vec().as_slice()) {
        Ok(bootstrap) => Ok(Loaded {
            bootstrap,
            warnings: findings.0,
            spans,
        }),
        Err(error) => Err(Findings(vec![spans.finding(
            Severity::Error,
            "",
            format!("cannot be kept: {error}"),
            "simplify the file",
        )])),
    }
}

/// The message in an `Any`, if it is of this type.
///
/// # Errors
/// The `Any` holds another message, or bytes that are none.
pub fn decode_any<M: Message + Name + Default>(any: &Any) -> Result<M, DecodeError> {
    any.to_msg()
}

fn read_file(path: &Path) -> Result<String, String> {
    let length = fs::metadata(path)
        .map_err(|error| format!("cannot be read: {error}"))?
        .len();
    if length > yaml::BYTES_MAX as u64 {
        return Err(format!(
            "has {length} bytes, over the {} allowed",
            yaml::BYTES_MAX
        ));
    }
    fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))
}
