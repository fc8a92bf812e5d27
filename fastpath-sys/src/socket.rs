//! TCP sockets: listen, accept, connect, receive, send, close. Calls never block.
//!
//! Options that every connection of a listener needs are set on the listening socket: Linux lets
//! accepted sockets inherit `TCP_NODELAY`, `SO_KEEPALIVE` and `TCP_USER_TIMEOUT`, which saves the
//! calls per connection.

use std::io::{self, IoSlice};
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use crate::address::RawAddress;
use crate::{check, check_size};

/// Keep-alive probes of a connection (`SO_KEEPALIVE`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeepAlive {
    /// Idle time before the first probe; whole seconds.
    pub idle: Duration,
    /// Time between probes; whole seconds.
    pub interval: Duration,
    /// Probes without an answer before the connection is given up.
    pub probes: u32,
}

/// How a listening socket is made; the connections inherit all but the backlog.
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// Connections that wait for accept; the kernel caps it at `net.core.somaxconn`.
    pub backlog: u32,
    /// `SO_REUSEPORT`: several sockets share the address and the kernel spreads connections.
    pub reuse_port: bool,
    /// `IPV6_V6ONLY`: a wildcard IPv6 socket takes no IPv4 connections.
    pub v6_only: bool,
    /// `SO_KEEPALIVE` and its three times.
    pub keep_alive: Option<KeepAlive>,
    /// `TCP_USER_TIMEOUT`: how long sent data may stay unacknowledged.
    pub user_timeout: Option<Duration>,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            backlog: libc::c_int::MAX as u32,
            reuse_port: true,
            v6_only: true,
            keep_alive: None,
            user_timeout: None,
        }
    }
}

/// Binds and listens. `TCP_NODELAY` is always set: the proxy decides itself what leaves together.
pub fn listen(address: SocketAddr, options: &ListenOptions) -> io::Result<OwnedFd> {
    let socket = stream_socket(address, 0)?;
    set_option(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    if options.reuse_port {
        set_option(&socket, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
    }
    if address.is_ipv6() {
        let only = libc::c_int::from(options.v6_only);
        set_option(&socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, only)?;
    }
    set_stream_options(&socket, options)?;
    let raw = RawAddress::from(address);
    // SAFETY: `raw` outlives the call and its length is that of the address it holds.
    check(unsafe { libc::bind(socket.as_raw_fd(), raw.as_ptr(), raw.len()) })?;
    let backlog = libc::c_int::try_from(options.backlog).unwrap_or(libc::c_int::MAX);
    // SAFETY: plain integers; the descriptor is open as long as `socket` lives.
    check(unsafe { libc::listen(socket.as_raw_fd(), backlog) })?;
    Ok(socket)
}

fn set_stream_options(socket: &OwnedFd, options: &ListenOptions) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
    if let Some(keep) = options.keep_alive {
        set_option(socket, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)?;
        set_option(
            socket,
            libc::IPPROTO_TCP,
            libc::TCP_KEEPIDLE,
            seconds(keep.idle),
        )?;
        set_option(
            socket,
            libc::IPPROTO_TCP,
            libc::TCP_KEEPINTVL,
            seconds(keep.interval),
        )?;
        set_option(
            socket,
            libc::IPPROTO_TCP,
            libc::TCP_KEEPCNT,
            keep.probes as libc::c_int,
        )?;
    }
    if let Some(timeout) = options.user_timeout {
        let ms = libc::c_int::try_from(timeout.as_millis()).unwrap_or(libc::c_int::MAX);
        set_option(socket, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, ms)?;
    }
    Ok(())
}

fn seconds(duration: Duration) -> libc::c_int {
    libc::c_int::try_from(duration.as_secs().max(1)).unwrap_or(libc::c_int::MAX)
}

/// What a listening socket does when a call would block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blocking {
    /// Calls answer `EAGAIN` (epoll).
    No,
    /// Calls may block; an accept by io_uring waits by itself only without `O_NONBLOCK`.
    Yes,
}

/// Takes one connection from a listening socket; `WouldBlock` if none waits (the listening socket
/// must be non-blocking). The connection is non-blocking, the address is that of the client.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, SocketAddr)> {
    let mut raw = RawAddress::empty();
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: both pointers are into `raw`, which outlives the call; its length field says how much
    // room the storage has.
    let answer =
        unsafe { libc::accept4(listener.as_raw_fd(), raw.as_mut_ptr(), raw.len_mut(), flags) };
    let fd = check(answer)?;
    // SAFETY: the kernel just gave us this descriptor and nobody else knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let address = raw.to_socket_addr().ok_or_else(not_internet)?;
    Ok((socket, address))
}

/// Switches `O_NONBLOCK`.
pub fn set_blocking(socket: BorrowedFd<'_>, mode: Blocking) -> io::Result<()> {
    let mut on = libc::c_int::from(mode == Blocking::No);
    // SAFETY: FIONBIO reads one integer from the pointer, which is valid for the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::FIONBIO, &raw mut on) })?;
    Ok(())
}

/// A non-blocking socket to connect with to `address`, with `TCP_NODELAY` set.
pub fn outgoing(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = stream_socket(address, libc::SOCK_NONBLOCK)?;
    set_option(&socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
    Ok(socket)
}

/// What a connect call came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Connect {
    /// The connection stands.
    Done,
    /// The socket becomes writable when it is decided; then ask [`take_error`].
    InProgress,
}

/// Starts to connect a non-blocking socket.
pub fn connect(socket: BorrowedFd<'_>, address: SocketAddr) -> io::Result<Connect> {
    let raw = RawAddress::from(address);
    // SAFETY: `raw` outlives the call and its length is that of the address it holds.
    let answer = unsafe { libc::connect(socket.as_raw_fd(), raw.as_ptr(), raw.len()) };
    match check(answer) {
        Ok(_) => Ok(Connect::Done),
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(Connect::InProgress),
        Err(error) => Err(error),
    }
}

/// Takes the pending error of a socket (`SO_ERROR`); 0 if there is none.
pub fn take_error(socket: BorrowedFd<'_>) -> io::Result<i32> {
    let mut error: libc::c_int = 0;
    let mut len = mem::size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the two pointers are to locals that outlive the call; `len` is the size of `error`.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ERROR,
            (&raw mut error).cast(),
            &raw mut len,
        )
    })?;
    Ok(error)
}

/// Receives into `room`; 0 means that the other end will send no more (or that `room` is empty).
#[inline]
pub fn recv(socket: BorrowedFd<'_>, room: &mut [u8]) -> io::Result<usize> {
    // SAFETY: pointer and length are those of a slice that is borrowed for the call.
    check_size(unsafe {
        libc::recv(
            socket.as_raw_fd(),
            room.as_mut_ptr().cast(),
            room.len(),
            libc::MSG_DONTWAIT,
        )
    })
}

/// Sends slices in their order, with one call and without `SIGPIPE`; says how many bytes were
/// taken.
#[inline]
pub fn send(socket: BorrowedFd<'_>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    // SAFETY: msghdr is a plain C struct; all zeroes is an empty message.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = slices.as_ptr().cast::<libc::iovec>().cast_mut();
    message.msg_iovlen = slices.len() as _;
    // SAFETY: IoSlice has the layout of iovec by its contract; the slices and what they point to
    // are borrowed for the call, which only reads them.
    check_size(unsafe {
        libc::sendmsg(
            socket.as_raw_fd(),
            &raw const message,
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
        )
    })
}

/// Sends FIN after what was given to the kernel before.
pub fn shutdown_send(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: plain integers; the descriptor is borrowed for the call.
    check(unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_WR) })?;
    Ok(())
}

/// Makes the close that follows send RST instead of FIN (`SO_LINGER` with zero time).
pub fn reset_on_close(socket: BorrowedFd<'_>) -> io::Result<()> {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    set_option(&socket, libc::SOL_SOCKET, libc::SO_LINGER, linger)
}

/// Makes a listening socket deaf to new clients: their SYN is dropped, and they try again after a
/// second. Handshakes that have begun are finished, so that the backlog can be emptied before the
/// socket closes. What is accepted inherits the filter, which means nothing there: no SYN comes on
/// a connection.
pub fn refuse_new(listener: BorrowedFd<'_>) -> io::Result<()> {
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const SYN_ACK: u32 = 0x12;
    let step = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let mut steps = [
        // A filter of a TCP socket sees segments from the TCP header on.
        step(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, FLAGS),
        step(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, SYN_ACK),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, SYN),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
    ];
    let program = libc::sock_fprog {
        len: steps.len() as libc::c_ushort,
        filter: steps.as_mut_ptr(),
    };
    // `steps` outlives the call, which copies what the program points to.
    set_option(&listener, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, program)
}

/// Our address of a socket (`getsockname`).
pub fn local_address(socket: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    name(socket, libc::getsockname)
}

/// The other end's address of a socket (`getpeername`).
pub fn remote_address(socket: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    name(socket, libc::getpeername)
}

type NameCall =
    unsafe extern "C" fn(libc::c_int, *mut libc::sockaddr, *mut libc::socklen_t) -> libc::c_int;

fn name(socket: BorrowedFd<'_>, call: NameCall) -> io::Result<SocketAddr> {
    let mut raw = RawAddress::empty();
    // SAFETY: both pointers are into `raw`, which outlives the call and states its own size; `call`
    // is one of the two functions above, which write at most that much.
    check(unsafe { call(socket.as_raw_fd(), raw.as_mut_ptr(), raw.len_mut()) })?;
    raw.to_socket_addr().ok_or_else(not_internet)
}

fn not_internet() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not an IPv4 or IPv6 address")
}

fn stream_socket(address: SocketAddr, flags: libc::c_int) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | flags;
    // SAFETY: plain integers.
    let fd = check(unsafe { libc::socket(family, kind, 0) })?;
    // SAFETY: the kernel just gave us this descriptor and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `value` must be the C type that the option documents; the module passes only `c_int`,
/// `linger` and `sock_fprog`.
fn set_option<T: Copy>(
    socket: &impl AsRawFd,
    level: libc::c_int,
    name: libc::c_int,
    value: T,
) -> io::Result<()> {
    // SAFETY: pointer and size are those of a local that outlives the call; the kernel only reads
    // it.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            mem::size_of::<T>() as libc::socklen_t,
        )
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        let listener = listen("127.0.0.1:0".parse().unwrap(), &ListenOptions::default()).unwrap();
        let address = local_address(listener.as_fd()).unwrap();
        let client = outgoing(address).unwrap();
        let begun = connect(client.as_fd(), address).unwrap();
        assert_eq!(begun, Connect::InProgress);
        let (server, remote) = accept(listener.as_fd()).unwrap();
        assert_eq!(remote, local_address(client.as_fd()).unwrap());
        assert_eq!(remote_address(client.as_fd()).unwrap(), address);
        (client, server)
    }

    #[test]
    fn a_listening_socket_has_its_backlog() {
        let options = ListenOptions {
            backlog: 7,
            ..ListenOptions::default()
        };
        let listener = listen("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        // SAFETY: all bytes zero is a value of this struct of integers.
        let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
        let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
        // SAFETY: `info` is writable for `len` bytes and outlives the call.
        check(unsafe {
            libc::getsockopt(
                listener.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                (&raw mut info).cast(),
                &raw mut len,
            )
        })
        .unwrap();
        // Of a listening socket, these two are its queue and the bound of it.
        assert_eq!((info.tcpi_unacked, info.tcpi_sacked), (0, 7));
    }

    #[test]
    fn bytes_and_fin_cross() {
        let (client, server) = pair();
        let sent = send(
            client.as_fd(),
            &[IoSlice::new(b"one "), IoSlice::new(b"two")],
        )
        .unwrap();
        assert_eq!(sent, 7);
        let mut room = [0; 16];
        assert_eq!(recv(server.as_fd(), &mut room).unwrap(), 7);
        assert_eq!(&room[..7], b"one two");
        let empty = recv(server.as_fd(), &mut room).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
        shutdown_send(client.as_fd()).unwrap();
        assert_eq!(recv(server.as_fd(), &mut room).unwrap(), 0);
    }

    #[test]
    fn reset_reaches_the_other_end() {
        let (client, server) = pair();
        reset_on_close(client.as_fd()).unwrap();
        drop(client);
        let error = recv(server.as_fd(), &mut [0; 1]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECONNRESET));
    }

    #[test]
    fn connections_inherit_from_the_listener() {
        let (_client, server) = pair();
        let mut value: libc::c_int = 0;
        let mut len = mem::size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: pointers to locals, `len` is the size of `value`.
        check(unsafe {
            libc::getsockopt(
                server.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_NODELAY,
                (&raw mut value).cast(),
                &raw mut len,
            )
        })
        .unwrap();
        assert_eq!(value, 1);
    }

    #[test]
    fn sockets_share_a_port() {
        let options = ListenOptions::default();
        let first = listen("[::1]:0".parse().unwrap(), &options).unwrap();
        let address = local_address(first.as_fd()).unwrap();
        let second = listen(address, &options).unwrap();
        assert_eq!(local_address(second.as_fd()).unwrap(), address);
    }

    #[test]
    fn refused_connects_say_so() {
        let listener = listen("127.0.0.1:0".parse().unwrap(), &ListenOptions::default()).unwrap();
        let address = local_address(listener.as_fd()).unwrap();
        drop(listener);
        let socket = outgoing(address).unwrap();
        let error = match connect(socket.as_fd(), address) {
            Ok(_) => take_error(socket.as_fd()).unwrap(),
            Err(error) => error.raw_os_error().unwrap_or(0),
        };
        assert_eq!(error, libc::ECONNREFUSED);
        assert_eq!(take_error(socket.as_fd()).unwrap(), 0);
    }
}
