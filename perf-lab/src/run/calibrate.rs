//! What a share of the load comes to: each subject in a closed loop, the slowest one decides.

use std::io;

use super::bench::Bench;
use super::lineup::of_cell;
use super::once::{Once, measure};
use super::rules;
use crate::experiment::{CALIBRATION_MAX, Cell, Offer};

impl Bench<'_> {
    /// Turns rates and shares into the rates of the cells.
    pub(super) fn calibrate(
        &mut self,
        pairs: &[(usize, usize)],
        say: &mut dyn FnMut(&str),
    ) -> io::Result<()> {
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
}
