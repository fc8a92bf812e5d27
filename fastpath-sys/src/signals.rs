//! Signals as something to read (signalfd), so that no code runs in a signal handler.
//!
//! Make [`Signals`] first thing in `main`: the signals are blocked in the calling thread and in
//! every thread that it starts later, but not in threads that exist already.

use std::fs::File;
use std::io::{self, Read};
use std::mem;
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr;

use crate::check;

/// The signals that a server listens to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// SIGTERM: drain and end.
    Terminate,
    /// SIGQUIT: drain and end, as other gateways have it.
    Quit,
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGHUP: read the configuration again.
    HangUp,
    /// SIGUSR1: open the log files again.
    User1,
}

impl Signal {
    /// All of them.
    pub const ALL: [Signal; 5] = [
        Signal::Terminate,
        Signal::Quit,
        Signal::Interrupt,
        Signal::HangUp,
        Signal::User1,
    ];

    fn number(self) -> libc::c_int {
        match self {
            Signal::Terminate => libc::SIGTERM,
            Signal::Quit => libc::SIGQUIT,
            Signal::Interrupt => libc::SIGINT,
            Signal::HangUp => libc::SIGHUP,
            Signal::User1 => libc::SIGUSR1,
        }
    }
}

/// A queue of signals that came to this process.
#[derive(Debug)]
pub struct Signals(File);

impl Signals {
    /// Blocks `signals` for the calling thread and collects them instead.
    pub fn new(signals: &[Signal]) -> io::Result<Self> {
        // SAFETY: sigset_t is a plain C struct; sigemptyset gives it its empty value in any case.
        let mut set: libc::sigset_t = unsafe { mem::zeroed() };
        // SAFETY: writes to a local.
        unsafe { libc::sigemptyset(&raw mut set) };
        for signal in signals {
            // SAFETY: writes to a local; the numbers are valid signals.
            unsafe { libc::sigaddset(&raw mut set, signal.number()) };
        }
        // SAFETY: reads a local; blocking signals changes no memory of ours.
        let code =
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()) };
        if code != 0 {
            return Err(io::Error::from_raw_os_error(code));
        }
        // SAFETY: reads a local; -1 asks for a new descriptor.
        let fd = check(unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC) })?;
        // SAFETY: the kernel just gave us this descriptor and nobody else knows it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }.into()))
    }

    /// Blocks until a signal comes.
    pub fn wait(&self) -> io::Result<Signal> {
        loop {
            let mut record = [0; mem::size_of::<libc::signalfd_siginfo>()];
            match (&self.0).read(&mut record) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            // The record starts with the signal's number (signalfd(2), ssi_signo).
            let number = u32::from_ne_bytes([record[0], record[1], record[2], record[3]]);
            let known = Signal::ALL
                .into_iter()
                .find(|known| known.number() as u32 == number);
            if let Some(signal) = known {
                return Ok(signal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_sent_to_the_thread_is_read() {
        let signals = Signals::new(&[Signal::User1]).unwrap();
        // SAFETY: sends a signal that is blocked in this thread, to this thread.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGUSR1) };
        assert_eq!(signals.wait().unwrap(), Signal::User1);
    }
}
