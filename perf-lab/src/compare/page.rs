//! The comparison as a page.

use super::{Change, Comparison, State};
use crate::record::Campaign;
use crate::report::page::chart::{self, Bar};
use crate::report::page::html::{escape, facts, page, table};
use crate::report::page::words;
use crate::statistics::{Estimate, ROUNDS_SURE};

pub(super) fn of(comparison: &Comparison<'_>) -> String {
    let (a, b) = (comparison.a, comparison.b);
    let mut body = format!(
        "<header>\n<p class=\"kicker\">perf-lab comparison</p>\n<h1>{}</h1>\n\
         <p class=\"lead\">{}</p>\n</header>\n",
        escape(&title(a, b)),
        escape(&verdict(comparison))
    );
    if !comparison.notes.is_empty() {
        let notes = comparison.notes.iter();
        let notes: String = notes
            .map(|note| format!("<li>{}</li>\n", escape(note)))
            .collect();
        body += &format!(
            "<div class=\"warning\">\n<b>Read with care</b>\n<ul class=\"prose\">\n{notes}</ul>\n\
             </div>\n"
        );
    }
    body += "<section>\n<h2>The two campaigns</h2>\n";
    body += &format!("<h3>A</h3>\n{}<h3>B</h3>\n{}", place(a), place(b));
    body += "</section>\n";
    for changes in comparison
        .changes
        .chunk_by(|one, next| one.cell == next.cell)
    {
        body += &cell(comparison, changes);
    }
    body += &reading(comparison);
    page(&format!("{} · perf-lab", title(a, b)), &body)
}

fn title(a: &Campaign, b: &Campaign) -> String {
    if a.name == b.name {
        format!("{}, A and B", a.name)
    } else {
        format!("{} and {}", a.name, b.name)
    }
}

/// How many rows changed, in a sentence.
fn verdict(comparison: &Comparison<'_>) -> String {
    let all = comparison.changes.len();
    let count = |state| {
        let changes = comparison.changes.iter();
        changes.filter(|change| change.state == state).count()
    };
    let (less, more) = (count(State::Less), count(State::More));
    let silent = count(State::Unknown) + count(State::Missing);
    let mut text = match (less, more) {
        (0, 0) => format!("Of {all} ratios, none changed beyond the noise"),
        _ => format!("Of {all} ratios, {less} became less and {more} became more"),
    };
    if silent > 0 {
        text += &format!("; of {silent} there is nothing to say");
    }
    text + "."
}

fn place(campaign: &Campaign) -> String {
    let dirty = if campaign.environment.dirty {
        ", with changes"
    } else {
        ""
    };
    let place = &campaign.environment;
    facts(&[
        ("Experiment", campaign.name.clone()),
        ("Campaign", campaign.id.clone()),
        ("Measured", crate::report::entry::utc(campaign.started)),
        ("Source tree", format!("{}{dirty}", place.git_rev)),
        (
            "Machine",
            format!("{}, {} × {}", place.host, place.cpus, place.cpu_model),
        ),
        ("Kernel", place.kernel.clone()),
        ("Rounds", campaign.rounds.to_string()),
        ("Window", words::length(campaign.window)),
    ])
}

fn cell(comparison: &Comparison<'_>, changes: &[Change<'_>]) -> String {
    let name = changes.first().map_or("", |change| change.cell);
    let baseline = comparison.baseline;
    let heads = ["Subject", "A", "B", "Change", "Beyond the noise"].map(str::to_owned);
    let rows: Vec<_> = changes.iter().map(row).collect();
    let bars: Vec<Bar> = changes.iter().flat_map(bars).collect();
    let caption = format!("CPU per request as a multiple of {baseline}");
    let mut text = format!("<section>\n<h2>{}</h2>\n", escape(name));
    text += &table(&caption, &heads, &rows);
    if !bars.is_empty() {
        text += &chart::bars(&format!("{caption}: shorter is better"), &bars);
    }
    text + "</section>\n"
}

fn row(change: &Change<'_>) -> Vec<String> {
    let by = match (change.a, change.b) {
        (Some(a), Some(b)) => format!("{:+.1} %", (b.median / a.median - 1.0) * 100.0),
        _ => words::NONE.to_owned(),
    };
    let state = match change.state {
        State::Less => "<b class=\"less\">▼ less</b>".to_owned(),
        State::More => "<b class=\"more\">▲ more</b>".to_owned(),
        State::Same => "≈ same".to_owned(),
        silent => escape(silent.words()),
    };
    vec![
        escape(change.subject),
        ratio(change.a),
        ratio(change.b),
        by,
        state,
    ]
}

fn ratio(estimate: Option<Estimate>) -> String {
    estimate.map_or_else(
        || words::NONE.to_owned(),
        |estimate| {
            let interval = escape(&words::interval(&estimate));
            format!("{}<small>{interval}</small>", words::ratio(estimate.median))
        },
    )
}

/// Two bars, A above B.
fn bars(change: &Change<'_>) -> Vec<Bar> {
    let both = [("A", change.a, 5), ("B", change.b, 0)];
    let drawn = both.into_iter().filter_map(|(name, estimate, tone)| {
        let estimate = estimate?;
        Some(Bar {
            name: format!("{} {name}", change.subject),
            tone,
            value: estimate.median,
            interval: estimate.interval,
        })
    });
    drawn.collect()
}

fn reading(comparison: &Comparison<'_>) -> String {
    format!(
        "<section>\n<h2>How to read this</h2>\n<p>Compared are ratios to {}, each taken within \
         its own campaign; absolute figures of two campaigns say nothing about each other. A \
         ratio changed if its two intervals (95 %, or the range of fewer than {ROUNDS_SURE} \
         rounds) share no value and the change is greater than \
         {:.1} %, which is how far equal things lay apart ({}).</p>\n</section>\n",
        escape(comparison.baseline),
        comparison.noise.spread * 100.0,
        escape(&comparison.noise.seen)
    )
}
