//! Experiments: what is measured, as files. Parsed into values that cannot be wrong; run elsewhere.
//!
//! A file names subjects and cells. A key with a list (`connections: [64, 256]`) stands for one
//! cell per value, so that a matrix stays readable. Unknown keys are errors with line and column;
//! what is allowed is said in the message. The experiments of the repository are part of the
//! program.

mod file;
mod quantity;

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::record;
use crate::subject::Choice;
pub use quantity::bytes;

/// Experiments that are part of the program: name and text.
const BUILT_IN: [(&str, &str); 11] = [
    ("smoke", include_str!("../experiments/smoke.yaml")),
    ("w1", include_str!("../experiments/w1.yaml")),
    ("w2", include_str!("../experiments/w2.yaml")),
    ("w3", include_str!("../experiments/w3.yaml")),
    ("w4", include_str!("../experiments/w4.yaml")),
    ("w9", include_str!("../experiments/w9.yaml")),
    ("w11", include_str!("../experiments/w11.yaml")),
    ("w12", include_str!("../experiments/w12.yaml")),
    ("w13", include_str!("../experiments/w13.yaml")),
    ("h1", include_str!("../experiments/h1.yaml")),
    ("a-a", include_str!("../experiments/a-a.yaml")),
];

/// Longest closed loop that a rate is derived from.
pub(crate) const CALIBRATION_MAX: Duration = Duration::from_secs(3);
/// What starting and ending a subject takes, about.
const STARTING: Duration = Duration::from_millis(300);

/// One experiment: subjects, cells and how often.
#[derive(Clone, PartialEq, Debug)]
pub struct Experiment {
    /// Its name.
    pub name: String,
    /// What it is about, one sentence.
    pub about: String,
    /// The file, word for word.
    pub text: String,
    /// Where the parts run.
    pub layout: Layout,
    /// Load before each window.
    pub warm_up: Duration,
    /// Length of each window.
    pub window: Duration,
    /// Rounds; each subject runs twice in each.
    pub rounds: u32,
    /// Decides the order of subjects in each round.
    pub seed: u64,
    /// Name of the subject that ratios are taken to.
    pub baseline: String,
    /// What is measured.
    pub subjects: Vec<Choice>,
    /// Under which workloads.
    pub cells: Vec<Cell>,
}

/// Where the parts run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Deserialize)]
pub enum Layout {
    /// Everything on one CPU.
    C,
    /// The subject on the first CPU, load and origin on the second.
    S,
}

/// What the subject is asked to speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1 on both sides.
    #[default]
    Http1,
    /// TCP: messages of `request` bytes that the origin sends back and the load checks.
    Tcp,
}

/// When requests are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offer {
    /// The next one after each answer.
    Closed,
    /// So many per second.
    Rate(u64),
    /// So many per cent of what the slowest subject answers in a closed loop.
    Share(u64),
}

/// One workload.
#[derive(Clone, PartialEq, Debug)]
pub struct Cell {
    /// Name within the experiment.
    pub name: String,
    /// What the subject speaks.
    pub protocol: Protocol,
    /// Closed or open loop.
    pub offer: Offer,
    /// Connections of the load.
    pub connections: u32,
    /// Connections beside them that say nothing.
    pub idle: u32,
    /// Bytes of each answer.
    pub response: u64,
    /// Bytes of each request body, 0 for GET; of each message of TCP.
    pub request: u64,
    /// True if bodies are chunked, both ways.
    pub chunked: bool,
    /// Fields of each request beside Host.
    pub fields: u32,
    /// Bytes of a Cookie field; 0 for none.
    pub cookie: u64,
    /// Many requests on a connection, or one.
    pub keep_alive: bool,
    /// The origin waits so long before each answer.
    pub origin_delay: Option<Duration>,
    /// The origin answers each n-th request with 503, which must arrive as such.
    pub fail_every: Option<u64>,
    /// Clients write and read only so much at a time.
    pub slow_client: Option<SlowClient>,
    /// The subject reloads its configuration so often.
    pub reload_every: Option<Duration>,
    /// Endpoints that the subject balances over.
    pub upstreams: u32,
    /// Where the parts run, if not where the rest of the experiment does.
    pub layout: Option<Layout>,
}

/// How slowly clients write and read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlowClient {
    /// Bytes each way at a time.
    pub bytes: u64,
    /// How often.
    pub every: Duration,
}

impl Experiment {
    /// A built-in experiment by name, or the file at that path.
    ///
    /// # Errors
    /// If there is none, or it says something that is not understood.
    pub fn find(name: &str) -> Result<Self, Error> {
        if let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
            return Self::parse(&format!("experiments/{name}.yaml"), text);
        }
        match fs::read_to_string(Path::new(name)) {
            Ok(text) => Self::parse(name, &text),
            Err(error) => {
                let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
                Err(Error(format!(
                    "no experiment and no readable file `{name}` ({error}); built in: {}",
                    names.join(", ")
                )))
            }
        }
    }

    /// All built-in experiments.
    ///
    /// # Errors
    /// If one of them is not understood, which a test excludes.
    pub fn built_in() -> Result<Vec<Self>, Error> {
        BUILT_IN.iter().map(|(name, _)| Self::find(name)).collect()
    }

    /// How long it takes about, if every subject is there.
    pub fn length(&self) -> Duration {
        let (one, subjects) = (self.warm_up + STARTING, self.subjects.len() as u32);
        let runs = (one + self.window) * 2 * self.rounds * self.cells.len() as u32;
        let calibration = one + self.window.min(CALIBRATION_MAX);
        (runs + calibration * self.closed_loops()) * subjects
    }

    /// Closed loops that shares are derived from.
    fn closed_loops(&self) -> u32 {
        let mut all: Vec<Cell> = Vec::new();
        let shares = self
            .cells
            .iter()
            .filter(|cell| matches!(cell.offer, Offer::Share(_)));
        for closed in shares.map(Cell::in_closed_loop) {
            if !all.contains(&closed) {
                all.push(closed);
            }
        }
        all.len() as u32
    }

    /// Reads `text`; `origin` names the file in messages.
    ///
    /// # Errors
    /// With file, line, column, what is wrong there and what is allowed.
    pub fn parse(origin: &str, text: &str) -> Result<Self, Error> {
        file::parse(origin, text)
    }
}

impl Layout {
    /// As files spell it.
    pub fn name(self) -> &'static str {
        match self {
            Layout::C => "C",
            Layout::S => "S",
        }
    }
}

impl Cell {
    /// As it is recorded; `rate` is what its offer came to.
    pub fn record(&self, rate: u64) -> record::Cell {
        record::Cell {
            name: self.name.clone(),
            protocol: match self.protocol {
                Protocol::Http1 => "http1".to_owned(),
                Protocol::Tcp => "tcp".to_owned(),
            },
            arrivals: match self.offer {
                Offer::Closed => "closed".to_owned(),
                Offer::Rate(_) | Offer::Share(_) => "open".to_owned(),
            },
            rate,
            connections: self.connections,
            idle: self.idle,
            response_bytes: self.response,
            request_bytes: self.request,
            chunked: self.chunked,
            fields: self.fields,
            keep_alive: self.keep_alive,
            special: self.special(),
        }
    }

    /// The same workload as fast as it goes.
    pub fn in_closed_loop(&self) -> Self {
        let shares = |name: &str| name.ends_with("pc") || name.ends_with("rps");
        let name = match self.name.rsplit_once('-') {
            Some((name, suffix)) if shares(suffix) => name,
            _ => &self.name,
        };
        Self {
            name: name.to_owned(),
            offer: Offer::Closed,
            ..self.clone()
        }
    }

    /// What is particular about it beside the figures that every cell has.
    fn special(&self) -> Vec<(String, String)> {
        let length = |length: Duration| format!("{} ms", length.as_millis());
        let slow = |slow: SlowClient| format!("{} each {}", bytes(slow.bytes), length(slow.every));
        let share = match self.offer {
            Offer::Share(share) => Some(format!("{share} % of the slowest subject")),
            Offer::Closed | Offer::Rate(_) => None,
        };
        let upstreams = (self.upstreams > 1).then(|| self.upstreams.to_string());
        let all = [
            ("load", share),
            ("layout", self.layout.map(|layout| layout.name().to_owned())),
            ("origin delay", self.origin_delay.map(length)),
            (
                "503 by the origin",
                self.fail_every.map(|n| format!("each {n}th")),
            ),
            ("cookie", (self.cookie > 0).then(|| bytes(self.cookie))),
            ("slow client", self.slow_client.map(slow)),
            ("reload every", self.reload_every.map(length)),
            ("upstreams", upstreams),
        ];
        let present = all.into_iter();
        present
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

/// What is wrong with an experiment file; place, cause and remedy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
