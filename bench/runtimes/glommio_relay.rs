//! On glommio: one executor that never spins, a task for each connection that drives both lanes;
//! TCP_NODELAY on both sides, unbuffered streams (a buffered one would copy once more).
//! Ring depths from 128 to 4096 cost the same within the noise.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::Poll;

use futures_lite::future::poll_fn;
use glommio::net::{TcpListener, TcpStream};
use glommio::{LocalExecutorBuilder, Placement};

use crate::lane::Lane;
use crate::subject::{announce, anywhere};

const RING_DEPTH: usize = 4096;

/// Placement is left to the affinity that the process was given.
pub(crate) fn serve(origin: SocketAddr) -> io::Result<()> {
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .ring_depth(RING_DEPTH)
        .make()?;
    executor.run(accept(origin))
}

async fn accept(origin: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(anywhere())?;
    announce(listener.local_addr()?)?;
    loop {
        let downstream = listener.accept().await?;
        // A connection that breaks ends alone; the load notices.
        glommio::spawn_local(async move { relay(downstream, origin).await.ok() }).detach();
    }
}

async fn relay(mut downstream: TcpStream, origin: SocketAddr) -> io::Result<()> {
    let mut upstream = TcpStream::connect(origin).await?;
    downstream.set_nodelay(true)?;
    upstream.set_nodelay(true)?;
    let (mut requests, mut responses) = (Lane::new(), Lane::new());
    let (mut ends, mut open) = ([false; 2], 2);
    while open > 0 {
        let ended = poll_fn(|task| {
            let (one, other) = (Pin::new(&mut downstream), Pin::new(&mut upstream));
            if !ends[0]
                && let Poll::Ready(end) = requests.poll(task, one, other)
            {
                return Poll::Ready(end.map(|()| 0));
            }
            let (one, other) = (Pin::new(&mut upstream), Pin::new(&mut downstream));
            if !ends[1]
                && let Poll::Ready(end) = responses.poll(task, one, other)
            {
                return Poll::Ready(end.map(|()| 1));
            }
            Poll::Pending
        });
        let ended = ended.await?;
        ends[ended] = true;
        open -= 1;
        let towards = [&upstream, &downstream][ended];
        towards.shutdown(Shutdown::Write).await?;
    }
    Ok(())
}
