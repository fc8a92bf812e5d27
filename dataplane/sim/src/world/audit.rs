//! The books: what must hold after every turn, and what must be left when all is over (nothing).

use std::sync::Arc;

use penstock_core::event::Time;
use penstock_core::machine::Machine;
use penstock_core::stats::{
    Cell, ClusterCounters, Kind, ListenerCounters, WorkerCounters, WorkerIndex,
};

use super::World;
use crate::client::Client;
use crate::ledger::Outcome;
use crate::vandal::Vandal;

impl<M: Machine> World<'_, M> {
    /// After every turn.
    pub(super) fn after_turn(&mut self, offered: &[u32]) {
        for &incoming in offered {
            if self.driver.unanswered(incoming) {
                self.net
                    .violation(format!("client {incoming} was neither adopted nor refused"));
            }
        }
        let pool = self.machine.buffers();
        let (in_use, limit) = (pool.in_use(), pool.limit());
        if in_use > limit || in_use < self.driver.buffers_held {
            let held = self.driver.buffers_held;
            self.net.violation(format!(
                "{in_use} buffers in use of {limit}, {held} with the driver"
            ));
        }
        let inside = in_use.saturating_sub(self.driver.buffers_held);
        if std::mem::replace(&mut self.buffers_inside, inside) != inside {
            self.net.mark(&[4, inside as u64], || {
                format!("  = {inside} buffers in the machine, {in_use} of {limit} in use")
            });
        }
        let mut lines = 0;
        self.machine.take_log(&mut |_, _| lines += 1);
        self.log_lines += lines;
        if self.machine.log_pending() {
            self.net.violation("log lines are left behind".to_owned());
        }
    }

    /// When all is over.
    pub(super) fn audit(&mut self) {
        let mut findings = Vec::new();
        self.audit_people(&mut findings);
        self.audit_machine(&mut findings);
        self.audit_counters(&mut findings);
        if let Some(finding) = findings.into_iter().next() {
            self.net.violation(format!("at the end: {finding}"));
        }
    }

    fn audit_people(&self, findings: &mut Vec<String>) {
        for client in self
            .clients
            .iter()
            .filter(|client| !Client::is_done(client))
        {
            findings.push(client.state());
        }
        for vandal in self
            .vandals
            .iter()
            .filter(|vandal| !Vandal::is_done(vandal))
        {
            findings.push(vandal.state());
        }
        for (id, entry) in self.ledger.entries() {
            let fine = match entry.outcome {
                Outcome::Answered => true,
                Outcome::Declined(_) | Outcome::Cut => self.ledger.excused(id),
                Outcome::Abandoned => true,
                Outcome::Unserved => self.ledger.tolerance.refusals,
                Outcome::Waiting => false,
            };
            if !fine {
                findings.push(format!("request {id} is {:?}", entry.outcome));
            }
        }
    }

    fn audit_machine(&mut self, findings: &mut Vec<String>) {
        let open = self.driver.open_count();
        if open > 0 {
            findings.push(format!("{open} connections are open"));
        }
        let in_use = self.machine.buffers().in_use();
        if in_use > 0 {
            findings.push(format!("{in_use} buffers are not back"));
        }
        if self.machine.poll_timeout() != Time::NEVER {
            findings.push("a timer is armed".to_owned());
        }
        if !self.machine.is_drained() {
            findings.push("the machine is not drained".to_owned());
        }
        let last = self.snapshots.len().saturating_sub(1);
        for snapshot in &self.snapshots[..last] {
            if Arc::strong_count(snapshot) > 1 {
                findings.push(format!(
                    "configuration {} is still held",
                    snapshot.generation
                ));
            }
        }
        for (index, budget) in self.configurator.budgets.iter().enumerate() {
            if budget.used() > 0 {
                findings.push(format!(
                    "listener {index} counts {} connections",
                    budget.used()
                ));
            }
        }
        for (index, breakers) in self.configurator.breakers.iter().enumerate() {
            for shared in [&breakers.default, &breakers.high] {
                for budget in [&shared.connections, &shared.pending, &shared.requests] {
                    // A worker may keep a block of a large budget in reserve; small ones are exact.
                    if budget.taken() > budget.ceiling() / 8 {
                        findings.push(format!(
                            "a breaker of cluster {index} holds {}",
                            budget.taken()
                        ));
                    }
                }
            }
        }
    }

    fn audit_counters(&self, findings: &mut Vec<String>) {
        let only = WorkerIndex(0);
        for stats in &self.configurator.listener_stats {
            gauges(ListenerCounters::CELLS, &stats.of(only).counters, findings);
        }
        for stats in &self.configurator.cluster_stats {
            gauges(ClusterCounters::CELLS, &stats.of(only).counters, findings);
        }
        gauges(
            WorkerCounters::CELLS,
            &self.worker_stats.of(only).counters,
            findings,
        );
        let heads: u64 = self
            .configurator
            .listener_stats
            .iter()
            .map(|stats| stats.of(only).counters.requests.value())
            .sum();
        if heads != self.log_lines {
            findings.push(format!("{heads} requests, {} log lines", self.log_lines));
        }
    }
}

/// Every gauge must be back at zero.
fn gauges<F>(cells: &[Cell<F>], family: &F, findings: &mut Vec<String>) {
    for cell in cells.iter().filter(|cell| cell.kind == Kind::Gauge) {
        let value = (cell.read)(family);
        if value != 0 {
            findings.push(format!("{} is {value}", cell.metric));
        }
    }
}
