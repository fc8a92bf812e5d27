//! A campaign on its way: round by round, cell by cell, there and back.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use penstock_core::chance::Chance;

use super::folder::{Folder, advise};
use super::once::{Once, measure};
use super::place::Place;
use super::progress::Progress;
use super::{Options, lineup, rules};
use crate::cpu::now;
use crate::experiment::{Cell, Experiment};
use crate::machine;
use crate::record::{Campaign, Run};
use crate::report;
use crate::statistics::shuffle;
use crate::subject::find::Found;

/// A campaign on its way.
pub(super) struct Bench<'a> {
    pub(super) experiment: &'a Experiment,
    stop: &'a AtomicBool,
    pub(super) subjects: Vec<Found>,
    place: Place,
    pub(super) folder: Folder,
    pub(super) campaign: Campaign,
    /// Runs that are void through the subject's fault: cell, subject, reason.
    faults: Vec<(usize, usize, String)>,
    /// Cells and subjects whose last run did not reach the rate of the file.
    missed: Vec<(usize, usize)>,
}

impl<'a> Bench<'a> {
    pub(super) fn new(
        experiment: &'a Experiment,
        options: &Options,
        stop: &'a AtomicBool,
    ) -> io::Result<Self> {
        crate::net::raise_descriptor_limit();
        let place = Place::of(experiment.layout)?;
        let (subjects, skipped) = lineup::find_all(experiment);
        let id = uuid::Uuid::new_v4().to_string();
        let cells = &experiment.cells;
        let campaign = Campaign {
            name: experiment.name.clone(),
            about: experiment.about.clone(),
            experiment: experiment.text.clone(),
            command: options.command.clone(),
            started: now(),
            seed: experiment.seed,
            environment: machine::environment(),
            layout: experiment.layout.name().to_owned(),
            rounds: experiment.rounds,
            warm_up: experiment.warm_up.as_nanos() as u64,
            window: experiment.window.as_nanos() as u64,
            cells: cells.iter().map(|cell| cell.record(0)).collect(),
            subjects: subjects.iter().map(|found| found.record(cells)).collect(),
            baseline: lineup::baseline(experiment, &subjects)?,
            skipped,
            id: id.clone(),
            ..Campaign::default()
        };
        Ok(Self {
            folder: Folder::create(&options.results, &id)?,
            experiment,
            stop,
            subjects,
            place,
            campaign,
            faults: Vec::new(),
            missed: Vec::new(),
        })
    }

    pub(super) fn run(&mut self, say: &mut dyn FnMut(&str)) -> io::Result<()> {
        let pairs = lineup::pairs(self.experiment, &self.subjects);
        if pairs.is_empty() {
            return Err(io::Error::other(
                "no subject is left that could be measured",
            ));
        }
        self.folder.keep(&self.campaign)?;
        self.calibrate(&pairs, say)?;
        let progress = Progress::new(self.experiment, pairs.len());
        let mut chance = Chance::new(self.experiment.seed);
        for round in 0..self.experiment.rounds {
            for cell in 0..self.experiment.cells.len() {
                let mut order: Vec<usize> = lineup::of_cell(&pairs, cell);
                shuffle(&mut chance, &mut order);
                let back: Vec<usize> = order.iter().rev().copied().collect();
                for (subjects, backwards) in [(order, false), (back, true)] {
                    for subject in subjects {
                        let run = self.once(cell, subject)?;
                        let run = Run {
                            round,
                            backwards,
                            ..run
                        };
                        self.folder.append(&run)?;
                        self.campaign.runs.push(run);
                        say(&progress.line(&self.campaign));
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn setup<'b>(
        &'b self,
        cell: &'b Cell,
        found: &'b Found,
        rate: u64,
    ) -> io::Result<Once<'b>> {
        Ok(Once {
            cell,
            found,
            rate,
            place: match cell.layout {
                Some(layout) => Place::of(layout)?,
                None => self.place,
            },
            warm_up: self.experiment.warm_up,
            window: self.experiment.window,
            seed: self.experiment.seed,
            folder: self.folder.path(),
            stop: self.stop,
        })
    }

    /// One run, judged by the rules.
    fn once(&mut self, cell: usize, subject: usize) -> io::Result<Run> {
        let rate = self.campaign.cells[cell].rate;
        let workload = &self.experiment.cells[cell];
        let once = self.setup(workload, &self.subjects[subject], rate)?;
        let place = once.place;
        let measured = measure(&once).map_err(|error| {
            let (cell, kind) = (&workload.name, error.kind());
            io::Error::new(kind, format!("cell `{cell}`: {error}"))
        })?;
        let verdict = rules::judge(workload, &self.subjects[subject], rate, &measured);
        let had_missed = self.missed.contains(&(cell, subject));
        self.missed.retain(|pair| *pair != (cell, subject));
        let void = match verdict {
            None => String::new(),
            Some(rules::Void::Unreached(why)) => {
                // Once may be the machine; twice in a row is the file.
                if had_missed {
                    return Err(io::Error::other(why));
                }
                self.missed.push((cell, subject));
                why
            }
            Some(rules::Void::Fault(why)) => {
                self.faults.push((cell, subject, why.clone()));
                why
            }
            Some(rules::Void::Noise(why)) => why,
        };
        Ok(Run {
            id: uuid::Uuid::new_v4().to_string(),
            cell,
            subject,
            void,
            started: measured.started,
            ended: measured.ended,
            load: measured.load,
            cost: measured.cost,
            series: measured.series,
            cpus: place.cpus(),
            ..Run::default()
        })
    }

    /// One line for each pair with a run that is void through the subject's fault.
    pub(super) fn failed(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut pairs: Vec<(usize, usize)> = Vec::new();
        for (cell, subject, why) in &self.faults {
            let pair = (*cell, *subject);
            if pairs.contains(&pair) {
                continue;
            }
            pairs.push(pair);
            let all = self.campaign.runs.iter();
            let all = all.filter(|run| (run.cell, run.subject) == pair).count();
            let void = self
                .faults
                .iter()
                .filter(|(cell, subject, _)| (*cell, *subject) == pair)
                .count();
            let names = (
                &self.campaign.subjects[*subject].name,
                &self.campaign.cells[*cell].name,
            );
            lines.push(format!(
                "{} under {}: {void} of {all} runs are void: {why}",
                names.0, names.1
            ));
        }
        lines.extend(self.missed.iter().filter_map(|pair| self.unreached(*pair)));
        lines
    }

    /// Of a pair whose last run missed the rate of the file, and of which no run counts.
    fn unreached(&self, pair: (usize, usize)) -> Option<String> {
        let own = self.campaign.runs.iter();
        let mut own = own.filter(|run| (run.cell, run.subject) == pair);
        let last = own.clone().next_back()?;
        let none = own.all(|run| !run.void.is_empty());
        none.then(|| format!("no run reached the rate of the file: {}", last.void))
    }

    /// Report and final name.
    pub(super) fn conclude(mut self) -> io::Result<PathBuf> {
        self.campaign.ended = now();
        self.campaign.complete = true;
        report::write(&self.campaign, self.folder.path()).map_err(advise)?;
        self.folder.finish(&self.campaign)
    }

    /// Keeps what there is. What cannot be kept is lost: the first error is the one to tell.
    pub(super) fn give_up(&mut self) -> PathBuf {
        self.campaign.ended = now();
        let _ = self.folder.keep(&self.campaign);
        self.folder.path().to_path_buf()
    }
}
