//! What a reader needs to doubt a result or to repeat it: the machine, the commands, the
//! configurations, and what does not count.

use super::html::{command, escape, facts, folded, listing, table};
use super::words;
use crate::record::{Campaign, Run, Subject};

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
    let mut text = String::from("<section>\n<h2>What does not count</h2>\n");
    if !campaign.skipped.is_empty() {
        let rows: Vec<_> = campaign
            .skipped
            .iter()
            .map(|skipped| vec![escape(&skipped.subject), prose(&skipped.why)])
            .collect();
        text += &table("Skipped", &heads(&["Skipped subject", "Why"]), &rows);
    }
    if !void.is_empty() {
        let rows: Vec<_> = void.iter().map(|run| void_row(campaign, run)).collect();
        text += &table(
            "Void",
            &heads(&["Void run", "Workload", "Round", "Why"]),
            &rows,
        );
    }
    text + "</section>\n"
}

fn heads(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn prose(text: &str) -> String {
    format!("<span class=\"wrap\">{}</span>", escape(text))
}

fn void_row(campaign: &Campaign, run: &Run) -> Vec<String> {
    let subject = campaign.subjects.get(run.subject);
    let cell = campaign.cells.get(run.cell);
    let name = subject.map_or(words::NONE, |subject| &subject.name);
    let way = if run.backwards { "back" } else { "there" };
    vec![
        format!(
            "<a href=\"{}/report.html\">{}</a>",
            escape(&run.id),
            escape(name)
        ),
        escape(cell.map_or(words::NONE, |cell| &cell.name)),
        format!("{} {way}", run.round + 1),
        prose(&run.void),
    ]
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
        ("Revision", format!("{}{dirty}", place.git_rev)),
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

/// Every subject with its version, command and configuration.
pub(super) fn subjects(campaign: &Campaign) -> String {
    let all: String = campaign.subjects.iter().map(subject).collect();
    format!("<section>\n<h2>Subjects</h2>\n{all}</section>\n")
}

fn subject(subject: &Subject) -> String {
    let mut body = facts(&[
        ("Version", subject.version.clone()),
        ("Driver", subject.driver.clone()),
        ("Workers", subject.workers.to_string()),
    ]);
    if !subject.command.is_empty() {
        body += &format!("<h4>Command</h4>\n{}", listing(&command(&subject.command)));
    }
    if !subject.configuration.trim().is_empty() {
        body += &format!(
            "<h4>Configuration</h4>\n{}",
            listing(&subject.configuration)
        );
    }
    let title = format!("{}: {}", subject.name, words::versioned(subject));
    folded(&title, &body)
}
