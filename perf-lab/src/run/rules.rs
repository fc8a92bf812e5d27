//! When a run does not count. The rules stand before anything is measured; a run is never left out
//! for its figures.
//!
//! | rule | verdict |
//! |---|---|
//! | a wrong answer, or answers that the origin did not give | void, the subject's fault |
//! | a gateway that opens connections to the origin for requests over kept ones | void, its fault |
//! | a rate of the file that was not reached | void; twice in a row the campaign ends |
//! | a rate derived from the maximum that was not reached | void, noise |
//! | the load itself late by more than 1 ms (99th percentile, open loop) | void, noise |
//! | the hypervisor took more than 2 % of the CPUs of the run | void, noise |
//! | threads that ended took over 1 % of the CPU time along, or an unknown share | void, noise |

use super::once::Measured;
use crate::cpu::CGROUP;
use crate::experiment::{Cell, Offer, Protocol};
use crate::load::Failure;
use crate::subject::Kind;
use crate::subject::find::Found;

/// Share of the offered requests that must be answered.
const REACHED: f64 = 0.97;
/// 99th percentile of the lateness of the load, in nanoseconds.
const LATE_MAX: u64 = 1_000_000;
/// Share of the CPUs of a run that the hypervisor may take, in per cent.
const STEAL_MAX: f64 = 2.0;
/// New connections to the origin for each request over kept connections.
const RECONNECTS_MAX: f64 = 0.01;
/// Share of the CPU time that both accounts may differ by.
const GAP_MAX: f64 = 0.01;

/// Why a run does not count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Void {
    /// The rate of the file was not reached: it asks for too much, or the machine was busy.
    Unreached(String),
    /// The subject did not do what it should.
    Fault(String),
    /// The machine or the load got in the way.
    Noise(String),
}

/// The first rule that a run breaks.
pub(super) fn judge(cell: &Cell, found: &Found, rate: u64, measured: &Measured) -> Option<Void> {
    fault(cell, found, measured)
        .map(Void::Fault)
        .or_else(|| unreached(cell, found, rate, measured))
        .or_else(|| noise(cell, found, measured).map(Void::Noise))
}

/// What the subject did that it should not.
pub(super) fn fault(cell: &Cell, found: &Found, measured: &Measured) -> Option<String> {
    wrong(cell, measured)
        .or_else(|| foreign(cell, measured))
        .or_else(|| reconnects(cell, found, measured))
}

fn wrong(cell: &Cell, measured: &Measured) -> Option<String> {
    let total = &measured.total;
    if total.answered == 0 {
        return Some(format!("no right answer: {total}"));
    }
    let wrong = total.failed();
    let kinds = Failure::ALL.iter().zip(total.failures);
    let kinds: Vec<String> = kinds
        .filter(|(_, count)| *count > 0)
        .map(|((_, name), count)| format!("{name} {count}"))
        .collect();
    match wrong {
        0 => refusals(cell, measured),
        _ => Some(format!("{wrong} wrong answers: {}", kinds.join(", "))),
    }
}

/// Each 503 of the origin must arrive, and no other. What is on its way at the end is not lost.
fn refusals(cell: &Cell, measured: &Measured) -> Option<String> {
    let sent = measured.origin_total / cell.fail_every?;
    let came = measured.total.refusals;
    let least = sent.saturating_sub(u64::from(cell.connections));
    let is_fair = (least..=sent + 1).contains(&came);
    (!is_fair).then(|| format!("the origin failed {sent} requests on purpose and {came} came"))
}

/// Every answer comes from the origin, and every request that it read was answered.
fn foreign(cell: &Cell, measured: &Measured) -> Option<String> {
    let (read, total) = (measured.origin_total, &measured.total);
    // An echo has no requests to count; its bytes are checked one by one.
    if cell.protocol == Protocol::Tcp {
        return None;
    }
    let done = total.answered + total.failed();
    // Silent connections had a request each; a client that leaves may have sent its last one.
    let most = done + u64::from(cell.idle + cell.connections) + total.resent;
    if read >= total.answered && read <= most {
        return None;
    }
    Some(format!(
        "{done} requests were done and the origin read {read}"
    ))
}

/// Over kept connections a gateway asks over kept connections. It may open one for each of the load
/// late, and again after each reload.
fn reconnects(cell: &Cell, found: &Found, measured: &Measured) -> Option<String> {
    let is_gateway = !matches!(found.choice.like.product(), "relay" | "direct");
    let is_kept = cell.keep_alive && cell.protocol == Protocol::Http1;
    // With many upstreams the connections to them are what is measured.
    if !is_gateway || !is_kept || cell.upstreams > 1 {
        return None;
    }
    let window = u128::from(measured.ended.saturating_sub(measured.started));
    let reloads = cell
        .reload_every
        .map_or(0, |every| window / every.as_nanos().max(1) + 1);
    let begins = u128::from(cell.connections) * (1 + reloads);
    let (opened, asked) = (measured.load.origin_connects, measured.load.origin_requests);
    let allowed = begins as f64 + asked as f64 * RECONNECTS_MAX;
    (opened as f64 > allowed).then(|| {
        format!("{opened} connections to the origin for {asked} requests over kept connections")
    })
}

fn unreached(cell: &Cell, found: &Found, rate: u64, measured: &Measured) -> Option<Void> {
    let failed: u64 = measured.load.failures.iter().map(|(_, count)| count).sum();
    // What is on its way when the window closes is not lost.
    let done = measured.load.answered + failed + u64::from(cell.connections);
    if done as f64 >= measured.offered as f64 * REACHED {
        return None;
    }
    let reached = measured.throughput();
    let what = format!(
        "{} answered {reached:.0} of {rate} offered requests per second",
        found.choice.name
    );
    Some(match cell.offer {
        Offer::Rate(_) => Void::Unreached(format!(
            "cell `{}`: {what}; lower its `rate`, or write `load: 50%` to have it derived from \
             the slowest subject",
            cell.name
        )),
        Offer::Share(_) | Offer::Closed => Void::Noise(what),
    })
}

fn noise(cell: &Cell, found: &Found, measured: &Measured) -> Option<String> {
    let (load, cost) = (&measured.load, &measured.cost);
    if load.answered == 0 {
        return Some("no answer fell into the window".to_owned());
    }
    if load.lateness_p99 > LATE_MAX {
        let late = load.lateness_p99 as f64 / 1e6;
        return Some(format!(
            "the load was late by {late:.1} ms (99th percentile)"
        ));
    }
    if cost.steal > STEAL_MAX {
        return Some(format!(
            "the hypervisor took {:.1} % of its CPUs",
            cost.steal
        ));
    }
    unaccounted(cell, found, measured)
}

/// CPU time that the figure does not have.
fn unaccounted(cell: &Cell, found: &Found, measured: &Measured) -> Option<String> {
    let cost = &measured.cost;
    // The test bed itself has no accounts of its own, and a figure that was not taken cannot be
    // wrong.
    if found.choice.like == Kind::Direct || cost.on_cpu == 0 {
        return None;
    }
    // Where processes come and go, the account that survives them is the figure itself.
    if cost.ended > 0 && cost.accounted_by != CGROUP && cell.reload_every.is_none() {
        let ended = cost.ended;
        return Some(format!(
            "{ended} threads ended and took their CPU time along; as root, with control groups, \
             it is accounted for"
        ));
    }
    let gap = cost.on_cpu.abs_diff(cost.accounted);
    let allowed = (cost.on_cpu as f64 * GAP_MAX) as u64 + measured.blur;
    (gap > allowed).then(|| {
        let (threads, all) = (cost.on_cpu / 1_000_000, cost.accounted / 1_000_000);
        let by = &cost.accounted_by;
        format!("threads account for {threads} ms of CPU time and their {by} for {all} ms")
    })
}

#[cfg(test)]
mod tests;
