//! What an error number means for a connection or a listener.

use std::io;
use std::os::fd::BorrowedFd;

use fastpath_sys::errno;
use fastpath_sys::socket;
use penstock_core::event::IoFault;

/// The fault that the core is told.
pub(super) fn fault(error: &io::Error) -> IoFault {
    fault_of(error.raw_os_error().unwrap_or(0))
}

/// The same from the number.
pub(super) fn fault_of(number: i32) -> IoFault {
    match number {
        errno::ECONNREFUSED => IoFault::Refused,
        errno::ECONNRESET | errno::EPIPE => IoFault::Reset,
        errno::ETIMEDOUT => IoFault::TimedOut,
        errno::ENETUNREACH | errno::EHOSTUNREACH | errno::EADDRNOTAVAIL => IoFault::Unreachable,
        errno::EMFILE | errno::ENFILE | errno::ENOBUFS | errno::ENOMEM => IoFault::Exhausted,
        _ => IoFault::Other,
    }
}

/// The error that waits in a socket; asking takes it away.
pub(super) fn pending(socket: BorrowedFd<'_>) -> Option<IoFault> {
    match socket::take_error(socket) {
        Ok(0) => None,
        Ok(number) => Some(fault_of(number)),
        Err(error) => Some(fault(&error)),
    }
}

/// True for errors of one client that an accept call reports (accept(2)): the next call may
/// succeed.
pub(super) fn concerns_one_client(number: i32) -> bool {
    matches!(
        number,
        errno::ECONNABORTED | errno::EPROTO | errno::EINTR | errno::EPERM | errno::ECANCELED
    )
}

/// What an error of accept means for a backlog that is being emptied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Backlog {
    /// One client is gone; there may be more.
    Next,
    /// It is empty, or beyond use.
    Empty,
    /// Nobody can be taken now.
    Later(IoFault),
}

/// The same from the error.
pub(super) fn backlog(error: &io::Error) -> Backlog {
    // Without a number it is not from accept, but about the client that it took.
    match error.raw_os_error() {
        None => Backlog::Next,
        Some(number) if concerns_one_client(number) => Backlog::Next,
        Some(number) if fault_of(number) == IoFault::Exhausted => {
            Backlog::Later(IoFault::Exhausted)
        }
        Some(_) => Backlog::Empty,
    }
}

/// True if bytes received before the fault may still wait in the socket.
pub(super) fn leaves_bytes(fault: IoFault) -> bool {
    matches!(fault, IoFault::Reset | IoFault::TimedOut)
}
