//! Who takes part: subjects that are here, under which cells, and which one ratios are taken to.

use std::io;

use crate::experiment::{Cell, Experiment};
use crate::record::Skipped;
use crate::subject::Kind;
use crate::subject::find::{Found, find};

/// Every cell with every subject that can serve it.
pub(super) fn pairs(experiment: &Experiment, subjects: &[Found]) -> Vec<(usize, usize)> {
    let cells = experiment.cells.iter().enumerate();
    let fit = |cell: &Cell, found: &Found| found.unfit_for(cell).is_none();
    cells
        .flat_map(|(at, cell)| {
            let subjects = subjects.iter().enumerate();
            let fitting = subjects.filter(move |(_, found)| fit(cell, found));
            fitting.map(move |(subject, _)| (at, subject))
        })
        .collect()
}

/// Subjects of that cell.
pub(super) fn of_cell(pairs: &[(usize, usize)], cell: usize) -> Vec<usize> {
    let own = pairs.iter().filter(|(of, _)| *of == cell);
    own.map(|(_, subject)| *subject).collect()
}

/// Subjects that are here, and what is left out with the reason.
pub(super) fn find_all(experiment: &Experiment) -> (Vec<Found>, Vec<Skipped>) {
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
            skip(match names.len() < experiment.cells.len() {
                true => format!("{why} (in {} only)", names.join(", ")),
                false => why.clone(),
            });
        }
        if unfit.len() < experiment.cells.len() {
            all.push(found);
        }
    }
    (all, skipped)
}

/// The baseline of the file, or the first subject that is here and is no empty place.
pub(super) fn baseline(experiment: &Experiment, subjects: &[Found]) -> io::Result<String> {
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
