//! A message on its way out: a head that is kept, and a body of the pattern that never is.
//!
//! Where a write goes on follows from the number of bytes written so far, so a message is shared
//! by all connections that send it, and 100 MB cost no memory.

use std::io::IoSlice;

use crate::pattern;

/// Data bytes of one chunk.
const CHUNK: u64 = 16 * 1024;
/// `4000\r\n`: in front of each whole chunk.
const LINE: &[u8] = b"4000\r\n";
const LINE_END: &[u8] = b"\r\n";

/// A message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outgoing {
    head: Vec<u8>,
    /// Bytes of the pattern that follow.
    body: u64,
    chunked: bool,
    /// Size line of the last chunk, which is shorter.
    last_line: Vec<u8>,
    /// What stands behind the last chunk.
    closing: &'static [u8],
}

impl Outgoing {
    /// A head alone, or with a body in it.
    pub(crate) fn plain(head: Vec<u8>, body: u64) -> Self {
        Self {
            head,
            body,
            ..Self::default()
        }
    }

    /// A body in chunks; `closing` is the last chunk with its trailers.
    pub(crate) fn chunked(head: Vec<u8>, body: u64, closing: &'static [u8]) -> Self {
        Self {
            head,
            body,
            chunked: true,
            last_line: format!("{:x}\r\n", body % CHUNK).into_bytes(),
            closing,
        }
    }

    /// The memory of the head, to write another one into.
    pub(crate) fn into_head(self) -> Vec<u8> {
        self.head
    }

    /// True if `written` bytes are all.
    pub(crate) fn is_done(&self, written: u64) -> bool {
        self.piece(written).is_none()
    }

    /// What follows the first `written` bytes, at most `most` bytes; says how many slices.
    pub(crate) fn slices<'a>(
        &'a self,
        written: u64,
        most: u64,
        slices: &mut [IoSlice<'a>],
    ) -> usize {
        let (mut at, end) = (written, written.saturating_add(most));
        let mut count = 0;
        while let Some(piece) = self.piece(at).filter(|_| count < slices.len() && at < end) {
            let length = (piece.len() as u64).min(end - at) as usize;
            slices[count] = IoSlice::new(&piece[..length]);
            at += length as u64;
            count += 1;
        }
        count
    }

    /// The bytes at `at`, as many as lie together; `None` at the end.
    fn piece(&self, at: u64) -> Option<&[u8]> {
        let head = self.head.len() as u64;
        if at < head {
            return Some(&self.head[at as usize..]);
        }
        match self.chunked {
            true => self.chunk_piece(at - head),
            false if at - head < self.body => {
                Some(pattern::block_at(at - head, self.body - (at - head)))
            }
            false => None,
        }
    }

    fn chunk_piece(&self, at: u64) -> Option<&[u8]> {
        let whole = LINE.len() as u64 + CHUNK + LINE_END.len() as u64;
        let (chunk, within) = (at / whole, at % whole);
        if chunk < self.body / CHUNK {
            return Self::within_chunk(LINE, chunk, CHUNK, within);
        }
        let (within, last) = (at - self.body / CHUNK * whole, self.body % CHUNK);
        let length = match last {
            0 => 0,
            _ => self.last_line.len() as u64 + last + LINE_END.len() as u64,
        };
        if within < length {
            return Self::within_chunk(&self.last_line, self.body / CHUNK, last, within);
        }
        let rest = self.closing.get((within - length) as usize..)?;
        (!rest.is_empty()).then_some(rest)
    }

    fn within_chunk(line: &[u8], chunk: u64, size: u64, at: u64) -> Option<&[u8]> {
        let Some(at) = at.checked_sub(line.len() as u64) else {
            return line.get(at as usize..);
        };
        match at < size {
            true => Some(pattern::block_at(chunk * CHUNK + at, size - at)),
            false => LINE_END.get((at - size) as usize..),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Body;

    /// Writes in steps of `step` bytes.
    fn written(message: &Outgoing, step: u64) -> Vec<u8> {
        let (mut bytes, mut slices) = (Vec::new(), [IoSlice::new(&[]); 3]);
        while !message.is_done(bytes.len() as u64) {
            let count = message.slices(bytes.len() as u64, step, &mut slices);
            slices[..count]
                .iter()
                .for_each(|slice| bytes.extend_from_slice(slice));
        }
        bytes
    }

    #[track_caller]
    fn check(message: &Outgoing, mut framing: Body, size: u64) {
        let bytes = written(message, u64::MAX);
        assert_eq!(bytes, written(message, 7));
        let (mut data, head) = (Vec::new(), message.head.len());
        let used = framing.read(&bytes[head..], |part| data.extend_from_slice(part));
        assert_eq!((used, data.len() as u64), (Ok(bytes.len() - head), size));
        assert!(framing.is_complete() && pattern::holds(&data, 0));
    }

    #[test]
    fn messages_are_written_from_any_point_on() {
        let head = || b"head\r\n\r\n".to_vec();
        for size in [0, 1, 4096, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 100_003] {
            check(&Outgoing::plain(head(), size), Body::Bytes(size), size);
            let closing = b"0\r\nx: y\r\n\r\n";
            let chunked = Outgoing::chunked(head(), size, closing);
            check(&chunked, Body::ChunkLine, size);
        }
    }
}
