//! From the bootstrap to snapshots, over the whole life of the process: `translate` keeps the ids,
//! DNS the addresses; this puts both together.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use penstock_core::accept::ConnectionBudget;
use penstock_core::config::Snapshot;
use penstock_core::stats::DnsCounters;
use penstock_proto::envoy::config::bootstrap::v3::Bootstrap;

use super::Source;
use super::life::Wish;
use crate::bootstrap::{Finding, Findings};
use crate::dns::{Dns, DnsOptions};
use crate::telemetry::access_log::Sinks;
use crate::translate::names::{Name, Resolved};
use crate::translate::{Admin, AdminReach, TranslateOptions, Translator};

/// How long names may take to be answered before a configuration is used without them.
const NAMES_TIME: Duration = Duration::from_secs(10);

/// The source, and everything that must stay the same from one snapshot to the next.
#[derive(Debug)]
pub(super) struct Configuration {
    source: Source,
    translator: Translator,
    /// There from the first name on.
    dns: Option<Dns>,
    wishes: Sender<Wish>,
}

/// A configuration that can be applied.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) bootstrap: Arc<Bootstrap>,
    pub(super) admin: Option<Admin>,
    /// Warnings: what was left out, what looks wrong.
    pub(super) findings: Vec<Finding>,
}

/// Why a configuration cannot be applied.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadFault {
    /// It is refused.
    #[error("configuration refused:\n{0}")]
    Refused(Findings),
    /// Names cannot be resolved at all.
    #[error("the thread that resolves names does not start")]
    Dns(#[source] io::Error),
}

impl Configuration {
    pub(super) fn new(
        source: Source,
        workers: usize,
        sinks: Arc<Sinks>,
        connections: Arc<ConnectionBudget>,
        admin: AdminReach,
        wishes: Sender<Wish>,
    ) -> Self {
        let options = TranslateOptions {
            admin,
            notes: false,
        };
        Self {
            source,
            translator: Translator::new(workers, sinks, connections, options),
            dns: None,
            wishes,
        }
    }

    /// Reads and translates the source, and waits for the addresses of new names.
    pub(super) fn load(&mut self) -> Result<Prepared, LoadFault> {
        let loaded = self.source.load().map_err(LoadFault::Refused)?;
        let known = self.resolved();
        let translated = self.translator.apply(&loaded, &known);
        let translated = translated.map_err(LoadFault::Refused)?;
        self.resolve(translated.names).map_err(LoadFault::Dns)?;
        let resolved = self.translator.resolve(&self.resolved());
        let mut findings = loaded.warnings;
        findings.extend(translated.findings);
        Ok(Prepared {
            snapshot: resolved.unwrap_or(translated.snapshot),
            bootstrap: Arc::new(loaded.bootstrap),
            admin: translated.admin,
            findings,
        })
    }

    /// The snapshot with the addresses of now; `None` if they change nothing.
    pub(super) fn refresh(&mut self) -> Option<Arc<Snapshot>> {
        let resolved = self.resolved();
        self.translator.resolve(&resolved)
    }

    /// Counters of the name lookups, once there were names.
    pub(super) fn dns(&self) -> Option<Arc<DnsCounters>> {
        self.dns.as_ref().map(|dns| dns.counters().clone())
    }

    fn resolved(&self) -> Resolved {
        self.dns.as_ref().map(Dns::resolved).unwrap_or_default()
    }

    /// Has these names looked up from now on, and waits for those that are new.
    fn resolve(&mut self, names: Vec<Name>) -> io::Result<()> {
        let dns = match &mut self.dns {
            None if names.is_empty() => return Ok(()),
            Some(dns) => {
                dns.update(names);
                dns
            }
            none => {
                let wishes = self.wishes.clone();
                let wish = move |_| {
                    // Whoever would take the wish is gone only when the process ends.
                    let _ = wishes.send(Wish::NamesChanged);
                };
                none.insert(Dns::start(DnsOptions::default(), names, wish)?)
            }
        };
        if !dns.wait_ready(NAMES_TIME) {
            let seconds = NAMES_TIME.as_secs();
            tracing::warn!("names without an answer after {seconds} s; going on without them");
        }
        Ok(())
    }
}

/// Everything there is to say about a source, without starting anything.
///
/// # Errors
/// All findings, if one of them is an error.
pub(super) fn check(source: &Source, admin: AdminReach) -> Result<Vec<Finding>, Findings> {
    let loaded = source.load()?;
    let connections = Arc::new(ConnectionBudget::new(u32::MAX, None));
    let options = TranslateOptions { admin, notes: true };
    let mut translator = Translator::new(1, Arc::default(), connections, options);
    let translated = translator.apply(&loaded, &Resolved::new());
    let mut findings = loaded.warnings;
    let refused = match translated {
        Ok(translated) => {
            findings.extend(translated.findings);
            false
        }
        Err(Findings(errors)) => {
            findings.extend(errors);
            true
        }
    };
    findings.sort_by_key(|finding| (finding.line, finding.column));
    if refused {
        return Err(Findings(findings));
    }
    Ok(findings)
}
