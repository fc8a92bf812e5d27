//! The comparison as a table for the terminal.

use std::fmt::Write;

use super::{Change, Comparison};
use crate::report::page::words;
use crate::statistics::Estimate;

pub(super) fn of(comparison: &Comparison<'_>) -> String {
    let mut text = String::new();
    for (name, campaign) in [("A", comparison.a), ("B", comparison.b)] {
        let (experiment, id, rev) = (&campaign.name, &campaign.id, &campaign.environment.git_rev);
        writeln!(text, "{name}  {experiment}  {id}  {rev}").expect("a string takes all");
    }
    for note in &comparison.notes {
        writeln!(text, "!  {note}").expect("a string takes all");
    }
    writeln!(
        text,
        "\nCPU per request as a multiple of {}; noise {:.1} % ({})",
        comparison.baseline,
        comparison.noise.spread * 100.0,
        comparison.noise.seen
    )
    .expect("a string takes all");
    let mut cell = "";
    for change in &comparison.changes {
        if change.cell != cell {
            cell = change.cell;
            writeln!(text, "\n{cell}").expect("a string takes all");
        }
        writeln!(text, "{}", row(change)).expect("a string takes all");
    }
    text
}

fn row(change: &Change<'_>) -> String {
    let by = match (change.a, change.b) {
        (Some(a), Some(b)) => format!("{:+.1} %", (b.median / a.median - 1.0) * 100.0),
        _ => String::new(),
    };
    let (a, b) = (ratio(change.a), ratio(change.b));
    let (subject, state) = (change.subject, change.state.words());
    format!("  {subject:<18} {a:<30} {b:<30} {by:>8}  {state}")
}

/// `0.74 (0.72–0.76)`.
fn ratio(estimate: Option<Estimate>) -> String {
    match estimate {
        None => words::NONE.to_owned(),
        Some(estimate) if estimate.interval.is_none() => words::ratio(estimate.median),
        Some(estimate) => {
            let interval = words::interval(&estimate);
            format!("{} ({interval})", words::ratio(estimate.median))
        }
    }
}
