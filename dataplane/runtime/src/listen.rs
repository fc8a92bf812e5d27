//! Listening sockets: bound off the data cores, one per worker, before a worker hears of them.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::Duration;

use fastpath_sys::socket::{self, ListenOptions};
use penstock_core::config::ListenerId;

/// A listening socket on its way to a worker.
#[derive(Debug)]
pub struct ListenSocket {
    /// The listener it belongs to.
    pub listener: ListenerId,
    /// Its address, the port resolved.
    pub address: SocketAddr,
    /// The socket.
    pub socket: OwnedFd,
}

/// The sockets of one address, one per worker.
#[derive(Debug)]
pub struct ListenGroup {
    /// The listener they belong to.
    pub listener: ListenerId,
    /// Their address, the port resolved.
    pub address: SocketAddr,
    /// One per worker, in the order of the workers.
    pub sockets: Vec<ListenSocket>,
}

/// Whether other sockets may already listen on the address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sharing {
    /// No: with SO_REUSEPORT alone, a second gateway of the same user would silently get half of
    /// the connections, so it is tried without first.
    Refused,
    /// Yes, as when a new process takes over.
    Allowed,
}

/// How often an address in use is tried again, and after which pause: half a second in all.
const LINGER_PAUSES: u32 = 25;
const LINGER_PAUSE: Duration = Duration::from_millis(20);

/// Binds one socket per worker to `address` and lets them listen.
pub fn bind(
    listener: ListenerId,
    address: SocketAddr,
    workers: usize,
    options: &ListenOptions,
    sharing: Sharing,
) -> Result<ListenGroup, BindError> {
    let fail = |cause| BindError { address, cause };
    if sharing == Sharing::Refused && address.port() != 0 {
        let alone = ListenOptions {
            reuse_port: false,
            ..options.clone()
        };
        bind_alone(address, &alone).map_err(fail)?;
    }
    let options = ListenOptions {
        reuse_port: true,
        ..options.clone()
    };
    bind_all(listener, address, workers, &options).map_err(fail)
}

/// Tries the address for itself, patiently: the kernel takes the sockets of an io_uring apart only
/// some milliseconds after its process has ended, and a restart must not fail for that.
fn bind_alone(address: SocketAddr, options: &ListenOptions) -> io::Result<()> {
    for _ in 0..LINGER_PAUSES {
        match socket::listen(address, options) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => thread::sleep(LINGER_PAUSE),
            listened => return listened.map(drop),
        }
    }
    socket::listen(address, options).map(drop)
}

fn bind_all(
    listener: ListenerId,
    mut address: SocketAddr,
    workers: usize,
    options: &ListenOptions,
) -> io::Result<ListenGroup> {
    let mut sockets = Vec::with_capacity(workers);
    for _ in 0..workers {
        let socket = socket::listen(address, options)?;
        // The first one resolves port 0 for the others.
        address = socket::local_address(socket.as_fd())?;
        sockets.push(ListenSocket {
            listener,
            address,
            socket,
        });
    }
    Ok(ListenGroup {
        listener,
        address,
        sockets,
    })
}

/// An address could not be bound.
#[derive(Debug)]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub cause: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}", self.address)?;
        match self.cause.kind() {
            io::ErrorKind::AddrInUse => f.write_str(
                ": the address is in use; stop the program that listens there \
                 (ss -ltnp shows it) or choose another port",
            ),
            io::ErrorKind::PermissionDenied => f.write_str(
                ": not permitted; ports below 1024 need CAP_NET_BIND_SERVICE or a lower \
                 net.ipv4.ip_unprivileged_port_start",
            ),
            io::ErrorKind::AddrNotAvailable => {
                f.write_str(": this machine does not have the address; ip addr shows those it has")
            }
            _ => Ok(()),
        }
    }
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_shares_one_port_and_refuses_strangers() {
        let any = "127.0.0.1:0".parse().unwrap();
        let options = ListenOptions::default();
        let bind = |address, sharing| bind(ListenerId(1), address, 3, &options, sharing);
        let group = bind(any, Sharing::Refused).unwrap();
        assert_eq!(group.sockets.len(), 3);
        assert!(
            group
                .sockets
                .iter()
                .all(|socket| socket.address == group.address)
        );
        let refused = bind(group.address, Sharing::Refused).unwrap_err();
        assert!(refused.to_string().contains("the address is in use"));
        assert!(bind(group.address, Sharing::Allowed).is_ok());
    }

    #[test]
    fn a_foreign_address_is_named() {
        let foreign = "192.0.2.1:80".parse().unwrap();
        let options = ListenOptions::default();
        let error = bind(ListenerId(0), foreign, 1, &options, Sharing::Refused).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot listen on 192.0.2.1:80: this machine")
        );
    }
}
