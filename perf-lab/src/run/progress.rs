//! What a person sees: one line after each run, one table at the end.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::experiment::Experiment;
use crate::record::{Campaign, Run};
use crate::statistics::Estimate;

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
            "" => format!("{:>9.2} µs/request{}", micros(run), so_far(campaign, run)),
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
    let baseline = index_of_baseline(campaign);
    let mean = |subject: usize| {
        let all = campaign.runs.iter();
        let own = all.filter(|other| (other.cell, other.subject) == (run.cell, subject));
        let values: Vec<f64> = own.filter(|run| run.void.is_empty()).map(micros).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    match baseline {
        Some(baseline) if baseline != run.subject => {
            let ratio = mean(run.subject) / mean(baseline);
            match ratio.is_finite() {
                true => format!("  {ratio:.2} × {}", campaign.baseline),
                false => String::new(),
            }
        }
        _ => String::new(),
    }
}

/// Every cell with every subject: CPU time per request, ratio, and what else counts.
pub fn table(campaign: &Campaign) -> String {
    let mut text = format!(
        "{}: {} rounds of 2 x {:.1} s, layout {}, ratios to {}\n",
        campaign.name,
        campaign.rounds,
        campaign.window as f64 / 1e9,
        campaign.layout,
        campaign.baseline
    );
    for (at, cell) in campaign.cells.iter().enumerate() {
        let rate = match cell.rate {
            0 => String::new(),
            rate => format!(", {rate} requests/s"),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "\n{} ({} connections{rate})\n{HEAD}",
            cell.name, cell.connections
        );
        for (subject, named) in campaign.subjects.iter().enumerate() {
            if let Some(row) = row(campaign, at, subject) {
                let _ = writeln!(text, "  {:<18}{row}", named.name);
            }
        }
    }
    text
}

const HEAD: &str = "  subject             µs/request  ratio (MAD)      95 % interval    requests/s  \
                    p99 ms  conn/req  KiB/conn  void";

/// `None` if the pair never ran.
fn row(campaign: &Campaign, cell: usize, subject: usize) -> Option<String> {
    let all = campaign.runs.iter();
    let own: Vec<&Run> = all
        .filter(|run| (run.cell, run.subject) == (cell, subject))
        .collect();
    let valid: Vec<&Run> = own
        .iter()
        .copied()
        .filter(|run| run.void.is_empty())
        .collect();
    if own.is_empty() {
        return None;
    }
    let void = own.len() - valid.len();
    let Some(cost) = per_round(campaign, cell, subject) else {
        return Some(format!(
            "{:>12}  {}",
            "-",
            own.iter().find_map(|run| reason(run))?
        ));
    };
    let middle = |value: &dyn Fn(&Run) -> f64| {
        let values: Vec<f64> = valid.iter().map(|run| value(run)).collect();
        Estimate::of(&values).map_or(0.0, |estimate| estimate.median)
    };
    let open = campaign.cells[cell].connections + campaign.cells[cell].idle;
    let memory = |run: &Run| {
        let grown = run.cost.resident.saturating_sub(run.cost.resident_before);
        grown as f64 / 1024.0 / f64::from(open)
    };
    Some(format!(
        "{:>12.2}  {}{:>11.0}{:>8.2}{:>10.4}{:>10.2}{void:>6}",
        cost.median,
        ratio(campaign, cell, subject),
        middle(&|run| run.load.answered as f64 * 1e9 / (run.ended - run.started).max(1) as f64),
        middle(&|run| p99(run) as f64 / 1e6),
        middle(&|run| run.load.origin_connects as f64 / run.load.origin_requests.max(1) as f64),
        middle(&memory),
    ))
}

fn reason(run: &Run) -> Option<String> {
    (!run.void.is_empty()).then(|| format!("void: {}", run.void))
}

/// Ratio, deviation and interval in columns of their own width.
fn ratio(campaign: &Campaign, cell: usize, subject: usize) -> String {
    let baseline = index_of_baseline(campaign);
    let ratios = baseline.map(|baseline| ratios(campaign, cell, [subject, baseline]));
    let Some(estimate) = ratios.and_then(|ratios| Estimate::of(&ratios)) else {
        return format!("{:<32}", "-");
    };
    let interval = estimate.interval.map_or("-".to_owned(), |(low, high)| {
        format!("{low:.3} to {high:.3}")
    });
    let middle = format!("{:.3} ({:.3})", estimate.median, estimate.mad);
    format!("{middle:<17}{interval:<15}")
}

fn per_round(campaign: &Campaign, cell: usize, subject: usize) -> Option<Estimate> {
    let rounds = 0..campaign.rounds;
    let values: Vec<f64> = rounds
        .filter_map(|round| of_round(campaign, [cell, subject], round))
        .collect();
    Estimate::of(&values)
}

fn ratios(campaign: &Campaign, cell: usize, [subject, other]: [usize; 2]) -> Vec<f64> {
    let of = |subject, round| of_round(campaign, [cell, subject], round);
    let ratio = |round| Some(of(subject, round)? / of(other, round)?);
    (0..campaign.rounds).filter_map(ratio).collect()
}

/// Mean of both runs of a round; `None` if one is void or missing.
fn of_round(campaign: &Campaign, [cell, subject]: [usize; 2], round: u32) -> Option<f64> {
    let wanted = |run: &&Run| (run.cell, run.subject, run.round) == (cell, subject, round);
    let runs: Vec<&Run> = campaign.runs.iter().filter(wanted).collect();
    let counts = runs.len() == 2 && runs.iter().all(|run| run.void.is_empty());
    counts.then(|| f64::midpoint(micros(runs[0]), micros(runs[1])))
}

fn index_of_baseline(campaign: &Campaign) -> Option<usize> {
    let mut subjects = campaign.subjects.iter();
    subjects.position(|subject| subject.name == campaign.baseline)
}

fn micros(run: &Run) -> f64 {
    run.cost.on_cpu as f64 / 1_000.0 / run.load.answered.max(1) as f64
}

/// From the intended time where there was one.
fn p99(run: &Run) -> u64 {
    let latency = match run.load.corrected.count {
        0 => &run.load.service,
        _ => &run.load.corrected,
    };
    let mut all = latency.percentiles.iter();
    all.find(|(percentile, _)| *percentile == 99.0)
        .map_or(0, |(_, value)| *value)
}
