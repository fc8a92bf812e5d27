//! Where the bootstrap comes from: a file, which can be read again, or a text.

use std::fmt;
use std::path::PathBuf;

use penstock_proto::envoy::config::core::v3::Node;

use crate::bootstrap::{self, Findings, LoadOptions, Loaded};
use crate::cli::{FileOptions, RunOptions};

/// A bootstrap to read, and what the command line changes in it.
#[derive(Clone, Debug)]
pub struct Source {
    origin: Origin,
    options: LoadOptions,
    node_id: Option<String>,
    node_cluster: Option<String>,
}

#[derive(Clone, Debug)]
enum Origin {
    File(PathBuf),
    Text { name: String, text: String },
}

impl Source {
    /// As the command line says.
    pub fn of(file: &FileOptions) -> Self {
        let origin = match (&file.config, &file.config_yaml) {
            (Some(path), _) => Origin::File(path.clone()),
            (None, text) => Origin::Text {
                name: "--config-yaml".to_owned(),
                text: text.clone().unwrap_or_default(),
            },
        };
        Self {
            origin,
            options: LoadOptions {
                allow_unknown_static_fields: file.allow_unknown_static_fields,
            },
            node_id: None,
            node_cluster: None,
        }
    }

    /// A text of our own; `name` stands for the file in findings.
    pub fn text(name: &str, text: String) -> Self {
        Self {
            origin: Origin::Text {
                name: name.to_owned(),
                text,
            },
            options: LoadOptions::default(),
            node_id: None,
            node_cluster: None,
        }
    }

    /// Of `penstock run`, with what it overrides.
    pub(super) fn of_run(options: &RunOptions) -> Self {
        Self {
            node_id: options.service_node.clone(),
            node_cluster: options.service_cluster.clone(),
            ..Self::of(&options.file)
        }
    }

    /// Reads it, now.
    ///
    /// # Errors
    /// All problems of the file, at once.
    pub fn load(&self) -> Result<Loaded, Findings> {
        let mut loaded = match &self.origin {
            Origin::File(path) => bootstrap::load(path, &self.options)?,
            Origin::Text { name, text } => bootstrap::load_str(name, text, &self.options)?,
        };
        if self.node_id.is_some() || self.node_cluster.is_some() {
            let node = loaded.bootstrap.node.get_or_insert_with(Node::default);
            replace(&mut node.id, self.node_id.as_ref());
            replace(&mut node.cluster, self.node_cluster.as_ref());
        }
        Ok(loaded)
    }
}

fn replace(field: &mut String, value: Option<&String>) {
    if let Some(value) = value {
        field.clone_from(value);
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File(path) => path.display().fmt(f),
            Origin::Text { name, .. } => f.write_str(name),
        }
    }
}
