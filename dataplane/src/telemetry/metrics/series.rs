//! The series of one resource of one metric.

use std::sync::atomic::Ordering::Relaxed;

use penstock_core::config::cluster::Health;
use penstock_core::http::Refusal;
use penstock_core::stats::{Cell, RouteCounters};

use super::catalog::{NANOSECONDS, Part, base};
use super::page::{Labels, Page, Value, seconds};
use super::sums::{Durations, budgets, cell, durations};
use super::{RouteRow, View};
use crate::admin::State;

/// Writes the series of one resource, number `item` of `part`; false if there is none.
pub(super) fn write(
    part: Part,
    name: &str,
    item: usize,
    (view, routes): (&View, &[RouteRow]),
    page: &mut Page,
) -> bool {
    let written = match part {
        Part::Build
        | Part::Live
        | Part::Uptime
        | Part::Generation
        | Part::Dns(_)
        | Part::Process(_) => (item == 0).then(|| write_single(part, name, view, page)),
        Part::Listener(_) | Part::Refusals | Part::RequestDuration => {
            write_listener(part, name, item, view, page)
        }
        Part::Route(cell) => write_route(cell, name, item, (view, routes), page),
        Part::Cluster(_)
        | Part::ConnectDuration
        | Part::UpstreamDuration
        | Part::Health
        | Part::CircuitOpen => write_cluster(part, name, item, view, page),
        Part::Worker(_) | Part::Busy | Part::Loop => write_worker(part, name, item, view, page),
        Part::LogWritten | Part::LogDropped => write_sink(part, name, item, view, page),
    };
    written.is_some()
}

fn write_single(part: Part, name: &str, view: &View, page: &mut Page) {
    let value = match part {
        Part::Live => Some(Value::Whole(u64::from(view.state == State::Live))),
        Part::Uptime => Some(view.uptime.as_secs_f64().into()),
        Part::Generation => Some(view.generation.into()),
        Part::Dns(which) => view.dns.as_ref().map(|dns| (which.read)(dns).into()),
        Part::Process(read) => read(&view.process),
        _ => Some(Value::Whole(1)),
    };
    let build = &view.build;
    let own: &[_] = match part {
        Part::Build => &[
            ("version", &*build.version),
            ("revision", &*build.revision),
            ("driver", &*build.driver),
        ],
        _ => &[],
    };
    if let Some(value) = value {
        page.sample(name, Labels { own, fixed: "" }, value);
    }
}

fn write_listener(part: Part, name: &str, item: usize, view: &View, page: &mut Page) -> Option<()> {
    let listener = view.listeners.get(item)?;
    let own = [("listener", &*listener.name)];
    let labels = Labels {
        own: &own,
        fixed: "",
    };
    match part {
        Part::Listener(which) => {
            let value = cell(&listener.stats, |stats| &stats.counters, which);
            page.sample(name, labels.with(which.metric), value);
        }
        Part::Refusals => {
            for (index, refusal) in Refusal::ALL.iter().enumerate() {
                let counts = listener
                    .stats
                    .iter()
                    .map(|stats| stats.refusals[index].value());
                let reason = ("reason", refusal.label());
                let own = [own[0], ("proto", "http1"), reason];
                page.sample(
                    name,
                    Labels {
                        own: &own,
                        fixed: "",
                    },
                    counts.sum::<u64>(),
                );
            }
        }
        _ => page.histogram(
            name,
            labels,
            &durations(&listener.stats, |stats| &stats.duration),
        ),
    }
    Some(())
}

fn write_route(
    which: &'static Cell<RouteCounters>,
    name: &str,
    item: usize,
    (view, routes): (&View, &[RouteRow]),
    page: &mut Page,
) -> Option<()> {
    let row = routes.get(item)?;
    let own = [
        ("listener", &*view.listeners[row.listener].name),
        ("virtual_host", &*row.virtual_host),
        ("route", &*row.route),
    ];
    let values = row
        .stats
        .iter()
        .map(|stats| cell(stats, |stats| &stats.counters, which));
    let labels = Labels {
        own: &own,
        fixed: "",
    };
    page.sample(name, labels.with(which.metric), values.sum::<u64>());
    Some(())
}

fn write_cluster(part: Part, name: &str, item: usize, view: &View, page: &mut Page) -> Option<()> {
    let cluster = view.clusters.get(item)?;
    let own = [("cluster", &*cluster.name)];
    let labels = Labels {
        own: &own,
        fixed: "",
    };
    match part {
        Part::Cluster(which) => {
            let value = cell(&cluster.stats, |stats| &stats.counters, which);
            page.sample(name, labels.with(which.metric), value);
        }
        Part::Health => {
            let endpoints = || cluster.priorities.iter().flatten();
            for (health, state) in HEALTH {
                let count = endpoints()
                    .filter(|endpoint| endpoint.health == health)
                    .count();
                let own = [own[0], ("state", state)];
                page.sample(
                    name,
                    Labels {
                        own: &own,
                        fixed: "",
                    },
                    count as u64,
                );
            }
        }
        Part::CircuitOpen => {
            for (priority, shared) in [
                ("default", &cluster.breakers.default),
                ("high", &cluster.breakers.high),
            ] {
                for (kind, budget) in budgets(shared) {
                    let own = [own[0], ("priority", priority), ("kind", kind)];
                    let open = u64::from(budget.taken() >= budget.ceiling());
                    page.sample(
                        name,
                        Labels {
                            own: &own,
                            fixed: "",
                        },
                        open,
                    );
                }
            }
        }
        Part::ConnectDuration => {
            let times = durations(&cluster.stats, |stats| &stats.connect_duration);
            page.histogram(name, labels, &times);
        }
        _ => page.histogram(
            name,
            labels,
            &durations(&cluster.stats, |stats| &stats.duration),
        ),
    }
    Some(())
}

const HEALTH: [(Health, &str); 3] = [
    (Health::Healthy, "healthy"),
    (Health::Degraded, "degraded"),
    (Health::Unhealthy, "unhealthy"),
];

fn write_worker(part: Part, name: &str, item: usize, view: &View, page: &mut Page) -> Option<()> {
    let stats = view.workers.iter().nth(item)?;
    let number = item.to_string();
    let own = [("worker", &*number)];
    let labels = Labels {
        own: &own,
        fixed: "",
    };
    match part {
        Part::Worker(which) => {
            let value = (which.read)(&stats.counters);
            let value = match base(which.metric).ends_with(NANOSECONDS) {
                true => seconds(value).into(),
                false => Value::from(value),
            };
            page.sample(name, labels.with(which.metric), value);
        }
        Part::Busy => {
            let ratio = view.busy.get(item).copied();
            page.sample(name, labels, ratio.unwrap_or_default());
        }
        _ => {
            let mut times = Durations::default();
            times.add(&stats.loop_duration);
            page.histogram(name, labels, &times);
        }
    }
    Some(())
}

fn write_sink(part: Part, name: &str, item: usize, view: &View, page: &mut Page) -> Option<()> {
    let (sink, counters) = view.sinks.counted(item)?;
    let sink = sink.to_string();
    let own = [("sink", &*sink)];
    let labels = Labels {
        own: &own,
        fixed: "",
    };
    if let Part::LogWritten = part {
        page.sample(name, labels, counters.written.load(Relaxed));
        return Some(());
    }
    let (full, failed) = (&counters.dropped_ring_full, &counters.dropped_write_failed);
    for (reason, count) in [("ring_full", full), ("write_failed", failed)] {
        let own = [own[0], ("reason", reason)];
        page.sample(
            name,
            Labels {
                own: &own,
                fixed: "",
            },
            count.load(Relaxed),
        );
    }
    Some(())
}

impl Labels<'_> {
    /// Adds the labels in the metric's own name.
    fn with(self, metric: &'static str) -> Self {
        let fixed = metric
            .split_once('{')
            .map_or("", |(_, labels)| labels.trim_end_matches('}'));
        Self { fixed, ..self }
    }
}
