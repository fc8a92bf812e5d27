//! The provided-buffer ring: blocks that the kernel may receive into, without saying beforehand
//! which.
//!
//! The ring itself is an array of (address, length, id) that we fill and the kernel empties; its
//! tail, in the last two bytes of the first entry, publishes what we wrote. Every block is either
//! in `held` (the kernel may write to it) or outside of this module.

use std::alloc::{self, Layout};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering::Release};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

use super::GROUP;
use super::block::{Block, Held};

/// Alignment that the kernel asks of the array.
const PAGE: usize = 4096;
/// Most entries that the kernel takes.
const ENTRIES_MAX: u16 = 1 << 15;

pub(super) struct Group {
    ring: NonNull<BufRingEntry>,
    layout: Layout,
    mask: u16,
    tail: u16,
    /// Blocks in the ring by their id.
    held: Box<[Option<Held>]>,
    /// Ids that are not in the ring.
    free: Vec<u16>,
}

impl Group {
    /// Registers a ring for at least `entries` blocks (rounded up to a power of two).
    pub(super) fn register(io: &IoUring, entries: u16) -> io::Result<Self> {
        let entries = entries.clamp(1, ENTRIES_MAX).next_power_of_two();
        let layout = Layout::array::<BufRingEntry>(usize::from(entries))
            .and_then(|layout| layout.align_to(PAGE))
            .map_err(io::Error::other)?;
        // SAFETY: the layout is not empty, since there is at least one entry.
        let memory = unsafe { alloc::alloc_zeroed(layout) };
        let Some(ring) = NonNull::new(memory.cast::<BufRingEntry>()) else {
            alloc::handle_alloc_error(layout)
        };
        let group = Self {
            ring,
            layout,
            mask: entries - 1,
            tail: 0,
            held: (0..entries).map(|_| None).collect(),
            free: (0..entries).rev().collect(),
        };
        let address = ring.as_ptr() as u64;
        // SAFETY: the array is page-aligned, has room for `entries` entries, and is freed only when
        // the group is dropped, which the ring does after it unregistered the group and closed.
        unsafe {
            io.submitter()
                .register_buf_ring_with_flags(address, entries, GROUP, 0)
        }?;
        Ok(group)
    }

    pub(super) fn stocked(&self) -> usize {
        self.held.len() - self.free.len()
    }

    pub(super) fn limit(&self) -> usize {
        self.held.len()
    }

    /// Puts a block into the ring; hands it back if the ring is full.
    pub(super) fn stock(&mut self, block: Block) -> Result<(), Block> {
        if self.free.is_empty() {
            return Err(block);
        }
        let held = Held::new(block);
        let Some(id) = self.free.pop() else {
            return Err(held.into_block());
        };
        let slot = usize::from(self.tail & self.mask);
        let wire = WireEntry {
            address: held.window() as u64,
            len: held.len(),
            id,
        };
        // SAFETY: the slot lies inside the array. The kernel reads it only below the tail that it
        // sees, and at most `entries` blocks are in the ring, so it is done with this slot. It is
        // written without a reference, which would claim the whole array entry, and in the first
        // one the kernel reads the tail at the same time.
        unsafe { wire.write(self.ring.as_ptr().add(slot)) };
        self.held[usize::from(id)] = Some(held);
        self.tail = self.tail.wrapping_add(1);
        self.publish();
        Ok(())
    }

    /// Puts a block back that was just taken out.
    pub(super) fn restock(&mut self, block: Block) {
        let full = self.stock(block).is_err();
        debug_assert!(!full, "its own id is free");
    }

    fn publish(&self) {
        // SAFETY: the pointer is to the first entry of the array, which is valid and initialized.
        let tail = unsafe { BufRingEntry::tail(self.ring.as_ptr()) };
        // SAFETY: the tail is two aligned bytes inside the array that only we write and that the
        // kernel reads atomically; no reference to the entry is alive here.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        // Release: the kernel must see the entries before the tail that covers them.
        tail.store(self.tail, Release);
    }

    /// Takes out the block that the kernel filled with `count` bytes.
    pub(super) fn take(&mut self, id: u16, count: u32) -> Option<Block> {
        let held = self.held.get_mut(usize::from(id))?.take()?;
        self.free.push(id);
        let room = held.len();
        let mut block = held.into_block();
        block.window.end = block.window.start + count.min(room) as usize;
        if count == 0 {
            // Nothing arrived: the whole window is to be received into again.
            block.window.end = block.window.start + room as usize;
        }
        Some(block)
    }
}

/// What `struct io_uring_buf` begins with: all that we write of it.
struct WireEntry {
    address: u64,
    len: u32,
    id: u16,
}

impl WireEntry {
    /// Writes the three fields one by one: in the first entry, the two bytes behind them are the
    /// tail.
    ///
    /// # Safety
    /// `entry` must be valid for writes, and the kernel must not read these fields meanwhile.
    unsafe fn write(self, entry: *mut BufRingEntry) {
        let entry = entry.cast::<u8>();
        // SAFETY: the offsets are those of the kernel's ABI, inside the 16 bytes of an entry, which
        // is aligned for each of them; the rest is the caller's promise.
        unsafe {
            entry.cast::<u64>().write(self.address);
            entry.add(8).cast::<u32>().write(self.len);
            entry.add(12).cast::<u16>().write(self.id);
        }
    }
}

const _: () = assert!(size_of::<BufRingEntry>() == 16 && align_of::<BufRingEntry>() >= 8);

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: allocated in `register` with this layout; the ring has unregistered the group or
        // closed.
        unsafe { alloc::dealloc(self.ring.as_ptr().cast(), self.layout) };
    }
}
