//! What a reader needs to doubt a result or to repeat it: the machine, the commands, the
//! configurations, and what does not count.

use super::html::{command, escape, facts, folded, listing};
use super::words;
use crate::record::{Campaign, Run, Subject};
use crate::report::entry::Revisions;

/// Void runs and skipped subjects, with their reasons; nothing if there is none.
pub(super) fn not_counted(campaign: &Campaign) -> String {
    let void: Vec<&Run> = campaign
        .runs
        .iter()
        .filter(|run| !run.void.is_empty())
        .collect();
    if void.is_empty() && campaign.skipped.is_empty() {
        return String::new();
    }
    let text = String::from("<section>\n<h2>What does not count</h2>\n");
    let skipped = campaign.skipped.iter().map(|skipped| {
        let (name, why) = (escape(&skipped.subject), escape(&skipped.why));
        format!("<li><b>{name}</b> was skipped: {why}</li>\n")
    });
    let void = void.iter().map(|run| void_run(campaign, run));
    let reasons: String = skipped.chain(void).collect();
    text + &format!("<ul class=\"prose\">\n{reasons}</ul>\n</section>\n")
}

fn void_run(campaign: &Campaign, run: &Run) -> String {
    let subject = campaign.subjects.get(run.subject);
    let cell = campaign.cells.get(run.cell);
    let name = escape(subject.map_or(words::NONE, |subject| &subject.name));
    let cell = escape(cell.map_or(words::NONE, |cell| &cell.name));
    let way = if run.backwards { "back" } else { "there" };
    let (id, why, round) = (escape(&run.id), escape(&run.void), run.round + 1);
    format!(
        "<li><b><a href=\"{id}/report.html\">{name}</a></b>, {cell}, round {round} {way}, is void: \
         {why}</li>\n"
    )
}

/// The machine and its state, and the command that measured.
pub(super) fn environment(campaign: &Campaign) -> String {
    let place = &campaign.environment;
    let dirty = if place.dirty { ", with changes" } else { "" };
    let mut known = vec![
        ("Host", place.host.clone()),
        ("CPU", format!("{} × {}", place.cpus, place.cpu_model)),
        ("Memory", words::bytes(place.memory)),
        ("Hypervisor", place.hypervisor.clone()),
        ("Kernel", place.kernel.clone()),
        ("System", place.system.clone()),
        ("Congestion control", place.congestion_control.clone()),
        ("perf-lab", place.version.clone()),
        ("Source tree", format!("{}{dirty}", place.git_rev)),
    ];
    let further = place.facts.iter();
    known.extend(further.map(|(name, value)| (name.as_str(), value.clone())));
    known.push(("Campaign", campaign.id.clone()));
    format!(
        "<section>\n<h2>Environment</h2>\n{}<h3>Command</h3>\n{}{}</section>\n",
        facts(&known),
        listing(&command(&campaign.command)),
        folded("Experiment file", &listing(&campaign.experiment))
    )
}

/// Each configuration once, with the workloads that it is for where there are several. Commands
/// stand with the workloads.
fn configurations(campaign: &Campaign, subject: &Subject) -> String {
    let mut texts: Vec<(&str, Vec<&str>)> = Vec::new();
    for (at, cell) in campaign.cells.iter().enumerate() {
        let start = subject
            .start(at)
            .filter(|(_, text)| !text.trim().is_empty());
        let Some((_, text)) = start else { continue };
        match texts.iter_mut().find(|(known, _)| *known == text) {
            Some((_, names)) => names.push(&cell.name),
            None => texts.push((text, vec![&cell.name])),
        }
    }
    let is_one = texts.len() == 1;
    let texts = texts.iter().map(|(text, names)| {
        let of = match is_one {
            true => String::new(),
            false => format!(" under {}", escape(&names.join(", "))),
        };
        format!("<h4>Configuration{of}</h4>\n{}", listing(text))
    });
    texts.collect()
}

/// Of a program that says it; and of the tree, where that is another one.
fn revision(campaign: &Campaign, subject: &Subject) -> String {
    let revisions = Revisions::of(campaign, subject);
    let dirty = if revisions.dirty {
        ", with changes"
    } else {
        ""
    };
    match revisions.source {
        _ if subject.revision.is_empty() => String::new(),
        None => format!("{}{dirty}, as the source tree", revisions.measured),
        Some(source) => format!(
            "{}{dirty}; the source tree was {}",
            revisions.measured,
            match source {
                "" => "unknown",
                known => known,
            }
        ),
    }
}

/// Every subject with its version, command and configuration.
pub(super) fn subjects(campaign: &Campaign) -> String {
    let all = campaign.subjects.iter();
    let all: String = all.map(|own| subject(campaign, own)).collect();
    format!("<section>\n<h2>Subjects</h2>\n{all}</section>\n")
}

fn subject(campaign: &Campaign, subject: &Subject) -> String {
    let mut body = facts(&[
        ("Version", subject.version.clone()),
        ("Measured binary", revision(campaign, subject)),
        ("Driver", subject.driver.clone()),
        ("Workers", subject.workers.to_string()),
    ]);
    body += &configurations(campaign, subject);
    let title = format!("{}: {}", subject.name, words::versioned(subject));
    folded(&title, &body)
}
