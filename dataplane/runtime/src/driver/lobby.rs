//! Connections that were accepted and are not yet adopted or refused.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use fastpath_sys::socket;
use penstock_core::event::{Event, Incoming};

use crate::listen::ListenSocket;

/// The waiting ones, in the order in which they are offered. The machine answers each at once, so
/// that there is rarely more than one but when a backlog is emptied, and it is the first that is
/// asked for.
#[derive(Default)]
pub(super) struct Lobby(VecDeque<OwnedFd>);

impl Lobby {
    /// Takes one connection from a socket's backlog; the listening socket must be non-blocking.
    pub(super) fn accept(&mut self, listener: &ListenSocket) -> io::Result<Event> {
        let (fd, remote) = socket::accept(listener.socket.as_fd())?;
        self.offer(listener, fd, remote)
    }

    /// The event by which a connection is offered to the machine.
    pub(super) fn offer(
        &mut self,
        listener: &ListenSocket,
        fd: OwnedFd,
        remote: SocketAddr,
    ) -> io::Result<Event> {
        // Only a socket bound to a wildcard address has to be asked where the client came in.
        let local = match listener.address.ip().is_unspecified() {
            true => socket::local_address(fd.as_fd())?,
            false => listener.address,
        };
        let incoming = Incoming(fd.as_raw_fd() as u32);
        self.0.push_back(fd);
        Ok(Event::Accepted {
            listener: listener.listener,
            incoming,
            remote,
            local,
        })
    }

    /// The connection that the machine has decided on.
    pub(super) fn take(&mut self, incoming: Incoming) -> Option<OwnedFd> {
        let here = |fd: &OwnedFd| fd.as_raw_fd() as u32 == incoming.0;
        let position = self.0.iter().position(here);
        debug_assert!(
            position.is_some(),
            "an answer to a connection that was not offered"
        );
        self.0.remove(position?)
    }
}
