//! On our own worker: perf-lab's relay machine behind one of the gateway's drivers.

use std::io;
use std::net::SocketAddr;

use penstock_runtime::Preference;
use perf_lab::relay::Driven;

use crate::subject::{announce, anywhere};

pub(crate) fn serve(driver: Preference, origin: SocketAddr) -> io::Result<()> {
    let relay = Driven::start(driver, anywhere(), origin)?;
    announce(relay.address())?;
    // The worker has a thread of its own; this one only keeps it alive.
    loop {
        std::thread::park();
    }
}
