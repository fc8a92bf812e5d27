//! What the workers are made of: options of the runtime, and an engine for each.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use penstock_core::engine::{Engine, EngineOptions};
use penstock_core::limits;
use penstock_core::stats::{PerWorker, WorkerIndex, WorkerStats};
use penstock_runtime::{Options, Placement};

use super::settings::Settings;
use crate::telemetry::access_log::{Rings, log_writers};

/// How the workers run: driver, counters, and a ring of the access log for each.
pub(super) fn options(
    placement: Placement,
    settings: &Settings,
    stats: &Arc<PerWorker<WorkerStats>>,
    rings: Rings,
) -> Options {
    Options {
        driver: settings.driver.driver,
        uring: settings.driver.uring.clone(),
        stats: stats.clone(),
        log: log_writers(rings),
        ..Options::new(placement)
    }
}

/// Makes the engine of a worker, on its thread.
pub(super) fn engine_maker(
    stats: &Arc<PerWorker<WorkerStats>>,
    workers: usize,
) -> impl Fn(WorkerIndex) -> Engine + Send + Sync + 'static {
    let stats = stats.clone();
    let hostname = hostname();
    move |worker| {
        Engine::new(EngineOptions {
            worker,
            workers,
            // Keys of a new RandomState come from the kernel's random numbers.
            seed: RandomState::new().hash_one(worker),
            buffer_payload: limits::BUFFER_PAYLOAD,
            buffers_limit: limits::BUFFERS_PER_WORKER,
            connections_limit: limits::CONNECTIONS_PER_WORKER,
            hostname: hostname.clone(),
            relay_bytes_min: limits::RELAY_BYTES_MIN,
            stats: stats.clone(),
        })
    }
}

fn hostname() -> Box<str> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    name.map_or("-".into(), |name| name.trim_end().into())
}
