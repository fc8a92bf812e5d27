//! One run: origin, subject and load are started, warmed up, watched over a window, and ended.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::folder::{SUBJECTS, advise};
use super::place::{Pinned, Place, Punctual};
use crate::cpu::{Accounts, Watched, Window};
use crate::experiment::{Cell, Protocol};
use crate::fused::Fused;
use crate::load::{self, Load, Report, Running, Slow};
use crate::machine::Times;
use crate::origin::Behaviour;
use crate::record::{self, Cost, Slice};
use crate::subject::find::Found;
use crate::subject::process::Process;

/// How often the state of things is looked at while nothing is due.
const STEP: Duration = Duration::from_millis(50);
/// Status of an origin that fails on purpose.
const REFUSAL: u16 = 503;
/// How long silent connections may take to stand.
const SILENCE: Duration = Duration::from_secs(120);

/// What one run needs to know.
#[derive(Clone, Copy)]
pub(super) struct Once<'a> {
    pub(super) cell: &'a Cell,
    pub(super) found: &'a Found,
    /// Requests per second, 0 in a closed loop.
    pub(super) rate: u64,
    pub(super) place: Place,
    pub(super) warm_up: Duration,
    pub(super) window: Duration,
    pub(super) seed: u64,
    /// Of the campaign.
    pub(super) folder: &'a Path,
    pub(super) stop: &'a AtomicBool,
}

/// What one run came to.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) started: u64,
    pub(super) ended: u64,
    /// In the window.
    pub(super) load: record::Load,
    pub(super) cost: Cost,
    pub(super) series: Vec<Slice>,
    /// Requests that were due in the window.
    pub(super) offered: u64,
    /// From the first request to the last, warm-up included.
    pub(super) total: Report,
    /// Requests that the origin read from the first to the last.
    pub(super) origin_total: u64,
    /// Nanoseconds by which the two accounts of the subject may differ without a fault.
    pub(super) blur: u64,
}

impl Measured {
    /// Correct answers per second in the window.
    pub(super) fn throughput(&self) -> f64 {
        let length = self.ended.saturating_sub(self.started).max(1);
        self.load.answered as f64 * 1e9 / length as f64
    }
}

/// Runs `once` from start to end.
///
/// # Errors
/// If the subject does not start or dies, or somebody wants an end.
pub(super) fn measure(once: &Once<'_>) -> io::Result<Measured> {
    let (origin, mut process) = start(once)?;
    let before = Accounts::of(process.pid())?;
    let asked = origin.counters().requests.load(Relaxed);
    let running = origin.start_load(&load(once, process.address()))?;
    let mut watch = Watch {
        once,
        origin: &origin,
        process: &mut process,
        running: &running,
        reloaded: Instant::now(),
    };
    watch.warm_up()?;
    let mut measured = watch.window()?;
    running.stop();
    measured.total = running.finish()?;
    measured.origin_total = origin.counters().requests.load(Relaxed) - asked;
    measured.cost.resident_before = before.resident;
    Ok(measured)
}

/// Origin and subject, each where it belongs.
pub(super) fn start(once: &Once<'_>) -> io::Result<(Fused, Process)> {
    let origin = origin(once)?;
    let subjects = once.folder.join(SUBJECTS);
    let _pinned = Pinned::to(once.place.subject)?;
    let process = Process::start(once.found, once.cell, origin.address(), &subjects);
    Ok((origin, process.map_err(advise)?))
}

/// Origin and load share a thread: about half the cost of the two apart.
fn origin(once: &Once<'_>) -> io::Result<Fused> {
    let _pinned = Pinned::to(once.place.bed)?;
    let _punctual = (once.rate > 0).then(Punctual::new);
    let behaviour = match (once.cell.origin_delay, once.cell.fail_every) {
        _ if once.cell.protocol == Protocol::Tcp => Behaviour::Echo,
        (Some(delay), _) => Behaviour::Slow(delay),
        (None, Some(every)) => Behaviour::Flaky(every),
        (None, None) => Behaviour::Fast,
    };
    // Many upstreams are many addresses of the loopback device, all of this one listener.
    let address = match once.cell.upstreams {
        1 => Ipv4Addr::LOCALHOST,
        _ => Ipv4Addr::UNSPECIFIED,
    };
    let listener = TcpListener::bind(SocketAddr::from((address, 0)))?;
    Fused::start("origin", behaviour, listener)
}

pub(super) fn load(once: &Once<'_>, address: SocketAddr) -> Load {
    let cell = once.cell;
    let coding = if cell.chunked { "&chunked=1" } else { "" };
    let size = cell.response;
    Load {
        protocol: match cell.protocol {
            Protocol::Http1 => load::Protocol::Http1,
            Protocol::Tcp => load::Protocol::Tcp,
        },
        size: Some(size),
        body: (cell.request > 0).then_some(cell.request),
        chunked: cell.chunked,
        keep_alive: cell.keep_alive,
        connections: cell.connections as usize,
        resend: cell.reload_every.is_some(),
        also: cell.fail_every.map(|_| REFUSAL),
        rate: (once.rate > 0).then_some(once.rate as f64),
        seed: once.seed,
        idle: cell.idle as usize,
        random_fields: cell.fields as usize,
        cookie: cell.cookie as usize,
        slow: cell.slow_client.map(|slow| Slow {
            bytes: slow.bytes as usize,
            every: slow.every,
        }),
        ..Load::new(address, &format!("/?size={size}{coding}"))
    }
}

/// A run under observation.
struct Watch<'a> {
    once: &'a Once<'a>,
    origin: &'a Fused,
    process: &'a mut Process,
    running: &'a Running,
    reloaded: Instant,
}

impl Watch<'_> {
    /// Waits until silent connections stand, then for the warm-up.
    fn warm_up(&mut self) -> io::Result<()> {
        let began = Instant::now();
        while !self.running.has_begun() {
            self.rest(STEP)?;
            if began.elapsed() > SILENCE {
                let count = self.once.cell.idle;
                let seconds = SILENCE.as_secs();
                return Err(io::Error::other(format!(
                    "{count} silent connections did not stand within {seconds} s; is the limit \
                     of open files high enough (ulimit -n)?"
                )));
            }
        }
        self.rest(self.once.warm_up)
    }

    fn window(&mut self) -> io::Result<Measured> {
        let counters = self.origin.counters();
        let cpus = [self.once.place.subject, self.once.place.bed];
        let times = Times::of(&cpus);
        let asked = counters.requests.load(Relaxed);
        let accepted = counters.connections.load(Relaxed);
        let watched = self.watch()?;
        let machine = Times::of(&cpus);
        Ok(Measured {
            started: watched.started,
            ended: watched.ended,
            load: record::Load {
                origin_connects: counters.connections.load(Relaxed) - accepted,
                origin_requests: counters.requests.load(Relaxed) - asked,
                ..watched.seen.record()
            },
            cost: Cost {
                steal: machine.steal_since(&times),
                ksoftirqd: machine.ksoftirqd_since(&times),
                ..watched.cost
            },
            series: watched.series,
            offered: watched.seen.offered,
            total: Report::default(),
            origin_total: 0,
            blur: watched.blur,
        })
    }

    fn watch(&mut self) -> io::Result<Watched> {
        let (once, running) = (self.once, self.running);
        let window = Window {
            meter: self.process.meter(),
            running,
            length: once.window,
        };
        window.watch(&mut |length| self.rest(length))
    }

    /// Waits, and does what is due meanwhile.
    fn rest(&mut self, length: Duration) -> io::Result<()> {
        let began = Instant::now();
        loop {
            if self.once.stop.load(Relaxed) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            self.process.check()?;
            self.reload()?;
            let left = length.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(STEP));
        }
    }

    fn reload(&mut self) -> io::Result<()> {
        let signal = self.once.found.choice.like.reload_signal();
        match (self.once.cell.reload_every, signal) {
            (Some(every), Some(signal)) if self.reloaded.elapsed() >= every => {
                self.reloaded = Instant::now();
                self.process.reload(signal)
            }
            _ => Ok(()),
        }
    }
}
