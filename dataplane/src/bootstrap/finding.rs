//! What is wrong with a configuration: the place, the cause and the remedy.
//!
//! Not an error chain: a report is a list, since all problems are told at once.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// For information: a meaning that differs from Envoy's.
    Note,
    /// Something was left out or looks wrong; the configuration is used.
    Warning,
    /// The configuration is not used.
    Error,
}

/// One problem in a configuration file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Name of the file as it was given.
    pub file: Arc<str>,
    /// Line, from 1; 0 if the problem has no place in the file.
    pub line: u32,
    /// Column in characters, from 1; 0 if the problem has no place in the file.
    pub column: u32,
    /// Field path, for example `static_resources.listeners[0].address`; may be empty.
    pub path: String,
    /// What is wrong.
    pub reason: String,
    /// What to do about it; may be empty.
    pub remedy: String,
    /// How bad it is.
    pub severity: Severity,
}

impl fmt::Display for Finding {
    /// Writes `file:line:column: path: reason; remedy`, without the parts that are empty; warnings
    /// and notes say so before the path.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:", self.file)?;
        if self.line > 0 {
            write!(out, "{}:{}:", self.line, self.column)?;
        }
        match self.severity {
            Severity::Error => {}
            Severity::Warning => write!(out, " warning:")?,
            Severity::Note => write!(out, " note:")?,
        }
        if !self.path.is_empty() {
            write!(out, " {}:", self.path)?;
        }
        write!(out, " {}", self.reason)?;
        if !self.remedy.is_empty() {
            write!(out, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

/// All problems of a configuration, in the order of the file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    /// Whether the configuration must not be used.
    pub fn has_errors(&self) -> bool {
        self.0
            .iter()
            .any(|finding| finding.severity == Severity::Error)
    }
}

impl fmt::Display for Findings {
    /// One finding per line.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            write!(out, "{finding}")?;
        }
        Ok(())
    }
}

impl Error for Findings {}
