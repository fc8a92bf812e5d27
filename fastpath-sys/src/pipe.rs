//! Pipes through which bytes go from socket to socket without being copied (`splice(2)`).
//!
//! The kernel moves references to the pages that hold them; nobody here ever sees the bytes. A pipe
//! never blocks. A socket does unless it has `O_NONBLOCK`, whatever is said to `splice`, so callers
//! set that (see [`crate::socket::set_blocking`]).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use crate::{check, check_size};

/// Bytes that are or were in between two sockets.
#[derive(Debug)]
pub struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipe {
    /// A pipe with room for as many pages as `bytes` fill, or for the usual number if the user's
    /// pipes have no more (`/proc/sys/fs/pipe-user-pages-soft`).
    pub fn new(bytes: usize) -> io::Result<Self> {
        let mut ends = [0; 2];
        // SAFETY: the kernel writes two descriptors to the array, which outlives the call.
        check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK | libc::O_CLOEXEC) })?;
        // SAFETY: the kernel just gave us these descriptors and nobody else knows them.
        let [read, write] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
        let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
        // SAFETY: plain integers. If it fails, the pipe is smaller and as good.
        unsafe { libc::fcntl(write.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) };
        Ok(Self { read, write })
    }

    /// Moves at most `count` bytes from a socket into the pipe; 0 means that the other end will
    /// send no more. `WouldBlock` if the socket has none or the pipe no room.
    pub fn fill_from(&self, socket: BorrowedFd<'_>, count: usize) -> io::Result<usize> {
        splice(socket.as_raw_fd(), self.write.as_raw_fd(), count)
    }

    /// Moves at most `count` bytes from the pipe into a socket. `WouldBlock` if there are none or
    /// the socket has no room. Unlike a send it can raise `SIGPIPE`, which Rust programs ignore.
    pub fn drain_into(&self, socket: BorrowedFd<'_>, count: usize) -> io::Result<usize> {
        splice(self.read.as_raw_fd(), socket.as_raw_fd(), count)
    }
}

fn splice(from: libc::c_int, to: libc::c_int, count: usize) -> io::Result<usize> {
    let flags = libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK;
    // SAFETY: plain integers, and null offsets as sockets and pipes ask for; the descriptors are
    // borrowed for the call.
    check_size(unsafe { libc::splice(from, ptr::null_mut(), to, ptr::null_mut(), count, flags) })
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        (client, server)
    }

    #[test]
    fn bytes_pass_from_socket_to_socket() {
        let (mut source, from) = pair();
        let (mut sink, to) = pair();
        let pipe = Pipe::new(1 << 20).unwrap();
        let empty = pipe.fill_from(from.as_fd(), 100).unwrap_err();
        assert_eq!(empty.kind(), ErrorKind::WouldBlock);
        source.write_all(b"one two three").unwrap();
        assert_eq!(pipe.fill_from(from.as_fd(), 7).unwrap(), 7);
        assert_eq!(pipe.drain_into(to.as_fd(), 4).unwrap(), 4);
        assert_eq!(pipe.drain_into(to.as_fd(), 100).unwrap(), 3);
        let mut got = [0; 7];
        sink.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"one two");
        drop(source);
        assert_eq!(pipe.fill_from(from.as_fd(), 100).unwrap(), 6);
        assert_eq!(pipe.fill_from(from.as_fd(), 100).unwrap(), 0);
    }

    #[test]
    fn a_full_socket_and_a_broken_one_say_so() {
        let (mut source, from) = pair();
        let (sink, to) = pair();
        let pipe = Pipe::new(1 << 20).unwrap();
        let full = loop {
            source.write_all(&[7; 10_000]).unwrap();
            let count = pipe.fill_from(from.as_fd(), 10_000).unwrap();
            match pipe.drain_into(to.as_fd(), count) {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        crate::socket::reset_on_close(sink.as_fd()).unwrap();
        drop(sink);
        let broken = pipe.drain_into(to.as_fd(), 1).unwrap_err();
        assert_eq!(broken.kind(), ErrorKind::ConnectionReset);
    }
}
