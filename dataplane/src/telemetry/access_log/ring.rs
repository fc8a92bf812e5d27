//! The ring between one worker and the writer: frames of sink, length and line.

use std::sync::Arc;
use std::thread::Thread;

use penstock_core::config::SinkId;
use rtrb::{Consumer, Producer, RingBuffer};

use super::Sinks;

/// Bytes before a line: sink (2) and length (4), little endian.
const HEADER: usize = 6;

/// The writer is woken when this share of a ring has been filled since the last wake-up: often
/// enough that a burst finds room, rarely enough that the system call does not show.
const WAKE_SHARE: usize = 8;

/// A worker's end. Belongs to one thread.
#[derive(Debug)]
pub struct LogRing {
    ring: Producer<u8>,
    sinks: Arc<Sinks>,
    writer: Option<Thread>,
    since_wake: usize,
}

impl LogRing {
    /// Gives a line, its line end included, to `sink`. All of it or nothing: false means that the
    /// ring is full, and the line is dropped and counted.
    #[inline]
    pub fn push(&mut self, sink: SinkId, line: &[u8]) -> bool {
        if self.put(sink, line).is_none() {
            self.sinks.count_ring_full(sink);
            self.wake();
            return false;
        }
        self.since_wake += HEADER + line.len();
        if self.since_wake > self.ring.buffer().capacity() / WAKE_SHARE {
            self.wake();
        }
        true
    }

    fn put(&mut self, sink: SinkId, line: &[u8]) -> Option<()> {
        let header = header(sink, line.len())?;
        let mut chunk = self.ring.write_chunk(HEADER + line.len()).ok()?;
        let (first, second) = chunk.as_mut_slices();
        copy_split(&[&header, line], first, second);
        chunk.commit_all();
        Some(())
    }

    fn wake(&mut self) {
        self.since_wake = 0;
        if let Some(writer) = &self.writer {
            writer.unpark();
        }
    }

    pub(super) fn wakes(&mut self, writer: Thread) {
        self.writer = Some(writer);
    }
}

/// The writer's end.
#[derive(Debug)]
pub(super) struct Drain {
    ring: Consumer<u8>,
}

impl Drain {
    /// Takes out what is there now and calls `write` per line; true if there was any.
    ///
    /// Bounded: lines that arrive meanwhile wait for the next call.
    pub(super) fn drain(&mut self, mut write: impl FnMut(SinkId, &[u8], &[u8])) -> bool {
        let mut left = self.ring.slots();
        let any = left > 0;
        while left > 0 {
            let taken = self.take(&mut write);
            assert!(taken <= left, "frames are committed whole");
            left -= taken;
        }
        any
    }

    fn take(&mut self, write: &mut impl FnMut(SinkId, &[u8], &[u8])) -> usize {
        let mut header = [0; HEADER];
        self.ring
            .pop_entire_slice(&mut header)
            .expect("frames are committed whole");
        let [s0, s1, l0, l1, l2, l3] = header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let line = self
            .ring
            .read_chunk(length)
            .expect("frames are committed whole");
        let (first, second) = line.as_slices();
        write(SinkId(u16::from_le_bytes([s0, s1])), first, second);
        line.commit_all();
        HEADER + length
    }
}

/// A ring of `bytes` bytes.
pub(super) fn ring(bytes: usize, sinks: Arc<Sinks>) -> (LogRing, Drain) {
    let (producer, consumer) = RingBuffer::new(bytes);
    let worker = LogRing {
        ring: producer,
        sinks,
        writer: None,
        since_wake: 0,
    };
    (worker, Drain { ring: consumer })
}

fn header(sink: SinkId, length: usize) -> Option<[u8; HEADER]> {
    let [s0, s1] = sink.0.to_le_bytes();
    let [l0, l1, l2, l3] = u32::try_from(length).ok()?.to_le_bytes();
    Some([s0, s1, l0, l1, l2, l3])
}

/// Copies `parts`, one after the other, over `first` and then `second`, which together are as long.
fn copy_split(parts: &[&[u8]], mut first: &mut [u8], mut second: &mut [u8]) {
    for part in parts {
        let (head, tail) = part.split_at(part.len().min(first.len()));
        first
            .split_off_mut(..head.len())
            .unwrap_or_default()
            .copy_from_slice(head);
        second
            .split_off_mut(..tail.len())
            .unwrap_or_default()
            .copy_from_slice(tail);
    }
}
