//! Two campaigns side by side: what changed beyond the noise, and what cannot be compared.
//!
//! Absolute figures of two runs say nothing about each other; what is compared are ratios to the
//! same baseline, each taken within its own campaign. A ratio changed if the two intervals share
//! no value and the difference is greater than what equal things show in either campaign. What is
//! in one campaign only is said, never left out.

mod page;
mod text;

use crate::record::{Campaign, Cell, Subject};
use crate::report::page::words;
use crate::report::shortness;
use crate::report::summary::{Noise, Summary, ratios};
use crate::statistics::Estimate;

/// Two campaigns side by side: the earlier one is `a`.
#[derive(Clone, Debug)]
pub struct Comparison<'a> {
    a: &'a Campaign,
    b: &'a Campaign,
    /// Name of the subject that all ratios are taken to.
    baseline: &'a str,
    /// Spread of equal things, the greater of both campaigns.
    noise: Noise,
    /// What a reader must know before the table, one sentence each.
    pub notes: Vec<String>,
    /// One row for each subject in each cell that both have.
    pub changes: Vec<Change<'a>>,
}

/// One subject under one workload, in both campaigns.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    /// Name of the workload.
    pub cell: &'a str,
    /// Name of the subject.
    pub subject: &'a str,
    /// CPU per request as a multiple of the baseline's, in the first campaign.
    pub a: Option<Estimate>,
    /// The same in the second one.
    pub b: Option<Estimate>,
    /// What became of it.
    pub state: State,
}

/// What became of a ratio.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Less CPU than before, beyond the noise.
    Less,
    /// More CPU than before, beyond the noise.
    More,
    /// No difference that could not be chance.
    Same,
    /// Too few rounds in one of them to say.
    Unknown,
    /// No valid figure in one of them.
    Missing,
}

impl State {
    /// In one or two words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            State::Less => "less",
            State::More => "MORE",
            State::Same => "same",
            State::Unknown => "too few rounds",
            State::Missing => "not measured",
        }
    }
}

impl<'a> Comparison<'a> {
    /// Compares two campaigns.
    ///
    /// # Errors
    /// If no subject can be the baseline of both, or they have no workload in common.
    pub fn of(a: &'a Campaign, b: &'a Campaign) -> Result<Self, String> {
        let baseline = [a, b]
            .iter()
            .map(|campaign| campaign.baseline.as_str())
            .find(|name| subject(a, name).is_some() && subject(b, name).is_some())
            .ok_or_else(|| {
                format!(
                    "{} and {} have no baseline in common: run both with the same one",
                    a.baseline, b.baseline
                )
            })?;
        let noise = greater(Summary::of(a).noise, Summary::of(b).noise);
        let mut comparison = Self {
            a,
            b,
            baseline,
            notes: notes(a, b, baseline),
            changes: Vec::new(),
            noise,
        };
        comparison.changes = comparison.rows();
        if comparison.changes.is_empty() {
            return Err("they have no workload in common that both subjects ran".to_owned());
        }
        Ok(comparison)
    }

    /// A table for the terminal.
    #[must_use]
    pub fn text(&self) -> String {
        text::of(self)
    }

    /// A page that opens without a network.
    #[must_use]
    pub fn page(&self) -> String {
        page::of(self)
    }

    fn rows(&self) -> Vec<Change<'a>> {
        let mut rows = Vec::new();
        for (at, cell) in self.a.cells.iter().enumerate() {
            let Some(other) = self.b.cells.iter().position(|other| is_same(other, cell)) else {
                continue;
            };
            for own in &self.a.subjects {
                let is_compared = own.product != "direct" && own.name != self.baseline;
                if is_compared && subject(self.b, &own.name).is_some() {
                    rows.push(self.row((at, other), own));
                }
            }
        }
        rows
    }

    fn row(&self, cells: (usize, usize), own: &'a Subject) -> Change<'a> {
        let estimate = |campaign, cell| {
            let (own, to) = (
                subject(campaign, &own.name)?,
                subject(campaign, self.baseline)?,
            );
            Estimate::of(&ratios(campaign, cell, own, to))
        };
        let (a, b) = (estimate(self.a, cells.0), estimate(self.b, cells.1));
        Change {
            cell: &self.a.cells[cells.0].name,
            subject: &own.name,
            a,
            b,
            state: state(a, b, self.noise.spread),
        }
    }
}

fn state(a: Option<Estimate>, b: Option<Estimate>, noise: f64) -> State {
    let (Some(a), Some(b)) = (a, b) else {
        return State::Missing;
    };
    if a.interval.is_none() || b.interval.is_none() {
        return State::Unknown;
    }
    let beyond = (b.median / a.median - 1.0).abs() > noise;
    match a.is_apart_from(&b) && beyond {
        true if b.median < a.median => State::Less,
        true => State::More,
        false => State::Same,
    }
}

fn greater(a: Noise, b: Noise) -> Noise {
    if a.spread >= b.spread { a } else { b }
}

/// Index of the subject of this name.
fn subject(campaign: &Campaign, name: &str) -> Option<usize> {
    let mut subjects = campaign.subjects.iter();
    subjects.position(|subject| subject.name == name)
}

/// Differences of the two that are no result.
fn notes(a: &Campaign, b: &Campaign, baseline: &str) -> Vec<String> {
    let mut notes = Vec::new();
    for (name, campaign) in [("A", a), ("B", b)] {
        if !campaign.complete {
            notes.push(format!(
                "{name} broke off: what it has is a part and no result."
            ));
        }
    }
    for (name, campaign) in [("A", a), ("B", b)] {
        let short = shortness::of(campaign);
        notes.extend(short.map(|short| format!("{name} is {short}.")));
    }
    notes.extend(places(a, b));
    notes.extend(cells(a, b));
    notes.extend(subjects(a, b, baseline));
    notes
}

fn places(a: &Campaign, b: &Campaign) -> Vec<String> {
    let facts = |campaign: &Campaign| {
        let place = &campaign.environment;
        let cpus = |cpus: u32| format!("{cpus} CPUs");
        [
            ("machine", place.host.clone()),
            ("CPU", place.cpu_model.clone()),
            ("number of CPUs", cpus(place.cpus)),
            ("memory", words::bytes(place.memory)),
            ("kernel", place.kernel.clone()),
            ("system", place.system.clone()),
            ("hypervisor", place.hypervisor.clone()),
            ("congestion control", place.congestion_control.clone()),
            ("version of perf-lab", place.version.clone()),
            ("layout", campaign.layout.clone()),
            ("window", words::length(campaign.window)),
            ("warm-up", words::length(campaign.warm_up)),
            ("number of rounds", campaign.rounds.to_string()),
        ]
    };
    let pairs = facts(a).into_iter().zip(facts(b));
    let pairs = pairs.map(|((name, a), (_, b))| (name, a, b));
    let differ = pairs.filter(|(_, a, b)| a != b);
    differ
        .map(|(name, a, b)| format!("Another {name}: {a} in A, {b} in B."))
        .collect()
}

/// True if the two ask for the same. A load that is a share of what the slowest subject can do has
/// another rate each time.
fn is_same(one: &Cell, other: &Cell) -> bool {
    let is_share = one.special.iter().any(|(name, _)| name == "load");
    let rate = if is_share { one.rate } else { other.rate };
    let other = Cell {
        rate,
        ..other.clone()
    };
    *one == other
}

fn cells(a: &Campaign, b: &Campaign) -> Vec<String> {
    let find = |campaign: &'_ Campaign, name: &str| -> Option<Cell> {
        campaign
            .cells
            .iter()
            .find(|cell| cell.name == name)
            .cloned()
    };
    let mut notes = Vec::new();
    for cell in &a.cells {
        match find(b, &cell.name) {
            None => notes.push(format!("Workload {} is in A only.", cell.name)),
            Some(other) if !is_same(&other, cell) => notes.push(format!(
                "Workload {} is not the same in both and is not compared.",
                cell.name
            )),
            Some(_) => {}
        }
    }
    let only = b.cells.iter().filter(|cell| find(a, &cell.name).is_none());
    notes.extend(only.map(|cell| format!("Workload {} is in B only.", cell.name)));
    notes
}

fn subjects(a: &Campaign, b: &Campaign, baseline: &str) -> Vec<String> {
    let mut notes = Vec::new();
    for own in &a.subjects {
        let Some(other) = subject(b, &own.name).map(|at| &b.subjects[at]) else {
            notes.push(absent(own, b, "A"));
            continue;
        };
        let is_baseline = own.name == baseline;
        if own.version != other.version {
            let (name, from, to) = (&own.name, &own.version, &other.version);
            let warning = if is_baseline {
                "; all ratios are taken to it"
            } else {
                ""
            };
            notes.push(format!("{name} is {from} in A and {to} in B{warning}."));
        }
        if configurations(own) != configurations(other) {
            notes.push(format!("{} has another configuration in B.", own.name));
        }
    }
    let only = b
        .subjects
        .iter()
        .filter(|other| subject(a, &other.name).is_none());
    notes.extend(only.map(|other| absent(other, a, "B")));
    notes
}

/// Every configuration of a subject.
fn configurations(subject: &Subject) -> Vec<&str> {
    let starts = subject
        .starts
        .iter()
        .map(|start| start.configuration.as_str());
    let mut all: Vec<&str> = [subject.configuration.as_str()]
        .into_iter()
        .chain(starts)
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// A subject is in one campaign only; the other one may say why.
fn absent(own: &Subject, elsewhere: &Campaign, present: &str) -> String {
    let skipped = elsewhere
        .skipped
        .iter()
        .find(|skipped| skipped.subject == own.name);
    match skipped {
        Some(skipped) => format!("{} is in {present} only: {}.", own.name, skipped.why),
        None => format!("{} is in {present} only.", own.name),
    }
}
