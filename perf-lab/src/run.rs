//! A campaign: every subject under every workload, interleaved round by round.
//!
//! ```text
//! experiment ─► find subjects ─► folder `ID.partial`
//!   each cell with a share: closed loop of each subject ─► rate
//!   each round ─► each cell ─► A B C … C B A in an order of its own ─► once ─► rules ─► record
//! all in ─► report ─► folder `ID`
//! ```
//!
//! One subject is alive at a time, a fresh process each time. A run that breaks a rule is void and
//! says why. A campaign that breaks off stays in a folder that is called `partial`, marked as
//! incomplete, so that nobody takes it for a whole one.

mod folder;
mod once;
mod place;
mod progress;
mod rules;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use penstock_core::chance::Chance;

use crate::cpu::now;
use crate::experiment::{CALIBRATION_MAX, Cell, Experiment, Offer};
use crate::machine;
use crate::record::{Campaign, Run, Skipped};
use crate::report;
use crate::statistics::shuffle;
use crate::subject::Kind;
use crate::subject::find::{Found, find};
use folder::Folder;
use once::{Once, measure};
use place::Place;
use progress::Progress;
pub use progress::table;

/// How a campaign is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder in which the folder of the campaign is made.
    pub results: PathBuf,
    /// The command, for the record.
    pub command: Vec<String>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Everything that was measured.
    pub campaign: Campaign,
    /// Where it lies.
    pub folder: PathBuf,
    /// Workloads and subjects with a run that is void because answers were wrong or went astray;
    /// each with the first reason.
    pub failed: Vec<String>,
}

/// Why a campaign broke off.
#[derive(Debug)]
pub enum Failure {
    /// Somebody asked for it.
    Interrupted {
        /// What was measured so far, if anything.
        partial: Option<PathBuf>,
    },
    /// Something went wrong.
    Broken {
        /// Cause and remedy.
        why: String,
        /// What was measured so far, if anything.
        partial: Option<PathBuf>,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let partial = match self {
            Failure::Interrupted { partial } => {
                f.write_str("interrupted")?;
                partial
            }
            Failure::Broken { why, partial } => {
                f.write_str(why)?;
                partial
            }
        };
        match partial {
            Some(partial) => write!(
                f,
                "\nWhat was measured so far is incomplete; it is in {}",
                partial.display()
            ),
            None => Ok(()),
        }
    }
}

/// Runs `experiment` from the first round to the report. `say` gets a line after each run and one
/// for each subject that is left out; `stop` ends it early.
///
/// # Errors
/// If it broke off; what was measured until then is kept beside the whole ones.
pub fn run(
    experiment: &Experiment,
    options: &Options,
    stop: &AtomicBool,
    say: &mut dyn FnMut(&str),
) -> Result<Outcome, Failure> {
    let broken = |why: String, partial| match stop.load(Relaxed) {
        true => Failure::Interrupted { partial },
        false => Failure::Broken { why, partial },
    };
    let mut bench =
        Bench::new(experiment, options, stop).map_err(|error| broken(error.to_string(), None))?;
    bench.campaign.skipped.iter().for_each(|skipped| {
        say(&format!("{} is left out: {}", skipped.subject, skipped.why));
    });
    let tree = &bench.campaign.environment.git_rev;
    let strangers = bench.subjects.iter();
    strangers
        .filter_map(|found| found.is_of_another_tree(tree))
        .for_each(|line| say(&line));
    if let Err(error) = bench.run(say) {
        let partial = bench.give_up();
        return Err(broken(error.to_string(), Some(partial)));
    }
    let failed = bench.failed();
    let partial = bench.folder.path().to_path_buf();
    let campaign = bench.campaign.clone();
    match bench.conclude() {
        Ok(folder) => Ok(Outcome {
            campaign,
            folder,
            failed,
        }),
        Err(error) => Err(broken(error.to_string(), Some(partial))),
    }
}

/// A campaign on its way.
struct Bench<'a> {
    experiment: &'a Experiment,
    stop: &'a AtomicBool,
    subjects: Vec<Found>,
    place: Place,
    folder: Folder,
    campaign: Campaign,
    /// Runs that are void through the subject's fault: cell, subject, reason.
    faults: Vec<(usize, usize, String)>,
    /// Cells and subjects whose last run did not reach the rate of the file.
    missed: Vec<(usize, usize)>,
}

impl<'a> Bench<'a> {
    fn new(
        experiment: &'a Experiment,
        options: &Options,
        stop: &'a AtomicBool,
    ) -> io::Result<Self> {
        crate::net::raise_descriptor_limit();
        let place = Place::of(experiment.layout)?;
        let (subjects, skipped) = find_all(experiment);
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
            baseline: baseline(experiment, &subjects)?,
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

    fn run(&mut self, say: &mut dyn FnMut(&str)) -> io::Result<()> {
        let pairs = self.pairs();
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
                let mut order: Vec<usize> = of_cell(&pairs, cell);
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

    /// Every cell with every subject that can serve it.
    fn pairs(&self) -> Vec<(usize, usize)> {
        let cells = self.experiment.cells.iter().enumerate();
        let fit = |cell: &Cell, found: &Found| found.unfit_for(cell).is_none();
        cells
            .flat_map(|(at, cell)| {
                let subjects = self.subjects.iter().enumerate();
                let fitting = subjects.filter(move |(_, found)| fit(cell, found));
                fitting.map(move |(subject, _)| (at, subject))
            })
            .collect()
    }

    /// Turns rates and shares into the rates of the cells.
    fn calibrate(&mut self, pairs: &[(usize, usize)], say: &mut dyn FnMut(&str)) -> io::Result<()> {
        let mut known: Vec<(Cell, u64)> = Vec::new();
        for (at, cell) in self.experiment.cells.iter().enumerate() {
            self.campaign.cells[at].rate = match cell.offer {
                Offer::Closed => 0,
                Offer::Rate(rate) => rate,
                Offer::Share(share) => {
                    let closed = cell.in_closed_loop();
                    let most = known.iter().find(|(other, _)| *other == closed);
                    let most = match most {
                        Some((_, most)) => *most,
                        None => self.slowest(&closed, &of_cell(pairs, at), say)?,
                    };
                    known.push((closed, most));
                    (most * share / 100).max(1)
                }
            };
        }
        Ok(())
    }

    /// Requests per second of the slowest subject in a closed loop.
    fn slowest(
        &self,
        cell: &Cell,
        subjects: &[usize],
        say: &mut dyn FnMut(&str),
    ) -> io::Result<u64> {
        let mut slowest = u64::MAX;
        for subject in subjects {
            let found = &self.subjects[*subject];
            let once = Once {
                window: self.experiment.window.min(CALIBRATION_MAX),
                ..self.setup(cell, found, 0)?
            };
            let measured = measure(&once)?;
            let name = &found.choice.name;
            // How fast somebody is who is wrong says nothing.
            if let Some(why) = rules::fault(cell, found, &measured) {
                let cell = &cell.name;
                return Err(io::Error::other(format!(
                    "{name} under {cell} in a closed loop: {why}"
                )));
            }
            let most = measured.throughput() as u64;
            say(&format!(
                "maximum  {:<24} {name:<16} {most:>8} requests/s",
                cell.name
            ));
            slowest = slowest.min(most);
        }
        Ok(slowest)
    }

    fn setup<'b>(&'b self, cell: &'b Cell, found: &'b Found, rate: u64) -> io::Result<Once<'b>> {
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
        let measured = measure(&once)?;
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
    fn failed(&self) -> Vec<String> {
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
        lines
    }

    /// Report and final name.
    fn conclude(mut self) -> io::Result<PathBuf> {
        self.campaign.ended = now();
        self.campaign.complete = true;
        report::write(&self.campaign, self.folder.path())?;
        self.folder.finish(&self.campaign)
    }

    /// Keeps what there is. What cannot be kept is lost: the first error is the one to tell.
    fn give_up(&mut self) -> PathBuf {
        self.campaign.ended = now();
        let _ = self.folder.keep(&self.campaign);
        self.folder.path().to_path_buf()
    }
}

fn of_cell(pairs: &[(usize, usize)], cell: usize) -> Vec<usize> {
    let own = pairs.iter().filter(|(of, _)| *of == cell);
    own.map(|(_, subject)| *subject).collect()
}

/// Subjects that are here, and what is left out with the reason.
fn find_all(experiment: &Experiment) -> (Vec<Found>, Vec<Skipped>) {
    let (mut all, mut skipped) = (Vec::new(), Vec::new());
    for choice in &experiment.subjects {
        let mut skip = |why: String| {
            let subject = choice.name.clone();
            skipped.push(Skipped { subject, why });
        };
        let found = match find(choice) {
            Ok(found) => found,
            Err(why) => {
                skip(why);
                continue;
            }
        };
        let cells = experiment.cells.iter();
        let unfit: Vec<(&str, String)> = cells
            .filter_map(|cell| Some((cell.name.as_str(), found.unfit_for(cell)?)))
            .collect();
        if let Some((_, why)) = unfit.first() {
            let names: Vec<&str> = unfit.iter().map(|(name, _)| *name).collect();
            skip(format!("{why} ({})", names.join(", ")));
        }
        if unfit.len() < experiment.cells.len() {
            all.push(found);
        }
    }
    (all, skipped)
}

/// The baseline of the file, or the first subject that is here and is no empty place.
fn baseline(experiment: &Experiment, subjects: &[Found]) -> io::Result<String> {
    let is_here = |found: &&Found| found.choice.name == experiment.baseline;
    let is_real = |found: &&Found| found.choice.like != Kind::Direct;
    let found = subjects.iter().find(is_here);
    let found = found
        .or_else(|| subjects.iter().find(is_real))
        .or(subjects.first());
    found
        .map(|found| found.choice.name.clone())
        .ok_or_else(|| io::Error::other("no subject of this experiment is here; see `list`"))
}
