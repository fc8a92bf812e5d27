//! Sockets that never block, and as few calls for each as there can be.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Slices of one vectored write.
pub(crate) const SLICES: usize = 16;
/// Connections from one loopback address before the next one is used: fewer than there are
/// ephemeral ports.
const PER_SOURCE: usize = 20_000;
/// Connections that wait to be taken.
const BACKLOG: i32 = 4096;
/// Descriptors for all that is no connection of a load.
const SPARE_DESCRIPTORS: u64 = 64;
/// Receive buffer of a slow connection, so that what it does not read waits elsewhere.
const SLOW_RECEIVE: usize = 4096;

/// Begins to connect. On loopback the connection stands when this returns; elsewhere an edge says
/// so. The `number`-th connection of many to a loopback address may come from a further one.
pub(crate) fn connect(to: SocketAddr, number: usize, slow: bool) -> io::Result<TcpStream> {
    let family = match to {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    if slow {
        sockopt::set_socket_recv_buffer_size(&socket, SLOW_RECEIVE)?;
    }
    if let Some(source) = source(to, number) {
        net::bind(&socket, &source)?;
    }
    match net::connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error.into()),
    }
}

/// 127.0.0.2 and so on once the ports of 127.0.0.1 run out.
fn source(to: SocketAddr, number: usize) -> Option<SocketAddr> {
    let further = u8::try_from(number / PER_SOURCE)
        .ok()
        .filter(|further| *further > 0)?;
    let is_v4_loopback = matches!(to.ip(), IpAddr::V4(ip) if ip.is_loopback());
    is_v4_loopback.then(|| (Ipv4Addr::new(127, 0, 0, 1_u8.saturating_add(further)), 0).into())
}

/// Makes a listening socket ready: it does not block, its connections have TCP_NODELAY (Linux lets
/// them inherit it), and many may wait to be taken.
pub(crate) fn prepare(listener: &TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    sockopt::set_tcp_nodelay(listener, true)?;
    net::listen(listener, BACKLOG)?;
    raise_descriptor_limit();
    Ok(())
}

/// Takes a connection, which does not block.
pub(crate) fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(TcpStream::from(net::accept_with(listener, flags)?))
}

/// Allows as many descriptors as this process may have; says how many.
pub(crate) fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(_) => limit.current.unwrap_or(u64::MAX),
    }
}

/// Makes sure that so many connections can be open at once.
pub(crate) fn allow(connections: usize) -> io::Result<()> {
    let (limit, need) = (
        raise_descriptor_limit(),
        connections as u64 + SPARE_DESCRIPTORS,
    );
    if need <= limit {
        return Ok(());
    }
    let why = format!(
        "{connections} connections need {need} descriptors and this process may have {limit}; \
         raise the limit (ulimit -Hn) or ask for fewer connections"
    );
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}
