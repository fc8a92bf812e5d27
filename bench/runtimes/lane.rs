//! One direction of a relay over poll-based streams: one block, read then written.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::io::{AsyncRead, AsyncWrite};

use crate::subject::BLOCK;

/// See the file.
pub(crate) struct Lane {
    block: Vec<u8>,
    /// Bytes of the block that were read, and how many of them were written.
    filled: usize,
    written: usize,
}

impl Lane {
    pub(crate) fn new() -> Self {
        Self {
            block: vec![0; BLOCK],
            filled: 0,
            written: 0,
        }
    }

    /// Moves bytes until nothing can be moved; ready when `from` has ended and all is written.
    pub(crate) fn poll<F, T>(
        &mut self,
        task: &mut Context<'_>,
        mut from: Pin<&mut F>,
        mut to: Pin<&mut T>,
    ) -> Poll<io::Result<()>>
    where
        F: AsyncRead,
        T: AsyncWrite,
    {
        loop {
            while self.written < self.filled {
                let rest = &self.block[self.written..self.filled];
                match ready!(to.as_mut().poll_write(task, rest))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    count => self.written += count,
                }
            }
            self.filled = ready!(from.as_mut().poll_read(task, &mut self.block))?;
            self.written = 0;
            if self.filled == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
