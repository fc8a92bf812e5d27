//! On tokio: one current_thread runtime, a task for each connection with tokio's own
//! `copy_bidirectional`, TCP_NODELAY on both sides.

use std::io;
use std::net::SocketAddr;

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};

use crate::subject::{BLOCK, announce, anywhere};

pub(crate) fn serve(origin: SocketAddr) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(accept(origin))
}

async fn accept(origin: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(anywhere()).await?;
    announce(listener.local_addr()?)?;
    loop {
        let (downstream, _) = listener.accept().await?;
        // A connection that breaks ends alone; the load notices.
        tokio::spawn(async move { relay(downstream, origin).await.ok() });
    }
}

async fn relay(mut downstream: TcpStream, origin: SocketAddr) -> io::Result<()> {
    let mut upstream = TcpStream::connect(origin).await?;
    downstream.set_nodelay(true)?;
    upstream.set_nodelay(true)?;
    copy_bidirectional_with_sizes(&mut downstream, &mut upstream, BLOCK, BLOCK).await?;
    Ok(())
}
