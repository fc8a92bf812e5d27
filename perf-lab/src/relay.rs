//! The null relays: TCP relays that parse nothing, on one thread. The floor of every proxy that
//! goes through the kernel's TCP: what a gateway costs beyond them is the price of HTTP.
//!
//! | relay | what it shows |
//! |---|---|
//! | [`run`] (plain) | epoll and a copy, as simple as a relay can be: the floor by default |
//! | [`Driven`] on epoll | the same work through our worker and its epoll driver |
//! | [`Driven`] on io_uring | what the ring can gain before any HTTP |
//!
//! One upstream connection for each downstream one.

mod machine;
mod plain;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use penstock_core::buffer::BufferPool;
use penstock_core::config::{ListenerId, Snapshot};
use penstock_core::limits::{BUFFER_PAYLOAD, BUFFERS_PER_WORKER};
use penstock_runtime::listen::{self, Sharing};
use penstock_runtime::{ListenOptions, Options, Placement, Preference, Runtime};

pub use machine::RelayMachine;
pub use plain::run;

/// A relay on the gateway's own worker: one of them, where the process may run.
pub struct Driven {
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Driven {
    /// Relays every connection to `listen` (port 0 for any free one) to `origin`.
    ///
    /// # Errors
    /// If the address is taken, or the driver does not work here; the text says what to do.
    pub fn start(driver: Preference, listen: SocketAddr, origin: SocketAddr) -> io::Result<Self> {
        let options = ListenOptions::default();
        let group = listen::bind(ListenerId(0), listen, 1, &options, Sharing::Refused)
            .map_err(io::Error::other)?;
        let address = group.address;
        let options = Options {
            driver,
            ..Options::new(Placement::new(Some(1))?)
        };
        let machine = move |_| {
            let pool = BufferPool::new(BUFFER_PAYLOAD, BUFFERS_PER_WORKER);
            RelayMachine::new(origin, pool)
        };
        let runtime = Runtime::start(options, Arc::new(Snapshot::default()), vec![group], machine)
            .map_err(io::Error::other)?;
        Ok(Self {
            address,
            runtime: Some(runtime),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The driver, and what is used of it.
    pub fn driver(&self) -> String {
        let runtime = self.runtime.as_ref();
        runtime.map_or_else(String::new, |runtime| runtime.driver().to_string())
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.stop();
        }
    }
}
