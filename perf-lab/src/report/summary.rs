//! The figures of a campaign: for each workload and subject what tables and pages show.
//!
//! Void runs count nowhere, and a round in which a subject has a void run has no figure of that
//! subject: one half of a round would let drift through. Percentiles are of all values together.

use hdrhistogram::Histogram;

use super::histogram;
use crate::record::{Campaign, Latency, Run, Subject};
use crate::statistics::{Estimate, Verdict, median};

/// The figures of a campaign, in the order of its cells and subjects.
#[derive(Clone, Debug)]
pub struct Summary {
    /// One row for each subject in each cell, cell by cell.
    pub rows: Vec<Row>,
    /// How far equal things lay apart.
    pub noise: Noise,
}

/// One subject under one workload.
#[derive(Clone, Debug)]
pub struct Row {
    /// Index of the cell.
    pub cell: usize,
    /// Index of the subject.
    pub subject: usize,
    /// Runs that count.
    pub valid: usize,
    /// Runs that do not.
    pub void: usize,
    /// CPU time per request in microseconds, one value for each round.
    pub cpu: Option<Estimate>,
    /// CPU time per request as a multiple of the baseline's, one value for each round.
    pub ratio: Option<Estimate>,
    /// Correct answers per second, median of the runs.
    pub throughput: f64,
    /// Latency of all valid runs in nanoseconds.
    pub latency: Option<Histogram<u64>>,
    /// Memory for each connection in KiB, median of the runs.
    pub kib_per_connection: Option<f64>,
    /// Context switches for each request, median of the runs.
    pub switches_per_request: Option<f64>,
    /// Connections to the origin for each request, median of the runs.
    pub connects_per_request: f64,
    /// Greatest share of the machine that the hypervisor took in a run, in per cent.
    pub steal: f64,
}

/// How far equal things lay apart.
#[derive(Clone, PartialEq, Debug)]
pub struct Noise {
    /// As a share of the figure.
    pub spread: f64,
    /// Where it was seen, for people.
    pub seen: String,
}

impl Summary {
    /// The figures of a campaign.
    #[must_use]
    pub fn of(campaign: &Campaign) -> Self {
        let subjects = 0..campaign.subjects.len();
        let rows = (0..campaign.cells.len())
            .flat_map(|cell| subjects.clone().map(move |subject| (cell, subject)))
            .map(|(cell, subject)| row(campaign, cell, subject))
            .collect();
        Self {
            rows,
            noise: noise(campaign),
        }
    }

    /// What a ratio says here: a difference that equal things show as well is none.
    #[must_use]
    pub fn verdict(&self, ratio: &Estimate) -> Verdict {
        let within = (ratio.median - 1.0).abs() <= self.noise.spread;
        match ratio.verdict() {
            Verdict::Less | Verdict::More if within => Verdict::NoDifference,
            verdict => verdict,
        }
    }

    /// The rows of one cell.
    pub fn cell(&self, cell: usize) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.cell == cell)
    }
}

/// Index of the subject that ratios are taken to.
#[must_use]
pub fn baseline(campaign: &Campaign) -> Option<usize> {
    let named = |subject: &Subject| subject.name == campaign.baseline;
    campaign.subjects.iter().position(named)
}

/// CPU time of one run for each correct answer, in microseconds; `None` if there is no such thing.
#[must_use]
pub fn cpu_us(run: &Run) -> Option<f64> {
    let measured = run.cost.on_cpu > 0 && run.load.answered > 0;
    measured.then(|| run.cost.on_cpu as f64 / run.load.answered as f64 / 1_000.0)
}

/// Correct answers per second of one run.
#[must_use]
pub fn throughput(run: &Run) -> f64 {
    let seconds = run.ended.saturating_sub(run.started) as f64 / 1e9;
    if seconds > 0.0 {
        run.load.answered as f64 / seconds
    } else {
        0.0
    }
}

/// The latency that a run is judged by: corrected if a rate was offered, else service time.
#[must_use]
pub fn latency(run: &Run) -> &Latency {
    if run.load.corrected.count > 0 {
        &run.load.corrected
    } else {
        &run.load.service
    }
}

/// The latencies of all runs of a subject that count, together; `None` if there is none.
pub(super) fn latency_of(
    campaign: &Campaign,
    cell: usize,
    subject: usize,
) -> Option<Histogram<u64>> {
    let valid = of(campaign, cell, subject).filter(|run| run.void.is_empty());
    histogram::merge(valid.map(latency))
}

/// The ratio of two subjects in each round in which both were measured without a fault.
#[must_use]
pub fn ratios(campaign: &Campaign, cell: usize, subject: usize, to: usize) -> Vec<f64> {
    let both = |round| {
        let own = round_cpu(campaign, cell, subject, round)?;
        let base = round_cpu(campaign, cell, to, round)?;
        Some(own / base)
    };
    (0..campaign.rounds).filter_map(both).collect()
}

/// Mean CPU time per request of all runs of a round; `None` if one of them is void or missing.
fn round_cpu(campaign: &Campaign, cell: usize, subject: usize, round: u32) -> Option<f64> {
    let runs = of(campaign, cell, subject).filter(|run| run.round == round);
    let values: Option<Vec<f64>> = runs
        .map(|run| run.void.is_empty().then(|| cpu_us(run)).flatten())
        .collect();
    let values = values.filter(|values| !values.is_empty())?;
    Some(values.iter().sum::<f64>() / values.len() as f64)
}

fn of(campaign: &Campaign, cell: usize, subject: usize) -> impl Iterator<Item = &Run> {
    let runs = campaign.runs.iter();
    runs.filter(move |run| run.cell == cell && run.subject == subject)
}

fn row(campaign: &Campaign, cell: usize, subject: usize) -> Row {
    let valid: Vec<&Run> = of(campaign, cell, subject)
        .filter(|run| run.void.is_empty())
        .collect();
    let rounds = 0..campaign.rounds;
    let cpu: Vec<f64> = rounds
        .filter_map(|round| round_cpu(campaign, cell, subject, round))
        .collect();
    let ratio = baseline(campaign).map(|to| ratios(campaign, cell, subject, to));
    let open = campaign.cells[cell].connections + campaign.cells[cell].idle;
    Row {
        cell,
        subject,
        valid: valid.len(),
        void: of(campaign, cell, subject).count() - valid.len(),
        cpu: Estimate::of(&cpu),
        ratio: ratio.and_then(|ratio| Estimate::of(&ratio)),
        throughput: middle(&valid, |run| Some(throughput(run))).unwrap_or(0.0),
        latency: latency_of(campaign, cell, subject),
        kib_per_connection: match campaign.subjects[subject].product.as_str() {
            // What grows there is the load itself.
            "direct" => None,
            _ => middle(&valid, |run| kib_per_connection(run, open)),
        },
        switches_per_request: middle(&valid, switches_per_request),
        connects_per_request: middle(&valid, connects_per_request).unwrap_or(0.0),
        steal: valid.iter().map(|run| run.cost.steal).fold(0.0, f64::max),
    }
}

/// The median of what the runs have.
fn middle(runs: &[&Run], value: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
    let values: Vec<f64> = runs.iter().filter_map(|run| value(run)).collect();
    (!values.is_empty()).then(|| median(&values))
}

/// Growth of resident memory for each open connection; a subject without a process has none.
pub(super) fn kib_per_connection(run: &Run, open: u32) -> Option<f64> {
    let grown = run.cost.resident.saturating_sub(run.cost.resident_before);
    let measured = run.cost.resident > 0 && open > 0;
    measured.then(|| grown as f64 / 1024.0 / f64::from(open))
}

/// Context switches for each correct answer; a subject without a process has none, and a thread
/// that ended took its own along.
pub(super) fn switches_per_request(run: &Run) -> Option<f64> {
    let switches = run.cost.switches_voluntary + run.cost.switches_involuntary;
    let measured = run.cost.threads > 0 && run.cost.ended == 0 && run.load.answered > 0;
    measured.then(|| switches as f64 / run.load.answered as f64)
}

fn connects_per_request(run: &Run) -> Option<f64> {
    let answered = run.load.answered;
    (answered > 0).then(|| run.load.origin_connects as f64 / answered as f64)
}

/// The spread of an A/A pair if the experiment has one, else of the two halves of the rounds.
fn noise(campaign: &Campaign) -> Noise {
    if let Some((first, second)) = equal_subjects(campaign) {
        let cells = 0..campaign.cells.len();
        let ratios = cells.map(|cell| ratios(campaign, cell, second, first));
        let estimates = ratios.filter_map(|ratios| Estimate::of(&ratios));
        let names = [first, second].map(|at| campaign.subjects[at].name.as_str());
        return Noise {
            spread: estimates
                .map(|estimate| reach(&estimate))
                .fold(0.0, f64::max),
            seen: format!("A/A: {} against {}", names[1], names[0]),
        };
    }
    Noise {
        spread: median(&halves(campaign)),
        seen: "the two runs of one subject in one round".to_owned(),
    }
}

/// How far from 1 the ratio of equal things may lie.
fn reach(estimate: &Estimate) -> f64 {
    let (low, high) = estimate
        .interval
        .unwrap_or((estimate.median, estimate.median));
    (low - 1.0).abs().max((high - 1.0).abs())
}

/// Two subjects that differ in nothing but their names.
fn equal_subjects(campaign: &Campaign) -> Option<(usize, usize)> {
    let nameless = |subject: &Subject| Subject {
        name: String::new(),
        ..subject.clone()
    };
    let subjects = &campaign.subjects;
    (0..subjects.len()).find_map(|first| {
        let second = (first + 1..subjects.len())
            .find(|second| nameless(&subjects[first]) == nameless(&subjects[*second]))?;
        Some((first, second))
    })
}

/// How far the way there and the way back of each round lay apart, as shares.
fn halves(campaign: &Campaign) -> Vec<f64> {
    let valid = |run: &&Run| run.void.is_empty();
    let back = |there: &Run| {
        let same = |run: &&Run| {
            run.backwards && (run.cell, run.subject, run.round) == key(there) && valid(run)
        };
        cpu_us(campaign.runs.iter().find(same)?)
    };
    let there = campaign.runs.iter().filter(|run| !run.backwards);
    there
        .filter(valid)
        .filter_map(|run| Some((cpu_us(run)? / back(run)? - 1.0).abs()))
        .collect()
}

fn key(run: &Run) -> (usize, usize, u32) {
    (run.cell, run.subject, run.round)
}
