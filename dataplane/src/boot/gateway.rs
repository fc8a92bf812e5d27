//! Everything that runs, as one thing: started, reloaded, drained, stopped. Owned by one thread.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant, SystemTime};

use penstock_core::accept::ConnectionBudget;
use penstock_core::config::{AccessLog, Snapshot};
use penstock_core::stats::{PerWorker, WorkerStats};
use penstock_proto::envoy::config::bootstrap::v3::Bootstrap;
use penstock_runtime::mailbox::Ticket;
use penstock_runtime::{Placement, Runtime, process, runtime};

use super::configuration::{Configuration, LoadFault};
use super::life::Wish;
use super::listeners::Bound;
use super::settings::{Settings, StartFault};
use super::view::{Seen, View};
use super::workers;
use crate::admin::{self, About, Admin, AdminLog, Listening, Loaded, State};
use crate::bootstrap::Finding;
use crate::cli::{Exit, REVISION, VERSION};
use crate::notify::Notify;
use crate::telemetry::access_log::{AccessLogWriter, LogRing, Sinks};
use crate::telemetry::log;
use crate::telemetry::metrics::Build;
use crate::telemetry::process::connections_for;
use crate::telemetry::startup::Startup;
use crate::translate::AdminReach;

/// A running gateway.
pub struct Gateway {
    runtime: Runtime,
    configuration: Configuration,
    bound: Bound,
    view: Arc<View>,
    admin: Option<Admin>,
    /// Where the bootstrap wants the admin interface; it changes with a restart only.
    admin_asked: Option<SocketAddr>,
    log: AccessLogWriter,
    notify: Notify,
    pulse: Pulse,
}

/// The last question to the workers, and for how many ticks it has had no answer.
#[derive(Debug)]
struct Pulse {
    asked: Ticket,
    late: u32,
}

/// Ticks without an answer after which a worker is given up.
const LATE_TICKS_MAX: u32 = 30;
/// How long the first configuration may take to reach every worker.
const START_TIME: Duration = Duration::from_secs(30);
/// Listeners that descriptors are set aside for.
const LISTENERS_TYPICAL: usize = 16;
/// How long the access log may take to be written at the end.
const LOG_TIME: Duration = Duration::from_secs(2);

impl Gateway {
    /// Reads, binds and starts, in this order, so that a mistake is found before anything runs.
    ///
    /// # Errors
    /// What went wrong; nothing runs then.
    pub fn start(settings: Settings, wishes: Sender<Wish>) -> Result<Self, StartFault> {
        let started = Instant::now();
        let system = |what| move |fault| StartFault::System(what, fault);
        let descriptors =
            process::raise_descriptor_limit().map_err(system("read the descriptor limit"))?;
        let placement =
            Placement::new(settings.workers).map_err(system("learn which CPUs may be used"))?;
        let count = placement.workers();
        let sinks = Arc::new(Sinks::default());
        let stats: Arc<PerWorker<WorkerStats>> = Arc::new(PerWorker::new(count));
        let view = Arc::new(View::new(stats.clone(), wishes.clone()));
        let notify = Notify::new(std::env::var_os("NOTIFY_SOCKET").as_deref())
            .map_err(system("reach the service manager"))?;

        let connections_max = connections_for(descriptors, count, LISTENERS_TYPICAL)?;
        let connections = u32::try_from(connections_max).unwrap_or(u32::MAX);
        let mut configuration = Configuration::new(
            settings.source.clone(),
            count,
            sinks.clone(),
            Arc::new(ConnectionBudget::new(connections, None)),
            settings.admin_reach,
            wishes,
        );
        notify.status("reading the configuration and resolving names");
        let mut prepared = configuration.load()?;
        warn(&prepared.findings);
        let (bound, groups) = Bound::default()
            .step(&prepared.snapshot, count)?
            .into_parts();

        // The last ring is for the admin thread.
        let (log, mut rings) = AccessLogWriter::start(sinks.clone(), count + 1)
            .map_err(system("start the log writer"))?;
        let admin_ring = rings.pop();
        let options = workers::options(placement, &settings, &stats, rings);
        let make_engine = workers::engine_maker(&stats, count);
        let runtime = Runtime::start(options, prepared.snapshot.clone(), groups, make_engine)?;
        runtime.wait(runtime.ping(), START_TIME)?;

        let asked = runtime.ping();
        let mut gateway = Self {
            runtime,
            configuration,
            bound,
            view,
            admin: None,
            admin_asked: prepared.admin.as_ref().map(|admin| admin.address),
            log,
            notify,
            pulse: Pulse { asked, late: 0 },
        };
        if let Some(admin) = prepared.admin.take() {
            let log = admin_log(admin.access_logs, admin_ring);
            let options = gateway.admin_options(admin.address, &settings, sinks, started);
            let started = Admin::start_with_log(options, log, gateway.view.clone());
            gateway.admin = Some(started?);
        }
        gateway.show(prepared.snapshot, Some(prepared.bootstrap));
        gateway.view.set_state(State::Live);
        gateway.log_startup(&settings, descriptors, connections_max);
        gateway.notify.ready();
        Ok(gateway)
    }

    fn admin_options(
        &self,
        address: SocketAddr,
        settings: &Settings,
        sinks: Arc<Sinks>,
        started: Instant,
    ) -> admin::Options {
        admin::Options {
            address,
            allow_public: settings.admin_reach == AdminReach::Anywhere,
            about: About {
                build: Arc::new(self.build()),
                command_line: settings.command_line(),
                driver: self.runtime.driver().clone(),
                started,
            },
            sinks,
            level: settings.log_level.clone(),
        }
    }

    fn build(&self) -> Build {
        Build {
            version: VERSION.into(),
            revision: REVISION.unwrap_or_default().into(),
            driver: self.runtime.driver().name().into(),
        }
    }

    fn log_startup(&self, settings: &Settings, descriptors: u64, connections_max: u64) {
        let placement = self.runtime.placement();
        let cpu = |cpu: &u32| placement.pinned.then_some(*cpu as usize);
        let choice = self.runtime.driver();
        Startup {
            version: VERSION,
            revision: REVISION,
            file: &settings.source.to_string(),
            cpus: &placement.cpus.iter().map(cpu).collect::<Vec<_>>(),
            driver: choice.name(),
            features: &choice.features(),
            lacks: choice.lacks().as_deref(),
            fallback: choice.fallback(),
            listeners: &self.listening(),
            admin: self.admin_address(),
            descriptors,
            connections_max,
        }
        .log();
    }

    /// Listeners and where they are bound.
    pub fn listening(&self) -> Vec<Listening> {
        self.bound.listening()
    }

    /// Where the admin interface listens.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::address)
    }

    /// The driver of the workers and why it was chosen.
    pub fn driver(&self) -> String {
        self.runtime.driver().to_string()
    }

    /// Reads the bootstrap again. Valid: applied. Invalid: the old one stays and the log says why.
    pub fn reload(&mut self) {
        let prepared = match self.configuration.load() {
            Ok(prepared) => prepared,
            Err(LoadFault::Refused(findings)) => {
                findings
                    .0
                    .iter()
                    .for_each(|finding| tracing::error!("{finding}"));
                return refuse_reload(&"the file has errors");
            }
            Err(fault) => return refuse_reload(&log::chain(&fault)),
        };
        warn(&prepared.findings);
        if prepared.admin.map(|admin| admin.address) != self.admin_asked {
            tracing::warn!("the admin interface changes its address with a restart only");
        }
        self.apply(prepared.snapshot, Some(prepared.bootstrap));
    }

    /// Names have new addresses: the same bootstrap, another snapshot.
    pub fn refresh(&mut self) {
        if let Some(snapshot) = self.configuration.refresh() {
            self.apply(snapshot, None);
        }
    }

    fn apply(&mut self, snapshot: Arc<Snapshot>, bootstrap: Option<Arc<Bootstrap>>) {
        let workers = self.runtime.placement().workers();
        let (bound, groups) = match self.bound.step(&snapshot, workers) {
            Ok(step) => step.into_parts(),
            Err(fault) => return refuse_reload(&log::chain(&fault)),
        };
        let (generation, opened) = (snapshot.generation, groups.len());
        self.runtime.apply(snapshot.clone(), groups);
        self.bound = bound;
        self.show(snapshot, bootstrap);
        tracing::info!(generation, opened, "configuration applied");
    }

    /// Shows it to the admin interface; without a bootstrap, the one before is still in force.
    fn show(&self, snapshot: Arc<Snapshot>, bootstrap: Option<Arc<Bootstrap>>) {
        let loaded = bootstrap.map(|bootstrap| Loaded {
            bootstrap,
            at: SystemTime::now(),
        });
        self.view.set_seen(Seen {
            snapshot,
            listening: self.bound.listening(),
            loaded: loaded.or_else(|| self.view.seen().loaded),
            dns: self.configuration.dns(),
        });
    }

    /// Closes access log files and opens them again by name.
    pub fn reopen_logs(&self) {
        self.log.reopen();
    }

    /// Readiness fails from now on; nothing else changes.
    pub fn fail_readiness(&self) {
        self.view.set_state(State::Draining);
        self.notify.stopping();
    }

    /// Listeners close, idle connections close, open exchanges finish.
    pub fn drain(&self) {
        self.view.set_state(State::Draining);
        self.runtime.drain();
    }

    /// True once nothing is open after [`Gateway::drain`].
    pub fn is_drained(&self) -> bool {
        self.runtime.wait_drained(Duration::ZERO).is_ok()
    }

    /// Asks the workers for a sign of life and tells the service manager.
    ///
    /// # Errors
    /// If a worker has not answered for a long time.
    pub fn tick(&mut self) -> Result<(), runtime::Late> {
        match self.runtime.wait(self.pulse.asked, Duration::ZERO) {
            Ok(()) => {
                self.notify.watchdog();
                self.pulse = Pulse {
                    asked: self.runtime.ping(),
                    late: 0,
                };
                self.runtime.sweep();
                Ok(())
            }
            Err(late) if self.pulse.late >= LATE_TICKS_MAX => Err(late),
            Err(_) => {
                self.pulse.late += 1;
                Ok(())
            }
        }
    }

    /// Connections of clients that are open now.
    fn open_connections(&self) -> u64 {
        let snapshot = self.view.seen().snapshot;
        let listeners = snapshot.listeners.iter().flatten();
        let workers = listeners.flat_map(|listener| listener.stats.iter());
        workers
            .map(|worker| worker.counters.connections_active.value())
            .sum()
    }

    /// Stops at once and says what was cut.
    pub fn stop(self) -> Exit {
        let open = self.open_connections();
        drop(self.admin);
        self.runtime.stop();
        if !self.log.stop(LOG_TIME) {
            tracing::warn!("the access log could not be written to its end");
        }
        match open {
            0 => tracing::info!("stopped; no connection was cut"),
            open => tracing::warn!("stopped; {open} connections were cut"),
        }
        Exit::Success
    }
}

fn warn(findings: &[Finding]) {
    findings
        .iter()
        .for_each(|finding| tracing::warn!("{finding}"));
}

fn refuse_reload(why: &dyn fmt::Display) {
    tracing::error!("reload refused, the configuration in force stays: {why}");
}

fn admin_log(logs: Vec<AccessLog>, ring: Option<LogRing>) -> Option<AdminLog> {
    let ring = ring.filter(|_| !logs.is_empty())?;
    Some(AdminLog { logs, ring })
}
