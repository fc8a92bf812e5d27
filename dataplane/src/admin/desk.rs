//! What every endpoint may look at.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use penstock_runtime::Choice;

use super::{Control, State};
use crate::telemetry::access_log::Sinks;
use crate::telemetry::log::LogLevel;
use crate::telemetry::metrics::{self, Build, BusyWindow, SeriesDropped, View};
use crate::telemetry::process::Process;

/// What does not change while the process runs.
#[derive(Clone, Debug)]
pub struct About {
    /// Version, revision and driver.
    pub build: Arc<Build>,
    /// Options of the command line in Envoy's names where Envoy has them (`config_path`,
    /// `concurrency`), for `/server_info`.
    pub command_line: serde_json::Map<String, serde_json::Value>,
    /// What moves the bytes, and why.
    pub driver: Choice,
    /// Start of the process.
    pub started: Instant,
}

/// Everything that answers are made from.
pub(super) struct Desk {
    pub(super) control: Arc<dyn Control>,
    pub(super) about: About,
    pub(super) sinks: Arc<Sinks>,
    pub(super) level: LogLevel,
    pub(super) dropped: SeriesDropped,
    /// An operator took this instance out of service.
    failed: AtomicBool,
    busy: Mutex<BusyWindow>,
}

impl Desk {
    pub(super) fn new(
        control: Arc<dyn Control>,
        about: About,
        sinks: Arc<Sinks>,
        level: LogLevel,
    ) -> Self {
        Self {
            control,
            about,
            sinks,
            level,
            dropped: SeriesDropped::default(),
            failed: AtomicBool::new(false),
            busy: Mutex::default(),
        }
    }

    /// State of the process; whoever failed the health check sees it as a drain.
    pub(super) fn state(&self) -> State {
        match self.control.state() {
            State::Live if self.failed() => State::Draining,
            state => state,
        }
    }

    /// True from `/healthcheck/fail` to `/healthcheck/ok`.
    pub(super) fn failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    pub(super) fn set_failed(&self, failed: bool) {
        self.failed.store(failed, Relaxed);
    }

    /// Looks at the workers' busy time.
    pub(super) fn sample(&self, now: Instant) {
        let workers = self.control.workers();
        self.busy().sample(now, &workers);
    }

    /// What metrics are made of.
    pub(super) fn view(&self) -> View {
        let snapshot = self.control.snapshot();
        View {
            build: self.about.build.clone(),
            state: self.state(),
            uptime: self.about.started.elapsed(),
            process: Process::read(),
            generation: snapshot.generation,
            listeners: metrics::listeners(&snapshot),
            clusters: metrics::clusters(&snapshot),
            workers: self.control.workers(),
            dns: self.control.dns(),
            busy: self.busy().ratios(),
            sinks: self.sinks.clone(),
        }
    }

    fn busy(&self) -> std::sync::MutexGuard<'_, BusyWindow> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// RFC 3339, as protobuf's JSON writes timestamps.
pub(super) fn timestamp(at: SystemTime) -> String {
    penstock_proto::prost_types::Timestamp::from(at).to_string()
}
