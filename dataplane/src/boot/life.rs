//! The life of the process: wishes are taken one after the other until the end.
//!
//! ```text
//! Live ──SIGHUP──► Live             valid: applied; invalid: the old configuration stays
//! Live ──/drain_listeners──► Draining       the process stays
//! any  ──SIGTERM, SIGQUIT, /quitquitquit──► delay ──► drain ──► end
//!                     a second one, or SIGINT, ends at once
//! any  ──SIGINT──► drain for at most a second ──► end
//! ```

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use penstock_runtime::signals::{Signal, Signals};

use super::Gateway;
use crate::cli::Exit;

/// Something that the control thread is asked to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// A signal came.
    Signal(Signal),
    /// Addresses of a name changed.
    NamesChanged,
    /// Stop accepting and finish what is open; the process stays.
    Drain,
    /// End as SIGTERM does.
    Quit,
}

/// How long an end may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Drain {
    /// From failing readiness to closing the listeners.
    pub delay: Duration,
    /// From there to cutting what is still open.
    pub timeout: Duration,
}

/// How often the workers are asked for a sign of life.
const TICK: Duration = Duration::from_secs(1);
/// How often a drain looks whether it is done.
const LOOK: Duration = Duration::from_millis(10);
/// What an interrupt leaves to open exchanges.
const INTERRUPT: Drain = Drain {
    delay: Duration::ZERO,
    timeout: Duration::from_secs(1),
};

/// Sends every signal as a wish, from a thread of its own.
///
/// # Errors
/// If there is no thread.
pub(crate) fn forward(signals: Signals, wishes: Sender<Wish>) -> io::Result<()> {
    let thread = thread::Builder::new().name("penstock-signals".to_owned());
    thread.spawn(move || {
        while let Ok(signal) = signals.wait() {
            if wishes.send(Wish::Signal(signal)).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

/// Takes wishes until the end of the gateway.
pub fn serve(mut gateway: Gateway, wishes: &Receiver<Wish>, drain: Drain) -> Exit {
    loop {
        let wish = match wishes.recv_timeout(TICK) {
            Ok(wish) => wish,
            Err(RecvTimeoutError::Timeout) => {
                if gateway.tick().is_err() {
                    tracing::error!("a worker does not turn any more; ending the process");
                    return Exit::Failure;
                }
                continue;
            }
            // Everybody who could wish something is gone.
            Err(RecvTimeoutError::Disconnected) => return end(gateway, wishes, INTERRUPT),
        };
        match wish {
            Wish::Signal(Signal::HangUp) => gateway.reload(),
            Wish::Signal(Signal::User1) => gateway.reopen_logs(),
            Wish::NamesChanged => gateway.refresh(),
            Wish::Drain => gateway.drain(),
            Wish::Signal(Signal::Interrupt) => return end(gateway, wishes, INTERRUPT),
            Wish::Signal(Signal::Terminate | Signal::Quit) | Wish::Quit => {
                return end(gateway, wishes, drain);
            }
        }
    }
}

/// Drains and stops. A drain that ends by timeout is an end as asked, too.
fn end(gateway: Gateway, wishes: &Receiver<Wish>, drain: Drain) -> Exit {
    tracing::info!(
        "draining: {} s until the listeners close, then at most {} s",
        drain.delay.as_secs_f32(),
        drain.timeout.as_secs_f32()
    );
    gateway.fail_readiness();
    let began = Instant::now();
    let delayed = || began.elapsed() >= drain.delay;
    if wait(wishes, delayed) == Wait::Hurry {
        return gateway.stop();
    }
    gateway.drain();
    let began = Instant::now();
    wait(wishes, || {
        gateway.is_drained() || began.elapsed() >= drain.timeout
    });
    gateway.stop()
}

#[derive(PartialEq, Eq)]
enum Wait {
    Over,
    Hurry,
}

/// Waits until `over`, or until somebody asks for the end again.
fn wait(wishes: &Receiver<Wish>, over: impl Fn() -> bool) -> Wait {
    while !over() {
        match wishes.recv_timeout(LOOK) {
            Ok(Wish::Signal(Signal::Terminate | Signal::Quit | Signal::Interrupt) | Wish::Quit) => {
                return Wait::Hurry;
            }
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => thread::sleep(LOOK),
        }
    }
    Wait::Over
}
