//! The page of a campaign: the result in a sentence, then tables and charts, then all that is
//! needed to doubt it: the machine, the commands, the configurations, what does not count.

mod cell;
pub(crate) mod chart;
mod curves;
pub(crate) mod html;
mod place;
mod run;
pub(crate) mod words;

pub(super) use run::page as of_run;

use super::summary::{Row, Summary, baseline};
use crate::record::{Campaign, Subject};
use crate::report::entry::utc;
use crate::report::shortness;
use crate::statistics::{ROUNDS_SURE, Verdict};
use html::{escape, facts, page, table};

/// The page of a whole campaign.
pub(super) fn of_campaign(campaign: &Campaign) -> String {
    let summary = Summary::of(campaign);
    let mut body = header(campaign, &summary);
    body += &glance(campaign, &summary);
    for at in 0..campaign.cells.len() {
        body += &cell::section(campaign, &summary, at);
    }
    body += &place::not_counted(campaign);
    body += &place::environment(campaign);
    body += &place::subjects(campaign);
    body += &reading(campaign, &summary);
    page(&format!("{} · perf-lab", campaign.name), &body)
}

fn header(campaign: &Campaign, summary: &Summary) -> String {
    let cells = 0..campaign.cells.len();
    let lead = cells
        .filter_map(|cell| words::sentence(campaign, summary, cell))
        .next();
    let lead = lead.map_or_else(String::new, |lead| {
        format!("<p class=\"lead\">{}</p>\n", escape(&lead))
    });
    let broken = match campaign.complete {
        true => "",
        false => {
            "<p class=\"warning\">This campaign broke off before its last run. What is below \
             is a part and no result.</p>\n"
        }
    };
    let short = short(campaign);
    let name = escape(&campaign.name);
    let about = escape(&campaign.about);
    let layout = match campaign.layout.as_str() {
        "C" => "C: load, origin and subject on one CPU".to_owned(),
        "S" => "S: the subject on a CPU of its own".to_owned(),
        other => other.to_owned(),
    };
    let overview = facts(&[
        ("Measured", utc_minute(campaign.started)),
        (
            "Machine",
            format!(
                "{}, {} CPUs",
                campaign.environment.cpu_model, campaign.environment.cpus
            ),
        ),
        ("Layout", layout),
        ("Rounds", format!("{}, there and back", campaign.rounds)),
        (
            "Window",
            format!(
                "{} after {} of warm-up",
                words::length(campaign.window),
                words::length(campaign.warm_up)
            ),
        ),
        ("Baseline", campaign.baseline.clone()),
    ]);
    format!(
        "<header>\n<p class=\"kicker\">perf-lab report</p>\n<h1>{name}</h1>\n\
         <p class=\"about\">{about}</p>\n{broken}{short}{lead}{overview}</header>\n"
    )
}

/// A warning above everything where there is no claim.
fn short(campaign: &Campaign) -> String {
    let short = shortness::of(campaign);
    short.map_or_else(String::new, |short| {
        format!(
            "<p class=\"warning\">This campaign is {}.</p>\n",
            escape(&short)
        )
    })
}

fn utc_minute(nanoseconds: u64) -> String {
    let text = utc(nanoseconds);
    let minute = text.get(..16).unwrap_or(&text).replace('T', " ");
    format!("{minute} UTC")
}

/// Ratios of all cells and subjects on one screen.
fn glance(campaign: &Campaign, summary: &Summary) -> String {
    if baseline(campaign).is_none() || campaign.cells.is_empty() {
        return String::new();
    }
    let mut heads = vec!["Workload".to_owned()];
    heads.extend(
        campaign
            .subjects
            .iter()
            .map(|subject| escape(&subject.name)),
    );
    let rows = (0..campaign.cells.len()).map(|cell| {
        let link = &campaign.cells[cell].name;
        let mut row = vec![format!(
            "<a href=\"#{}\">{}</a>",
            anchor(cell),
            escape(link)
        )];
        row.extend(
            summary
                .cell(cell)
                .map(|row| glance_cell(campaign, summary, row)),
        );
        row
    });
    let rows: Vec<_> = rows.collect();
    let caption = format!("CPU per request as a multiple of {}", campaign.baseline);
    format!(
        "<section>\n<h2>At a glance</h2>\n<p>{}. <span class=\"less\">▼</span> less and \
         <span class=\"more\">▲</span> more: the whole 95 % interval, or of fewer than \
         {ROUNDS_SURE} rounds the whole range, lies on one side of 1; ≈ no difference, no mark: \
         too few rounds to say.</p>\n{}</section>\n",
        escape(&caption),
        table(&caption, &heads, &rows)
    )
}

fn glance_cell(campaign: &Campaign, summary: &Summary, row: &Row) -> String {
    let subject = &campaign.subjects[row.subject];
    let Some(ratio) = row.ratio.filter(|_| is_compared(subject)) else {
        return words::NONE.to_owned();
    };
    let text = words::ratio(ratio.median);
    if subject.name == campaign.baseline {
        return text;
    }
    mark(summary.verdict(&ratio), &text)
}

/// A ratio with the mark of what it says.
fn mark(verdict: Verdict, text: &str) -> String {
    match verdict {
        Verdict::Less => format!("{text} <span class=\"less\" title=\"less\">▼</span>"),
        Verdict::More => format!("{text} <span class=\"more\" title=\"more\">▲</span>"),
        Verdict::NoDifference => format!("{text} <span title=\"no difference\">≈</span>"),
        Verdict::Unknown => text.to_owned(),
    }
}

/// True for what stands between load and origin; the cost of `direct` is that of both of them.
fn is_compared(subject: &Subject) -> bool {
    subject.product != "direct"
}

/// What a link to a cell names.
fn anchor(cell: usize) -> String {
    format!("cell-{}", cell + 1)
}

/// Colour and dashes of each subject, the same on every page: by what it is, not by its place.
fn tones(campaign: &Campaign) -> Vec<usize> {
    let mut tones: Vec<usize> = Vec::new();
    for subject in &campaign.subjects {
        let tone = tone(subject);
        let free = [8, 9].into_iter().find(|other| !tones.contains(other));
        tones.push(match tone {
            Some(tone) if !tones.contains(&tone) => tone,
            _ => free.unwrap_or(9),
        });
    }
    tones
}

fn tone(subject: &Subject) -> Option<usize> {
    match (subject.product.as_str(), subject.driver.as_str()) {
        ("penstock", "epoll") => Some(1),
        ("penstock", _) => Some(0),
        ("nginx", _) => Some(2),
        ("haproxy", _) => Some(3),
        ("envoy", _) => Some(4),
        ("relay", "io_uring") => Some(5),
        ("relay", _) => Some(6),
        ("direct", _) => Some(7),
        _ => None,
    }
}

/// How to read it, and how sure it is.
fn reading(campaign: &Campaign, summary: &Summary) -> String {
    let noise = format!("{:.1} %", summary.noise.spread * 100.0);
    format!(
        "<section>\n<h2>How to read this</h2>\n<ul class=\"prose\">\n\
         <li>CPU per request is the time on a CPU of all threads of the subject, from the \
         kernel’s scheduler, divided by correct answers. Every answer was checked; a run with a \
         wrong one is void.</li>\n\
         <li>Ratios are taken within a round, in which every subject ran there and back \
         (A B B A), so that drift cancels; shown are the median over {} rounds and a bootstrap \
         95 % interval of it; of fewer than {ROUNDS_SURE} rounds their range, which holds the true \
         median of n rounds in a share 1 − 2<sup>1−n</sup> of all cases (3: 75 %, 5: 94 %). \
         Where it holds 1 there is no difference.</li>\n\
         <li>Noise: equal things lay {noise} apart ({}). Smaller differences are not \
         claimed.</li>\n\
         <li>Latency of an open loop counts from the time at which a request was due; of a \
         closed loop it is service time, which hides queues, and stands here for completeness. \
         Percentiles are those of all runs together, never averages.</li>\n\
         <li>On one machine the sender’s side pays for delivery to both ends, equally for all \
         subjects. The row “direct”, where there is one, is the cost of load and origin \
         themselves.</li>\n\
         <li>Absolute figures hold for this machine on this day. Compare within this page \
         only.</li>\n</ul>\n</section>\n",
        campaign.rounds,
        escape(&summary.noise.seen)
    )
}
