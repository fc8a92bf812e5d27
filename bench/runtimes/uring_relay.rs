//! On tokio-uring: a task for each direction, which owns its buffer and hands it to the kernel and
//! back; TCP_NODELAY on both sides, a large ring for one submitting thread. Registered buffers
//! (`read_fixed`) and `COOP_TASKRUN` were tried and cost the same within the noise.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;

use tokio_uring::buf::BoundedBuf;
use tokio_uring::net::{TcpListener, TcpStream};

use crate::subject::{BLOCK, announce, anywhere};

const ENTRIES: u32 = 4096;

pub(crate) fn serve(origin: SocketAddr) -> io::Result<()> {
    let mut ring = tokio_uring::uring_builder();
    ring.setup_single_issuer();
    let mut builder = tokio_uring::builder();
    builder.entries(ENTRIES).uring_builder(&ring);
    builder.start(accept(origin))
}

async fn accept(origin: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(anywhere())?;
    announce(listener.local_addr()?)?;
    loop {
        let (downstream, _) = listener.accept().await?;
        // A connection that breaks ends alone; the load notices.
        tokio_uring::spawn(async move { relay(downstream, origin).await.ok() });
    }
}

async fn relay(downstream: TcpStream, origin: SocketAddr) -> io::Result<()> {
    let upstream = TcpStream::connect(origin).await?;
    downstream.set_nodelay(true)?;
    upstream.set_nodelay(true)?;
    let (downstream, upstream) = (Rc::new(downstream), Rc::new(upstream));
    let requests = lane(Rc::clone(&downstream), Rc::clone(&upstream));
    tokio_uring::spawn(async move { requests.await.ok() });
    lane(upstream, downstream).await
}

/// One direction until its end.
async fn lane(from: Rc<TcpStream>, to: Rc<TcpStream>) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    loop {
        let (count, read) = from.read(block).await;
        let count = count?;
        if count == 0 {
            return to.shutdown(Shutdown::Write);
        }
        let (written, slice) = to.write_all(read.slice(..count)).await;
        written?;
        block = slice.into_inner();
    }
}
