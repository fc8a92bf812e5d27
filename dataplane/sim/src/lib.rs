//! A seeded world around the core: network, clients, origins, faults, oracle, replay by seed.
//!
//! One seed is one world: who comes and what they say, how the network cuts and delays bytes, which
//! accidents happen, when the configuration changes and when the machine drains. The same seed
//! gives the same bytes. The core under test is the real one; everything around it, the HTTP reader
//! included, is the simulator's own, so that no mistake is made twice.
//!
//! ```text
//! seed ─► scenario ─► world { agenda, net, driver ⇄ machine, clients, vandals, origins }
//!                       └─► ledger ─► report
//! ```

#![forbid(unsafe_code)]

pub mod agenda;
pub mod client;
pub mod config;
pub mod dice;
pub mod driver;
pub mod ledger;
pub mod message;
pub mod net;
pub mod origin;
pub mod scenario;
pub mod trace;
pub mod tunnel;
pub mod vandal;
pub mod world;

pub mod regressions;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use penstock_core::engine::{Engine, EngineOptions};
use penstock_core::machine::Machine;
use penstock_core::stats::{PerWorker, WorkerIndex, WorkerStats};

pub use scenario::Scenario;
pub use trace::Keep;
pub use world::{Report, World};

/// Runs the world of a seed around a real engine. A panic of the engine is a violation like any
/// other.
pub fn run(seed: u64, keep: Keep) -> Report {
    run_with(seed, keep, |engine| engine)
}

/// Runs the world of a seed around a machine that `wrap` makes of a real engine.
pub fn run_with<M: Machine>(seed: u64, keep: Keep, wrap: impl FnOnce(Engine) -> M) -> Report {
    let scenario = Scenario::new(seed);
    let stats = Arc::new(PerWorker::new(1));
    let mut machine = wrap(engine(&scenario, &stats));
    let mut world = World::new(scenario, &mut machine, stats, keep);
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run()));
    let mut report = world.report();
    if let Err(panic) = outcome {
        report.violation = Some(format!("panic: {}", panic_text(panic.as_ref())));
    }
    report
}

fn engine(scenario: &Scenario, stats: &Arc<PerWorker<WorkerStats>>) -> Engine {
    let settings = &scenario.settings;
    Engine::new(EngineOptions {
        worker: WorkerIndex(0),
        workers: 1,
        seed: settings.engine_seed,
        buffer_payload: settings.buffer_payload,
        buffers_limit: settings.buffers_limit,
        connections_limit: settings.connections_limit,
        hostname: "sim".into(),
        relay_bytes_min: settings.relay_bytes_min,
        stats: Arc::clone(stats),
    })
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("of unknown kind")
}
