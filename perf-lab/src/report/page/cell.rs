//! One workload on the page: its sentence, its table, its charts, its rounds.

use hdrhistogram::Histogram;

use super::chart::{self, Bar, Line};
use super::curves::{cpu_percent, latency_chart, mib, time_chart};
use super::html::{command, escape, folded, listing, table};
use super::{anchor, is_compared, mark, tones, words};
use crate::record::{Campaign, Run};
use crate::report::summary::{Row, Summary, cpu_us};
use crate::report::{again, histogram};

/// The section of one cell.
pub(super) fn section(campaign: &Campaign, summary: &Summary, at: usize) -> String {
    let cell = &campaign.cells[at];
    let rows: Vec<&Row> = summary
        .cell(at)
        .filter(|row| row.valid + row.void > 0)
        .collect();
    let mut text = format!(
        "<section id=\"{}\">\n<h2>{}</h2>\n<p class=\"workload\">{}</p>\n",
        anchor(at),
        escape(&cell.name),
        escape(&words::workload(cell))
    );
    if let Some(sentence) = words::sentence(campaign, summary, at) {
        text += &format!("<p>{}</p>\n", escape(&sentence));
    }
    if rows.is_empty() {
        return text + "<p>No run of it has ended.</p>\n</section>\n";
    }
    text += &figures(campaign, summary, &rows);
    text += &ratios(campaign, &rows);
    let charts = percentiles(campaign, at, &rows) + &over_time(campaign, at, &rows);
    if !charts.is_empty() {
        let legend = legend(campaign, &rows);
        text += &format!("<div class=\"charts\">\n{charts}</div>\n{legend}");
    }
    text += &folded("Every round", &rounds(campaign, at, &rows));
    text += &folded("Measure this again", &again(campaign, at, &rows));
    text + "</section>\n"
}

/// The command for this cell alone, and how each subject was started in it.
fn again(campaign: &Campaign, at: usize, rows: &[&Row]) -> String {
    let mut text = String::new();
    if let Some(words) = again::command(campaign, at) {
        text += &listing(&command(&words));
    }
    let cell = &campaign.cells[at];
    if cell.special.iter().any(|(name, _)| name == "load") {
        text += "<p>The rate is derived anew, from what the slowest subject can do then.</p>\n";
    }
    for row in rows {
        let subject = &campaign.subjects[row.subject];
        let Some((words, _)) = subject.start(at).filter(|(words, _)| !words.is_empty()) else {
            continue;
        };
        text += &format!(
            "<h4>{}</h4>\n{}",
            escape(&subject.name),
            listing(&command(words))
        );
    }
    text
}

fn figures(campaign: &Campaign, summary: &Summary, rows: &[&Row]) -> String {
    let ratio = format!(
        "× {}<small>95 % interval, or range</small>",
        escape(&campaign.baseline)
    );
    let heads = [
        "Subject",
        "CPU<small>µs/request</small>",
        &ratio,
        "Throughput<small>requests/s</small>",
        "p50",
        "p99",
        "p99.9",
        "Memory<small>KiB/connection</small>",
        "Switches<small>per request</small>",
        "Upstream<small>connects/request</small>",
        "Steal<small>% at most</small>",
        "Runs<small>valid/all</small>",
    ];
    let rows: Vec<_> = rows
        .iter()
        .map(|row| figures_row(campaign, summary, row))
        .collect();
    table("Results", &heads.map(str::to_owned), &rows)
}

fn figures_row(campaign: &Campaign, summary: &Summary, row: &Row) -> Vec<String> {
    let subject = &campaign.subjects[row.subject];
    let none = || words::NONE.to_owned();
    let figure = |value: Option<f64>| value.map_or_else(none, words::figure);
    let percentile = |percent| {
        let latency = row.latency.as_ref();
        latency.map_or_else(none, |all| {
            words::latency(histogram::percentile(all, percent))
        })
    };
    let name = match row.valid {
        0 => format!(
            "{} <small class=\"more\">void</small>",
            escape(&subject.name)
        ),
        _ if is_compared(subject) => escape(&subject.name),
        _ => format!("{}<small>load and origin</small>", escape(&subject.name)),
    };
    let throughput = (row.valid > 0).then(|| words::figure(row.throughput));
    vec![
        name,
        figure(row.cpu.map(|cpu| cpu.median)),
        ratio(campaign, summary, row),
        throughput.unwrap_or_else(none),
        percentile(50.0),
        percentile(99.0),
        percentile(99.9),
        figure(row.kib_per_connection),
        figure(row.switches_per_request),
        figure((row.valid > 0).then_some(row.connects_per_request)),
        figure((row.valid > 0).then_some(row.steal)),
        format!("{}/{}", row.valid, row.valid + row.void),
    ]
}

fn ratio(campaign: &Campaign, summary: &Summary, row: &Row) -> String {
    let subject = &campaign.subjects[row.subject];
    match row.ratio {
        Some(_) if subject.name == campaign.baseline => "1".to_owned(),
        Some(ratio) if is_compared(subject) => format!(
            "<b>{}</b><small>{}</small>",
            mark(summary.verdict(&ratio), &words::ratio(ratio.median)),
            escape(&words::interval(&ratio))
        ),
        _ => words::NONE.to_owned(),
    }
}

/// Bars of the ratios, shortest first.
fn ratios(campaign: &Campaign, rows: &[&Row]) -> String {
    let tones = tones(campaign);
    let bar = |row: &&Row| {
        let subject = &campaign.subjects[row.subject];
        let ratio = row.ratio.filter(|_| is_compared(subject))?;
        Some(Bar {
            name: subject.name.clone(),
            tone: tones[row.subject],
            value: ratio.median,
            interval: ratio.interval,
        })
    };
    let mut bars: Vec<Bar> = rows.iter().filter_map(bar).collect();
    bars.sort_by(|a, b| a.value.total_cmp(&b.value));
    if bars.len() < 2 {
        return String::new();
    }
    let title = format!(
        "CPU per request as a multiple of {}: shorter is better",
        campaign.baseline
    );
    chart::bars(&title, &bars)
}

/// One for all charts of the section: each subject has the same stroke in all of them.
fn legend(campaign: &Campaign, rows: &[&Row]) -> String {
    let tones = tones(campaign);
    let drawn = rows.iter().filter(|row| row.valid > 0);
    chart::legend(drawn.map(|row| {
        (
            campaign.subjects[row.subject].name.as_str(),
            tones[row.subject],
        )
    }))
}

fn percentiles(campaign: &Campaign, at: usize, rows: &[&Row]) -> String {
    let tones = tones(campaign);
    let line = |row: &&Row| {
        let all: &Histogram<u64> = row.latency.as_ref()?;
        let points = histogram::curve(all);
        Some(Line {
            name: campaign.subjects[row.subject].name.clone(),
            tone: tones[row.subject],
            points: points
                .iter()
                .map(|(q, value)| (*q, *value as f64))
                .collect(),
        })
    };
    let lines: Vec<Line> = rows.iter().filter_map(line).collect();
    let kind = match campaign.cells[at].rate {
        0 => "service time, closed loop",
        _ => "from the time each request was due",
    };
    latency_chart(&format!("Latency by percentile, {kind}"), &lines)
}

/// CPU and memory over the window, of the last run of each subject that counts.
fn over_time(campaign: &Campaign, at: usize, rows: &[&Row]) -> String {
    let runs: Vec<&Run> = rows
        .iter()
        .filter(|row| is_compared(&campaign.subjects[row.subject]))
        .filter_map(|row| last(campaign, at, row.subject))
        .collect();
    let cpu = time_chart(
        "CPU over the window, % of one CPU",
        campaign,
        &runs,
        cpu_percent,
    );
    let memory = time_chart("Resident memory over the window, MiB", campaign, &runs, mib);
    cpu + &memory
}

fn last(campaign: &Campaign, cell: usize, subject: usize) -> Option<&Run> {
    let same = |run: &&Run| (run.cell, run.subject) == (cell, subject) && run.void.is_empty();
    campaign.runs.iter().rfind(same)
}

/// CPU per request of every run, as it was measured.
fn rounds(campaign: &Campaign, at: usize, rows: &[&Row]) -> String {
    let mut heads = vec!["CPU µs/request<small>there / back</small>".to_owned()];
    heads.extend((1..=campaign.rounds).map(|round| format!("Round {round}")));
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let mut cells = vec![escape(&campaign.subjects[row.subject].name)];
            let rounds = 0..campaign.rounds;
            cells.extend(rounds.map(|round| round_cell(campaign, (at, row.subject, round))));
            cells
        })
        .collect();
    table("Every round", &heads, &rows)
}

fn round_cell(campaign: &Campaign, key: (usize, usize, u32)) -> String {
    let same = |run: &&Run| (run.cell, run.subject, run.round) == key;
    let mut runs: Vec<&Run> = campaign.runs.iter().filter(same).collect();
    runs.sort_by_key(|run| run.backwards);
    let values = runs.iter().map(|run| {
        let text = cpu_us(run).map_or_else(|| words::NONE.to_owned(), words::figure);
        let text = match run.void.is_empty() {
            true => text,
            false => format!("<s title=\"{}\">{text}</s>", escape(&run.void)),
        };
        format!("<a href=\"{}/report.html\">{text}</a>", escape(&run.id))
    });
    let values: Vec<String> = values.collect();
    values.join(" / ")
}
