//! epoll, edge-triggered: register once, wait once per turn.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use crate::check;

/// What is waited for. A hang-up or an error is always reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interest {
    /// Bytes or a connection to accept, and the other end's FIN.
    Readable,
    /// That, and room to send.
    Both,
}

impl Interest {
    fn bits(self) -> u32 {
        let read = libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLET;
        let bits = match self {
            Interest::Readable => read,
            Interest::Both => read | libc::EPOLLOUT,
        };
        bits as u32
    }
}

/// One edge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Edge {
    /// As given at registration.
    pub token: u64,
    bits: u32,
}

impl Edge {
    /// A receive or accept will not block.
    pub fn readable(self) -> bool {
        self.has(libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR)
    }

    /// There is room to send again, or sending will tell what is wrong.
    pub fn writable(self) -> bool {
        self.has(libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR)
    }

    /// The stream of received bytes has an end: a short read does not mean that it was reached.
    pub fn ended(self) -> bool {
        self.has(libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR)
    }

    /// The socket has an error to be taken.
    pub fn failed(self) -> bool {
        self.has(libc::EPOLLERR)
    }

    fn has(self, bits: libc::c_int) -> bool {
        self.bits & bits as u32 != 0
    }
}

/// An epoll instance and the edges of the last wait.
pub struct Epoll {
    fd: OwnedFd,
    edges: Box<[libc::epoll_event]>,
}

impl Epoll {
    /// An instance that reports at most `edges` edges per wait.
    pub fn new(edges: usize) -> io::Result<Self> {
        // SAFETY: plain integers.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        Ok(Self {
            // SAFETY: the kernel just gave us this descriptor and nobody else knows it.
            fd: unsafe { OwnedFd::from_raw_fd(fd) },
            edges: vec![libc::epoll_event { events: 0, u64: 0 }; edges].into_boxed_slice(),
        })
    }

    /// Starts to watch; closing every copy of the descriptor ends it.
    pub fn add(&self, fd: BorrowedFd<'_>, interest: Interest, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, interest, token)
    }

    /// Changes what is watched for.
    pub fn modify(&self, fd: BorrowedFd<'_>, interest: Interest, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, interest, token)
    }

    fn control(
        &self,
        operation: libc::c_int,
        fd: BorrowedFd<'_>,
        interest: Interest,
        token: u64,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: interest.bits(),
            u64: token,
        };
        // SAFETY: `event` outlives the call; both descriptors are open.
        check(unsafe {
            libc::epoll_ctl(
                self.fd.as_raw_fd(),
                operation,
                fd.as_raw_fd(),
                &raw mut event,
            )
        })?;
        Ok(())
    }

    /// Waits for edges, at most for `timeout` (rounded up to milliseconds; `None` means for ever),
    /// and says how many came. A signal counts as none.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let capacity = libc::c_int::try_from(self.edges.len()).unwrap_or(libc::c_int::MAX);
        // SAFETY: the kernel writes at most `capacity` entries, all inside `edges`.
        let answer = check(unsafe {
            libc::epoll_wait(
                self.fd.as_raw_fd(),
                self.edges.as_mut_ptr(),
                capacity,
                milliseconds(timeout),
            )
        });
        match answer {
            Ok(count) => Ok(count as usize),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// An edge of the last wait.
    ///
    /// # Panics
    /// If `index` is not below the size given at creation.
    #[inline]
    pub fn edge(&self, index: usize) -> Edge {
        let event = self.edges[index];
        Edge {
            token: event.u64,
            bits: event.events,
        }
    }
}

fn milliseconds(timeout: Option<Duration>) -> libc::c_int {
    let Some(timeout) = timeout else { return -1 };
    let ms = timeout.as_nanos().div_ceil(1_000_000);
    libc::c_int::try_from(ms).unwrap_or(libc::c_int::MAX)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::wake::Wake;

    #[test]
    fn an_edge_comes_once_per_write() {
        let mut epoll = Epoll::new(4).unwrap();
        let wake = Wake::new().unwrap();
        epoll.add(wake.as_fd(), Interest::Readable, 7).unwrap();
        assert_eq!(epoll.wait(Some(Duration::ZERO)).unwrap(), 0);
        wake.wake();
        assert_eq!(epoll.wait(None).unwrap(), 1);
        assert_eq!(epoll.edge(0).token, 7);
        assert!(epoll.edge(0).readable() && !epoll.edge(0).ended());
        assert_eq!(epoll.wait(Some(Duration::ZERO)).unwrap(), 0);
        wake.wake();
        assert_eq!(epoll.wait(None).unwrap(), 1);
    }

    #[test]
    fn timeouts_round_up() {
        assert_eq!(milliseconds(None), -1);
        assert_eq!(milliseconds(Some(Duration::ZERO)), 0);
        assert_eq!(milliseconds(Some(Duration::from_nanos(1))), 1);
        assert_eq!(milliseconds(Some(Duration::MAX)), libc::c_int::MAX);
    }
}
