//! Options of `origin`, `load` and `relay`.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use perf_lab::load::{Arrivals, Load, Protocol, Slow};
use perf_lab::origin::Behaviour;

use super::seconds;

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
    /// Send back what comes, without HTTP
    #[arg(long, conflicts_with_all = ["delay_ms", "fail_every"])]
    echo: bool,
    /// Threads that serve
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
}

impl OriginOptions {
    pub(crate) fn behaviour(&self) -> Behaviour {
        match (self.delay_ms, self.fail_every) {
            _ if self.echo => Behaviour::Echo,
            (0, 0) => Behaviour::Fast,
            (0, every) => Behaviour::Flaky(every),
            (delay, _) => Behaviour::Slow(Duration::from_millis(delay)),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct LoadOptions {
    /// Address to connect to [default: the origin of --with-origin]
    #[arg(value_name = "ADDRESS", required_unless_present = "with_origin")]
    address: Option<SocketAddr>,
    /// Be the origin too, at this address and on the same thread
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) with_origin: Option<SocketAddr>,
    /// What is spoken on the connections
    #[arg(long, value_enum, default_value_t = Spoken::Http1)]
    protocol: Spoken,
    /// Requests per second whatever the answers: an open loop
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// Gaps between the requests of an open loop
    #[arg(long, value_enum, default_value_t = Gaps::Poisson, requires = "rate")]
    arrivals: Gaps,
    /// Where arrivals and random fields come from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Connections beside that have one request each, first, and stay silent
    #[arg(long, value_name = "CONNECTIONS", default_value_t = 0)]
    idle: usize,
    /// Further request fields of random size
    #[arg(long = "fields", value_name = "COUNT", default_value_t = 0)]
    random_fields: usize,
    /// Bytes of a Cookie field
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    cookie: usize,
    /// Requests on a connection before the client closes it
    #[arg(long, value_name = "REQUESTS")]
    churn: Option<u64>,
    /// Write and read so many bytes at a time
    #[arg(long, value_name = "BYTES")]
    slow: Option<usize>,
    /// Milliseconds between two times
    #[arg(long, value_name = "MS", default_value_t = 10, requires = "slow")]
    slow_tick: u64,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
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
    /// Ask for that body in chunks
    #[arg(long, requires = "size")]
    chunked_answer: bool,
    /// POST a body of so many bytes instead of GET; with `tcp`, bytes of a message
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
    /// Of the origin on the same thread.
    pub(crate) fn behaviour(&self) -> Behaviour {
        match self.protocol {
            Spoken::Http1 => Behaviour::Fast,
            Spoken::Tcp => Behaviour::Echo,
        }
    }

    /// The load; `origin` is where to connect if no address was given.
    pub(crate) fn load(&self, origin: Option<SocketAddr>) -> Load {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let address = self.address.or(origin).unwrap_or(nowhere);
        let mut load = Load::new(address, &self.path);
        if let Some(host) = &self.host {
            load.host.clone_from(host);
        }
        if let Some(size) = self.size {
            let chunked = if self.chunked_answer {
                "&chunked=1"
            } else {
                ""
            };
            let sign = if self.path.contains('?') { '&' } else { '?' };
            load.path = format!("{}{sign}size={size}{chunked}", self.path);
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
            protocol: self.protocol.into(),
            rate: self.rate,
            arrivals: self.arrivals.into(),
            seed: self.seed,
            idle: self.idle,
            random_fields: self.random_fields,
            cookie: self.cookie,
            requests_per_connection: self.churn,
            slow: self.slow.map(|bytes| Slow {
                bytes,
                every: Duration::from_millis(self.slow_tick),
            }),
            ..load
        }
    }
}

/// What is spoken on the connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Spoken {
    /// HTTP/1.1
    Http1,
    /// Bytes there and back, through a TCP proxy from an origin with --echo
    Tcp,
}

impl From<Spoken> for Protocol {
    fn from(spoken: Spoken) -> Self {
        match spoken {
            Spoken::Http1 => Protocol::Http1,
            Spoken::Tcp => Protocol::Tcp,
        }
    }
}

/// How arrivals are spread.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Gaps {
    /// As independent users make them
    Poisson,
    /// One at a random point of each interval
    Uniform,
}

impl From<Gaps> for Arrivals {
    fn from(gaps: Gaps) -> Self {
        match gaps {
            Gaps::Poisson => Arrivals::Poisson,
            Gaps::Uniform => Arrivals::Uniform,
        }
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
    /// A bare epoll loop, or the gateway's own worker on one of its drivers
    #[arg(long, value_enum, default_value_t = Drive::Plain)]
    pub(crate) driver: Drive,
}

/// What moves the bytes of a relay.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Drive {
    /// Read and write, epoll
    Plain,
    /// The gateway's worker on epoll
    Epoll,
    /// The gateway's worker on io_uring
    Uring,
}
