//! The command line of perf-lab.

use std::env;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use perf_lab::compare::{Kind, Layout, Plan, Subject};
use perf_lab::load::Load;
use perf_lab::origin::Behaviour;

/// Load generator, origin and measurements for gateways
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a labelled, checked origin until stopped
    Origin(OriginOptions),
    /// Send requests in a closed loop and check every answer
    Load(LoadOptions),
    /// Print CPU time per request of a process while load runs
    Cpu(CpuOptions),
    /// Relay TCP without looking at it: the floor of every proxy
    Relay(RelayOptions),
    /// Print CPU time per request of penstock, nginx and the relay, measured side by side
    Compare(CompareOptions),
}

#[derive(Debug, Args)]
pub(crate) struct OriginOptions {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// Name shown in every answer
    #[arg(long, default_value = "origin")]
    pub(crate) label: String,
    /// Wait so many milliseconds before each answer
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// Answer each n-th request with 503; 0 for never
    #[arg(long, default_value_t = 0, conflicts_with = "delay_ms")]
    fail_every: u64,
    /// Threads that serve
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
}

impl OriginOptions {
    pub(crate) fn behaviour(&self) -> Behaviour {
        match (self.delay_ms, self.fail_every) {
            (0, 0) => Behaviour::Fast,
            (0, every) => Behaviour::Flaky(every),
            (delay, _) => Behaviour::Slow(Duration::from_millis(delay)),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct LoadOptions {
    /// Address to connect to
    #[arg(value_name = "ADDRESS")]
    address: SocketAddr,
    /// Path and query
    #[arg(long, default_value = "/")]
    path: String,
    /// Value of Host [default: the address]
    #[arg(long)]
    host: Option<String>,
    /// Further request field, `Name: value`; may be repeated
    #[arg(long = "header", value_name = "FIELD")]
    fields: Vec<String>,
    /// Ask the origin for a body of so many bytes and check each of them
    #[arg(long, value_name = "BYTES")]
    size: Option<u64>,
    /// POST a body of so many bytes instead of GET
    #[arg(long, value_name = "BYTES")]
    post: Option<u64>,
    /// Send the body in chunks
    #[arg(long, requires = "post")]
    chunked: bool,
    /// Open a connection for each request
    #[arg(long)]
    close: bool,
    /// Connections in all
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Threads that drive them
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Stop after so many requests
    #[arg(long)]
    requests: Option<u64>,
    /// Stop after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    duration: f64,
    /// Longest wait for an answer in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    timeout: f64,
    /// Status that every answer must have
    #[arg(long, default_value_t = 200)]
    status: u16,
    /// Send a GET again when a kept connection was closed before the answer began
    #[arg(long)]
    resend: bool,
    /// A refused connect ends a connection's loop instead of being a failure
    #[arg(long)]
    until_refused: bool,
}

impl LoadOptions {
    pub(crate) fn load(&self) -> Load {
        let mut load = Load::new(self.address, &self.path);
        if let Some(host) = &self.host {
            load.host.clone_from(host);
        }
        if let Some(size) = self.size {
            let sign = if self.path.contains('?') { '&' } else { '?' };
            load.path = format!("{}{sign}size={size}", self.path);
        }
        Load {
            fields: self.fields.clone(),
            size: self.size,
            body: self.post,
            chunked: self.chunked,
            keep_alive: !self.close,
            connections: self.connections,
            threads: self.threads,
            requests: self.requests,
            duration: Some(seconds(self.duration)),
            timeout: seconds(self.timeout),
            status: self.status,
            resend: self.resend,
            until_refused: self.until_refused,
            ..load
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct CpuOptions {
    /// Process to measure, its children included
    #[arg(long)]
    pub(crate) pid: u32,
    /// Load before the measurement begins, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    warm_up: f64,
    #[command(flatten)]
    pub(crate) load: LoadOptions,
}

impl CpuOptions {
    pub(crate) fn warm_up(&self) -> Duration {
        seconds(self.warm_up)
    }
}

#[derive(Debug, Args)]
pub(crate) struct RelayOptions {
    /// Address to listen on
    #[arg(long)]
    pub(crate) listen: SocketAddr,
    /// Address to connect to
    #[arg(long)]
    pub(crate) to: SocketAddr,
}

#[derive(Debug, Args)]
pub(crate) struct CompareOptions {
    /// The penstock binary, built with --release; left out if it is not there
    #[arg(long, default_value = "target/release/penstock")]
    penstock: PathBuf,
    /// The nginx binary; left out if it is not there
    #[arg(long, default_value = "/usr/sbin/nginx")]
    nginx: PathBuf,
    /// Everything on one CPU, or the subject on its own
    #[arg(long, value_enum, default_value_t = Place::C)]
    layout: Place,
    /// Rounds; each subject runs twice in each
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Load before each measurement, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    warm_up: f64,
    /// Length of each measurement in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    window: f64,
    /// Connections of the load
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Bytes of each answer
    #[arg(long, default_value_t = 1024)]
    size: u64,
    /// A connection for each request
    #[arg(long)]
    close: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Place {
    /// Load, origin and subject on one CPU
    C,
    /// The subject on the first CPU, the rest on the second
    S,
}

impl CompareOptions {
    pub(crate) fn title(&self) -> String {
        format!(
            "layout {:?}, {} connections, {} bytes, {}, {} rounds of 2 x {} s",
            self.layout,
            self.connections,
            self.size,
            if self.close { "close" } else { "keep-alive" },
            self.rounds,
            self.window
        )
    }

    pub(crate) fn plan(&self) -> io::Result<Plan> {
        Ok(Plan {
            subjects: self.subjects()?,
            layout: match self.layout {
                Place::C => Layout::OneCore,
                Place::S => Layout::Split,
            },
            rounds: self.rounds,
            warm_up: seconds(self.warm_up),
            window: seconds(self.window),
            connections: self.connections,
            size: self.size,
            keep_alive: !self.close,
            folder: env::temp_dir().join(format!("perf-lab-{}", std::process::id())),
        })
    }

    /// The one that ratios are taken to comes first: nginx, or the relay where there is no nginx.
    fn subjects(&self) -> io::Result<Vec<Subject>> {
        let subject = |name: &str, kind: Kind, program: PathBuf| Subject {
            name: name.to_owned(),
            kind,
            program,
        };
        let mut subjects = Vec::new();
        if self.nginx.exists() {
            subjects.push(subject("nginx", Kind::Nginx, self.nginx.clone()));
        }
        subjects.push(subject("relay", Kind::Relay, env::current_exe()?));
        let drivers = ["uring", "epoll"].iter();
        for driver in drivers.filter(|_| self.penstock.exists()) {
            let kind = Kind::Penstock {
                driver: (*driver).to_owned(),
            };
            let name = format!("penstock-{driver}");
            subjects.push(subject(&name, kind, self.penstock.clone()));
        }
        Ok(subjects)
    }
}

/// Seconds as given by a person; what is no duration is none.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)
}
