//! Waking a thread that waits in a driver: an eventfd that is only ever written.
//!
//! Both drivers watch it edge-triggered, where every write is an edge of its own, so nobody has to
//! read it back.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::check;

/// A bell that any thread may ring.
#[derive(Debug)]
pub struct Wake(OwnedFd);

impl Wake {
    /// A new bell.
    pub fn new() -> io::Result<Self> {
        // SAFETY: plain integers.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the kernel just gave us this descriptor and nobody else knows it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Rings. Cannot fail in a way that matters: a counter near its end is a bell that rang
    /// already.
    pub fn wake(&self) {
        let one = 1_u64;
        // SAFETY: writes the eight bytes of a local; the descriptor is open as long as `self`
        // lives.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8) };
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
