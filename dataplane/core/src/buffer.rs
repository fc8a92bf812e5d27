//! Buffers: owned blocks of bytes with room in front and behind.
//!
//! A buffer has exactly one owner at any time: the pool, the core, or the driver (and through it
//! the kernel). It moves between them by value, so no two sides ever look at the same bytes.
//! Headroom lets a new head or chunk line be written in front of a body without copying the body;
//! tailroom takes the closing bytes of a chunk.

use std::fmt;
use std::ops::Range;

/// Bytes kept free in front of what a driver receives.
pub const HEADROOM: usize = 512;
/// Bytes kept free behind what a driver receives.
pub const TAILROOM: usize = 64;

/// A block of bytes with a window: `headroom | window | tailroom`.
pub struct Buffer {
    bytes: Box<[u8]>,
    start: u32,
    end: u32,
}

impl Buffer {
    /// A buffer that can receive `payload` bytes; its window is empty and starts behind the
    /// headroom.
    pub fn with_payload(payload: usize) -> Self {
        let bytes = vec![0; HEADROOM + payload + TAILROOM].into_boxed_slice();
        Self {
            bytes,
            start: HEADROOM as u32,
            end: HEADROOM as u32,
        }
    }

    /// The bytes of the window.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start as usize..self.end as usize]
    }

    /// The bytes of the window, writable.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start as usize..self.end as usize]
    }

    /// Number of bytes in the window.
    #[inline]
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// True if the window is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Bytes free in front of the window.
    #[inline]
    pub fn headroom(&self) -> usize {
        self.start as usize
    }

    /// Bytes free behind the window.
    #[inline]
    pub fn tailroom(&self) -> usize {
        self.bytes.len() - self.end as usize
    }

    /// How many bytes a driver may receive behind the window without touching the reserved
    /// tailroom.
    #[inline]
    pub fn receivable(&self) -> usize {
        self.tailroom().saturating_sub(TAILROOM)
    }

    /// The free bytes behind the window, for a driver to receive into (tailroom stays reserved).
    #[inline]
    pub fn spare_mut(&mut self) -> &mut [u8] {
        let limit = self.bytes.len() - TAILROOM;
        let end = (self.end as usize).min(limit);
        &mut self.bytes[end..limit]
    }

    /// Takes `count` bytes that were written to [`Buffer::spare_mut`] into the window.
    ///
    /// # Panics
    /// If `count` is larger than the spare room.
    #[inline]
    pub fn filled(&mut self, count: usize) {
        assert!(
            count <= self.receivable(),
            "filled more bytes than the buffer can receive"
        );
        self.end += count as u32;
    }

    /// Drops `count` bytes at the front of the window.
    ///
    /// # Panics
    /// If the window is shorter.
    #[inline]
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "advance past the end of the window");
        self.start += count as u32;
    }

    /// Shortens the window to its first `len` bytes; a shorter window stays as it is.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        self.end = self.end.min(self.start + len as u32);
    }

    /// Writes `bytes` in front of the window; false (and nothing written) if the headroom is too
    /// small.
    #[inline]
    pub fn prepend(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > self.headroom() {
            return false;
        }
        let end = self.start as usize;
        self.start -= bytes.len() as u32;
        self.bytes[self.start as usize..end].copy_from_slice(bytes);
        true
    }

    /// Writes `bytes` behind the window, using the reserved tailroom too; false (and nothing
    /// written) if they do not fit.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > self.tailroom() {
            return false;
        }
        let start = self.end as usize;
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len() as u32;
        true
    }

    /// Copies as many of `bytes` as fit behind the window without the reserved tailroom; returns
    /// how many.
    #[inline]
    pub fn fill_from(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.receivable());
        self.append(&bytes[..count]);
        count
    }

    /// Empties the window and moves it behind the headroom.
    #[inline]
    pub fn reset(&mut self) {
        self.start = HEADROOM as u32;
        self.end = HEADROOM as u32;
    }

    /// Where the window lies in the block.
    #[inline]
    pub fn window(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Any bytes of the block; a decoder reports by absolute ranges what lies behind its message.
    ///
    /// # Panics
    /// If the range does not lie inside the block.
    #[inline]
    pub fn block(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// Puts the window elsewhere in the block.
    ///
    /// # Panics
    /// If it does not lie inside the block.
    #[inline]
    pub fn set_window(&mut self, window: Range<usize>) {
        assert!(
            window.start <= window.end && window.end <= self.bytes.len(),
            "window outside the block"
        );
        self.start = window.start as u32;
        self.end = window.end as u32;
    }

    /// Copies `range` of the block to `to` in the block; they may overlap.
    ///
    /// # Panics
    /// If one of them does not lie inside the block.
    #[inline]
    pub fn copy_within(&mut self, range: Range<usize>, to: usize) {
        self.bytes.copy_within(range, to);
    }

    /// Size of the whole block in bytes.
    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Gives up the block; a driver hands it to the kernel and rebuilds it with
    /// [`Buffer::from_parts`].
    pub fn into_bytes(self) -> Box<[u8]> {
        self.bytes
    }

    /// A buffer over `bytes` whose window is `start..end`.
    ///
    /// # Panics
    /// If the window does not lie inside the block.
    pub fn from_parts(bytes: Box<[u8]>, start: usize, end: usize) -> Self {
        assert!(
            start <= end && end <= bytes.len(),
            "window outside the block"
        );
        Self {
            bytes,
            start: start as u32,
            end: end as u32,
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes at {})", self.len(), self.start)
    }
}

/// All buffers of one worker: a last-in-first-out store, so that the hottest memory is used again
/// first.
///
/// Buffers are made on demand up to `limit`; after that [`BufferPool::take`] returns `None` and the
/// caller waits or refuses.
#[derive(Debug)]
pub struct BufferPool {
    free: Vec<Buffer>,
    payload: usize,
    made: usize,
    limit: usize,
}

impl BufferPool {
    /// A pool of at most `limit` buffers that each receive `payload` bytes.
    pub fn new(payload: usize, limit: usize) -> Self {
        Self {
            free: Vec::with_capacity(limit),
            payload,
            made: 0,
            limit,
        }
    }

    /// An empty buffer, or `None` when all are in use.
    #[inline]
    pub fn take(&mut self) -> Option<Buffer> {
        if let Some(buffer) = self.free.pop() {
            return Some(buffer);
        }
        if self.made == self.limit {
            return None;
        }
        self.made += 1;
        Some(Buffer::with_payload(self.payload))
    }

    /// Takes a buffer back.
    #[inline]
    pub fn give(&mut self, mut buffer: Buffer) {
        debug_assert!(
            self.free.len() < self.made,
            "more buffers came back than were made"
        );
        buffer.reset();
        self.free.push(buffer);
    }

    /// Buffers that can still be taken.
    #[inline]
    pub fn available(&self) -> usize {
        self.free.len() + (self.limit - self.made)
    }

    /// Buffers that are outside the pool now.
    pub fn in_use(&self) -> usize {
        self.made - self.free.len()
    }

    /// Bytes that each buffer can receive.
    pub fn payload(&self) -> usize {
        self.payload
    }

    /// Most buffers that can exist at once.
    pub fn limit(&self) -> usize {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_grows_both_ways() {
        let mut buffer = Buffer::with_payload(16);
        assert_eq!(buffer.fill_from(b"hello world"), 11);
        buffer.advance(6);
        assert!(buffer.prepend(b"new "));
        assert!(buffer.append(b"\r\n"));
        assert_eq!(buffer.as_slice(), b"new world\r\n");
    }

    #[test]
    fn received_bytes_never_use_the_tailroom() {
        let mut buffer = Buffer::with_payload(4);
        assert_eq!(buffer.fill_from(b"abcdef"), 4);
        assert_eq!(buffer.receivable(), 0);
        assert!(buffer.spare_mut().is_empty());
        assert!(buffer.append(b"\r\n"));
    }

    #[test]
    fn pool_stops_at_its_limit() {
        let mut pool = BufferPool::new(8, 2);
        let first = pool.take().unwrap();
        let _second = pool.take().unwrap();
        assert!(pool.take().is_none());
        pool.give(first);
        assert_eq!(pool.available(), 1);
        assert_eq!(pool.in_use(), 1);
    }
}
