//! What a person sees: one line after each run, one table at the end.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::experiment::Experiment;
use crate::record::{Campaign, Run};
use crate::report::shortness;
use crate::report::summary::{Row, Summary, baseline, cpu_us};
use crate::statistics::ROUNDS_SURE;

/// Where a campaign stands.
#[derive(Debug)]
pub(super) struct Progress {
    began: Instant,
    runs: usize,
}

impl Progress {
    /// Of an experiment with so many pairs of cell and subject.
    pub(super) fn new(experiment: &Experiment, pairs: usize) -> Self {
        Self {
            began: Instant::now(),
            runs: pairs * 2 * experiment.rounds as usize,
        }
    }

    /// About the last run.
    pub(super) fn line(&self, campaign: &Campaign) -> String {
        let Some(run) = campaign.runs.last() else {
            return String::new();
        };
        let done = campaign.runs.len();
        let left = self.began.elapsed() * self.runs.saturating_sub(done) as u32 / done as u32;
        let verdict = match run.void.as_str() {
            "" => format!(
                "{:>9.2} µs/request{}",
                cpu_us(run).unwrap_or(0.0),
                so_far(campaign, run)
            ),
            why => format!("     void: {why}"),
        };
        format!(
            "round {}/{}  {:<24} {:<16} {verdict}  ({} left)",
            run.round + 1,
            campaign.rounds,
            campaign.cells[run.cell].name,
            campaign.subjects[run.subject].name,
            clock(left)
        )
    }
}

/// `m:ss`.
fn clock(length: Duration) -> String {
    let seconds = length.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// The ratio of both figures so far, whether their rounds are whole or not.
fn so_far(campaign: &Campaign, run: &Run) -> String {
    let mean = |subject: usize| {
        let all = campaign.runs.iter();
        let own = all.filter(|other| (other.cell, other.subject) == (run.cell, subject));
        let values = own.filter(|run| run.void.is_empty()).filter_map(cpu_us);
        let values: Vec<f64> = values.collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    let other = baseline(campaign).filter(|baseline| *baseline != run.subject);
    let ratio = other.map(|other| mean(run.subject) / mean(other));
    match ratio.filter(|ratio| ratio.is_finite()) {
        Some(ratio) => format!("  {ratio:.2} × {}", campaign.baseline),
        None => String::new(),
    }
}

/// Every cell with every subject: CPU time per request, ratio, and what else counts.
pub fn table(campaign: &Campaign) -> String {
    let summary = Summary::of(campaign);
    let mut text = format!(
        "{}: {} rounds of 2 x {:.1} s, layout {}, ratios to {}\n\
         low to high: 95 % interval of the median, with fewer than {ROUNDS_SURE} rounds their \
         range\n",
        campaign.name,
        campaign.rounds,
        campaign.window as f64 / 1e9,
        campaign.layout,
        campaign.baseline
    );
    if let Some(short) = shortness::of(campaign) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{short}");
    }
    for (at, cell) in campaign.cells.iter().enumerate() {
        let rate = match cell.rate {
            0 => String::new(),
            rate => format!(", {rate} requests/s"),
        };
        let connections = cell.connections;
        let _ = writeln!(
            text,
            "\n{} ({connections} connections{rate})\n{HEAD}",
            cell.name
        );
        for row in summary.cell(at).filter(|row| row.valid + row.void > 0) {
            let name = &campaign.subjects[row.subject].name;
            let _ = writeln!(text, "  {name:<18}{}", columns(campaign, row));
        }
    }
    text
}

const HEAD: &str = "  subject             µs/request  ratio (MAD)      low to high      \
                    requests/s  p99 ms  conn/req  KiB/conn  void";

fn columns(campaign: &Campaign, row: &Row) -> String {
    let Some(cpu) = row.cpu else {
        let mut runs = campaign.runs.iter();
        let own = |run: &&Run| (run.cell, run.subject) == (row.cell, row.subject);
        let void = runs.find(|run| own(run) && !run.void.is_empty());
        let why = void.map_or("", |run| run.void.as_str());
        return format!("{:>12}  void: {why}", "-");
    };
    let p99 = row
        .latency
        .as_ref()
        .map_or(0, |all| all.value_at_percentile(99.0));
    format!(
        "{:>12.2}  {}{:>11.0}{:>8.2}{:>10.4}{:>10.2}{:>6}",
        cpu.median,
        ratio(row),
        row.throughput,
        p99 as f64 / 1e6,
        row.connects_per_request,
        row.kib_per_connection.unwrap_or(0.0),
        row.void,
    )
}

/// Ratio, deviation and interval in columns of their own width.
fn ratio(row: &Row) -> String {
    let Some(estimate) = row.ratio else {
        return format!("{:<32}", "-");
    };
    let interval = estimate.interval.map_or("-".to_owned(), |(low, high)| {
        format!("{low:.3} to {high:.3}")
    });
    let middle = format!("{:.3} ({:.3})", estimate.median, estimate.mad);
    format!("{middle:<17}{interval:<15}")
}
