//! Every unsafe line of Penstock behind a safe API: sockets, epoll, io_uring, affinity, signals.
//!
//! It knows system calls and what the kernel may touch; it knows no policy and nothing about HTTP.
//! Memory that the kernel holds is owned here until the kernel lets go, so callers stay
//! `forbid(unsafe_code)`.

#[cfg(not(target_os = "linux"))]
compile_error!("Penstock runs on Linux only: its drivers are epoll and io_uring");

mod address;
pub mod affinity;
#[cfg(feature = "test-support")]
pub mod confine;
pub mod epoll;
pub mod errno;
pub mod pipe;
pub mod process;
pub mod signals;
pub mod socket;
pub mod uring;
pub mod wake;

use std::io;

/// Turns the answer of a system call into a result: negative means `errno`.
#[inline]
fn check(answer: libc::c_int) -> io::Result<libc::c_int> {
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(answer)
}

/// The same for calls that count bytes.
#[inline]
fn check_size(answer: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(answer).map_err(|_| io::Error::last_os_error())
}
