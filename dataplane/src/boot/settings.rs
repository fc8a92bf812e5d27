//! What a gateway is started with, and why it may not start.

use std::io;

use penstock_runtime::listen::BindError;
use penstock_runtime::runtime;

use super::Source;
use super::configuration::LoadFault;
use crate::admin::AdminError;
use crate::bootstrap::Findings;
use crate::cli::{DriverOptions, RunOptions};
use crate::telemetry::log::LogLevel;
use crate::telemetry::process::TooFewDescriptors;
use crate::translate::AdminReach;

/// How a gateway is to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its configuration.
    pub source: Source,
    /// Workers; `None` for the CPUs that the process may use.
    pub workers: Option<usize>,
    /// What moves the bytes.
    pub driver: DriverOptions,
    /// What `/logging` changes.
    pub log_level: LogLevel,
    /// Which addresses the admin interface may have.
    pub admin_reach: AdminReach,
}

impl Settings {
    /// Of `penstock run`.
    pub(super) fn of_run(options: &RunOptions) -> Self {
        Self {
            source: Source::of_run(options),
            workers: options.workers,
            driver: options.driver.clone(),
            log_level: options.log_level.clone(),
            admin_reach: options.file.admin_reach(),
        }
    }
}

impl Settings {
    /// For `/server_info`, in Envoy's names.
    pub(super) fn command_line(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut line = serde_json::Map::new();
        line.insert("config_path".into(), self.source.to_string().into());
        if let Some(workers) = self.workers {
            line.insert("concurrency".into(), workers.into());
        }
        line.insert("log_level".into(), self.log_level.name().into());
        line
    }
}

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// The configuration is refused.
    #[error("configuration refused:\n{0}")]
    Configuration(Findings),
    /// A thread that every gateway needs did not start.
    #[error("the thread that resolves names does not start")]
    Dns(#[source] io::Error),
    /// No descriptors for connections.
    #[error(transparent)]
    Descriptors(#[from] TooFewDescriptors),
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The workers did not start.
    #[error(transparent)]
    Workers(#[from] runtime::StartError),
    /// A worker did not take its first configuration.
    #[error("the workers did not take their configuration in time")]
    Late(#[from] runtime::Late),
    /// The admin interface did not start.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The kernel refused something that every gateway needs.
    #[error("cannot {0}")]
    System(&'static str, #[source] io::Error),
}

impl From<LoadFault> for StartFault {
    fn from(fault: LoadFault) -> Self {
        match fault {
            LoadFault::Refused(findings) => Self::Configuration(findings),
            LoadFault::Dns(error) => Self::Dns(error),
        }
    }
}
