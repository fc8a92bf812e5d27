//! The shape of an experiment file, and what it is checked for before anything runs.

use serde::Deserialize;
use serde::de::Deserializer;

use super::quantity::{Bytes, Count, Length, Many, One, Percent};
use super::{Cell, Error, Experiment, Layout, Offer, Protocol, SlowClient, bytes};
use crate::subject::Choice;

/// Seed where the file names none.
const SEED: u64 = 1;
/// Bytes of an answer where the file names none.
const RESPONSE: u64 = 1024;
/// Most cells of an experiment: a matrix that multiplies out beyond it is a mistake.
const CELLS_MAX: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    about: String,
    layout: Layout,
    warm_up: One<Length>,
    window: One<Length>,
    rounds: One<Count>,
    seed: Option<u64>,
    baseline: String,
    subjects: Vec<Choice>,
    cells: Vec<Expanded>,
}

/// One entry of `cells`: the cells that it stands for.
struct Expanded(Vec<Cell>);

impl<'de> Deserialize<'de> for Expanded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entry = Entry::deserialize(deserializer)?;
        entry
            .expand()
            .map(Expanded)
            .map_err(serde::de::Error::custom)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(default)]
    protocol: Protocol,
    connections: Many<Count>,
    rate: Option<Many<Count>>,
    load: Option<Many<Percent>>,
    #[serde(default)]
    idle: u32,
    response: Option<Many<Bytes>>,
    request: Option<Many<Bytes>>,
    #[serde(default)]
    chunked: bool,
    #[serde(default)]
    fields: u32,
    cookie: Option<One<Bytes>>,
    #[serde(default = "kept")]
    keep_alive: bool,
    origin_delay: Option<One<Length>>,
    fail_every: Option<One<Count>>,
    slow_client: Option<Slow>,
    reload_every: Option<One<Length>>,
    upstreams: Option<One<Count>>,
    layout: Option<Layout>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Slow {
    bytes: One<Bytes>,
    every: One<Length>,
}

fn kept() -> bool {
    true
}

impl Entry {
    fn expand(&self) -> Result<Vec<Cell>, String> {
        self.check()?;
        let mut cells = vec![self.first()];
        let sizes = |list: &Option<Many<Bytes>>| match list {
            Some(list) => list.0.iter().map(|size| size.0).collect(),
            None => Vec::new(),
        };
        multiply(&mut cells, &sizes(&self.response), |cell, size| {
            cell.response = size;
            let both = self.request.as_ref().is_some_and(|list| list.0.len() > 1);
            let down = if both { "down" } else { "" };
            format!("{down}{}", compact(&bytes(size)))
        });
        multiply(&mut cells, &sizes(&self.request), |cell, size| {
            cell.request = size;
            if cell.protocol == Protocol::Tcp {
                cell.response = size;
            }
            compact(&bytes(size))
        });
        multiply(&mut cells, &self.connections.0, |cell, count| {
            cell.connections = count.0;
            format!("c{}", count.0)
        });
        multiply(&mut cells, &self.offers(), |cell, offer| {
            cell.offer = offer;
            match offer {
                Offer::Closed => "closed".to_owned(),
                Offer::Rate(rate) => format!("{rate}rps"),
                Offer::Share(share) => format!("{share}pc"),
            }
        });
        Ok(cells)
    }

    fn check(&self) -> Result<(), String> {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let name = &self.name;
        let is_tcp = self.protocol == Protocol::Tcp;
        let both = |first: bool, second: bool| first && second;
        let mistakes = [
            (
                name.is_empty() || !name.chars().all(is_plain),
                "a name has lower-case letters, digits and `-`: files are named by it",
            ),
            (
                both(self.rate.is_some(), self.load.is_some()),
                "`rate` and `load` both say how many requests are sent; use one of them, or none \
                 for a closed loop",
            ),
            (
                both(self.origin_delay.is_some(), self.fail_every.is_some()),
                "an origin is slow or fails, not both: `origin_delay` or `fail_every`",
            ),
            (
                both(is_tcp, self.request.is_none() || self.response.is_some()),
                "messages of TCP come back as they are: give `request` and no `response`",
            ),
            (
                both(
                    is_tcp,
                    !self.keep_alive || self.chunked || self.fields > 0 || self.idle > 0,
                ),
                "TCP has no `keep_alive`, `chunked`, `fields` or `idle`",
            ),
            (
                both(
                    self.chunked,
                    self.request.is_none() && self.response.is_none(),
                ),
                "`chunked` needs a `request` or `response` that is",
            ),
        ];
        match mistakes.iter().find(|(is_wrong, _)| *is_wrong) {
            Some((_, what)) => Err(format!("cell `{name}`: {what}")),
            None => Ok(()),
        }
    }

    fn first(&self) -> Cell {
        Cell {
            name: self.name.clone(),
            protocol: self.protocol,
            offer: Offer::Closed,
            connections: 1,
            idle: self.idle,
            response: RESPONSE,
            request: 0,
            chunked: self.chunked,
            fields: self.fields,
            cookie: self.cookie.map_or(0, |size| size.0.0),
            keep_alive: self.keep_alive,
            origin_delay: self.origin_delay.map(|length| length.0.0),
            fail_every: self.fail_every.map(|count| count.0.0.into()),
            slow_client: self.slow_client.as_ref().map(|slow| SlowClient {
                bytes: slow.bytes.0.0,
                every: slow.every.0.0,
            }),
            reload_every: self.reload_every.map(|length| length.0.0),
            upstreams: self.upstreams.map_or(1, |count| count.0.0),
            layout: self.layout,
        }
    }

    fn offers(&self) -> Vec<Offer> {
        let rates = self.rate.iter().flat_map(|rates| &rates.0);
        let shares = self.load.iter().flat_map(|shares| &shares.0);
        let rates = rates.map(|rate| Offer::Rate(rate.0.into()));
        rates
            .chain(shares.map(|share| Offer::Share(share.0)))
            .collect()
    }
}

/// Puts every value into every cell; names grow where there is more than one value.
fn multiply<T: Copy>(cells: &mut Vec<Cell>, values: &[T], set: impl Fn(&mut Cell, T) -> String) {
    if values.is_empty() {
        return;
    }
    let mut all = Vec::new();
    for cell in &*cells {
        for value in values {
            let mut cell = cell.clone();
            let suffix = set(&mut cell, *value);
            if values.len() > 1 {
                cell.name = format!("{}-{suffix}", cell.name);
            }
            all.push(cell);
        }
    }
    *cells = all;
}

/// `1 KiB` as part of a name: `1kib`.
fn compact(size: &str) -> String {
    size.replace(' ', "").to_ascii_lowercase()
}

pub(super) fn parse(origin: &str, text: &str) -> Result<Experiment, Error> {
    let file: File = serde_saphyr::from_str(text).map_err(|error| place(origin, &error))?;
    let cells: Vec<Cell> = file.cells.into_iter().flat_map(|cells| cells.0).collect();
    let experiment = Experiment {
        name: file.name,
        about: file.about,
        text: text.to_owned(),
        layout: file.layout,
        warm_up: file.warm_up.0.0,
        window: file.window.0.0,
        rounds: file.rounds.0.0,
        seed: file.seed.unwrap_or(SEED),
        baseline: file.baseline,
        subjects: file.subjects,
        cells,
    };
    check(&experiment).map_err(|what| Error(format!("{origin}: {what}")))?;
    Ok(experiment)
}

/// `file:line:column: what is wrong`; the parser says the place at the end, people look for it at
/// the begin.
fn place(origin: &str, error: &serde_saphyr::Error) -> Error {
    let error = error.without_snippet();
    let text = error.to_string();
    let Some(at) = error.location() else {
        return Error(format!("{origin}: {text}"));
    };
    let (line, column) = (at.line(), at.column());
    let text = text.replace(&format!(" at line {line}, column {column}"), "");
    Error(format!("{origin}:{line}:{column}: {text}"))
}

/// What concerns more than one key.
fn check(experiment: &Experiment) -> Result<(), String> {
    let subjects: Vec<&str> = names(experiment.subjects.iter().map(|choice| &choice.name))?;
    names(experiment.cells.iter().map(|cell| &cell.name))?;
    if experiment.cells.len() > CELLS_MAX {
        let count = experiment.cells.len();
        return Err(format!(
            "{count} cells, at most {CELLS_MAX}: shorten a list"
        ));
    }
    if !subjects.contains(&experiment.baseline.as_str()) {
        return Err(format!(
            "`baseline: {}` is not among the subjects: {}",
            experiment.baseline,
            subjects.join(", ")
        ));
    }
    if experiment.window.is_zero() {
        return Err("`window` must be longer than 0".to_owned());
    }
    Ok(())
}

/// All names; an error if there is none, or one twice.
fn names<'a>(all: impl Iterator<Item = &'a String>) -> Result<Vec<&'a str>, String> {
    let mut names: Vec<&str> = Vec::new();
    for name in all {
        if names.contains(&name.as_str()) {
            return Err(format!("the name `{name}` stands twice"));
        }
        names.push(name);
    }
    match names.is_empty() {
        true => Err("`subjects` and `cells` need an entry each".to_owned()),
        false => Ok(names),
    }
}

#[cfg(test)]
mod tests;
