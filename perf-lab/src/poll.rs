//! Readiness of many sockets: epoll with numbers for tokens, and waits that end on time.
//!
//! Sockets are registered once, for edges, and never changed: whoever gets an edge goes on until
//! the kernel says that it would block, or until a read comes back short.
//!
//! epoll rounds timeouts to milliseconds; an open loop needs them a thousand times finer. So a wait
//! for a time ends by a timerfd, and the thread asks the kernel for a timer slack of 1 ns instead
//! of 50 us. It never spins: on a shared core that would be stolen from the subject.

use std::io;
use std::mem::MaybeUninit;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::thread::set_current_timer_slack;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

/// Something happened on a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Edge {
    pub(crate) token: u64,
    /// There is something to read, or an end.
    pub(crate) readable: bool,
    /// The received bytes have an end: a short read does not mean that it was reached.
    pub(crate) ended: bool,
}

impl Edge {
    /// Nothing happened; time has passed.
    pub(crate) fn none() -> Self {
        Self {
            token: 0,
            readable: false,
            ended: false,
        }
    }

    /// An end that was seen otherwise.
    pub(crate) fn ended(token: u64) -> Self {
        Self {
            token,
            readable: true,
            ended: true,
        }
    }

    fn new(token: u64, flags: EventFlags) -> Self {
        let ended = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        Self {
            token,
            readable: flags.intersects(EventFlags::IN | ended),
            ended: flags.intersects(ended),
        }
    }
}

/// Events taken by one call.
const BATCH: usize = 256;
/// Token of the timer.
const TOKEN_TIMER: u64 = u64::MAX;
/// Waits that are at least so long need no timer.
const COARSE: Duration = Duration::from_millis(50);

/// A set of sockets.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
    timer: OwnedFd,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let poller = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            timer: timerfd_create(
                TimerfdClockId::Monotonic,
                TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
            )?,
        };
        // Setting a timer forgets its last expiry, so edges are enough and it is never read.
        let (data, flags) = (
            EventData::new_u64(TOKEN_TIMER),
            EventFlags::IN | EventFlags::ET,
        );
        epoll::add(&poller.epoll, &poller.timer, data, flags)?;
        Ok(poller)
    }

    /// Adds a socket for edges of every kind.
    pub(crate) fn add_edges(&self, source: impl AsFd, token: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        self.enter(source, token, flags)
    }

    /// Adds what is reported as long as it can be read.
    pub(crate) fn add(&self, source: impl AsFd, token: u64) -> io::Result<()> {
        self.enter(source, token, EventFlags::IN)
    }

    /// The same for what several sets wait for: only one of them is woken.
    pub(crate) fn add_shared(&self, source: impl AsFd, token: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::EXCLUSIVE;
        self.enter(source, token, flags)
    }

    fn enter(&self, source: impl AsFd, token: u64, flags: EventFlags) -> io::Result<()> {
        let data = EventData::new_u64(token);
        Ok(epoll::add(&self.epoll, source, data, flags)?)
    }

    /// Waits until `due` and appends what happened.
    pub(crate) fn wait_until(&self, due: Instant, edges: &mut Vec<Edge>) -> io::Result<()> {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() || left >= COARSE {
            return self.wait(left, edges);
        }
        let timer = Itimerspec {
            it_interval: timespec(Duration::ZERO),
            it_value: timespec(left),
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &timer)?;
        self.wait(COARSE, edges)
    }

    /// Waits at most `timeout`, which is rounded up to milliseconds, and appends what happened.
    pub(crate) fn wait(&self, timeout: Duration, edges: &mut Vec<Edge>) -> io::Result<()> {
        let timeout = timespec(timeout);
        let mut events = [const { MaybeUninit::uninit() }; BATCH];
        match epoll::wait(&self.epoll, &mut events, Some(&timeout)) {
            Ok((events, _)) => {
                let events = events.iter();
                let edge = |event: &epoll::Event| Edge::new(event.data.u64(), event.flags);
                edges.extend(events.map(edge).filter(|edge| edge.token != TOKEN_TIMER));
                Ok(())
            }
            Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: duration.as_secs() as i64,
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// Lets timers of this thread end on time.
pub(crate) fn be_punctual() {
    // Where it is refused, requests are a little later, which is measured.
    let _ = set_current_timer_slack(NonZeroU64::new(1));
}

/// A descriptor that becomes readable for every set that waits for it, once and for all.
pub(crate) fn stop_signal() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

/// Makes a [`stop_signal`] unreadable again, until it is raised the next time.
pub(crate) fn hush(signal: &OwnedFd) -> io::Result<()> {
    let mut count = [0; 8];
    match rustix::io::read(signal, &mut count) {
        Ok(_) | Err(rustix::io::Errno::AGAIN) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Makes a [`stop_signal`] readable.
pub(crate) fn raise(signal: &OwnedFd) -> io::Result<()> {
    rustix::io::write(signal, &1_u64.to_ne_bytes())?;
    Ok(())
}
