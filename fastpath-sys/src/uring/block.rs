//! Memory on its way to the kernel and back.

use std::mem::ManuallyDrop;
use std::ops::Range;
use std::ptr::NonNull;

/// A block of bytes and the part of it that counts: what to send, where to receive, or what
/// arrived.
#[derive(Debug)]
pub struct Block {
    /// All of it.
    pub bytes: Box<[u8]>,
    /// The part that counts; it must lie inside.
    pub window: Range<usize>,
}

/// A block while the kernel may touch it: owned, but not a `Box`, because a box claims that nobody
/// else reaches its memory, and may not be moved while somebody does.
pub(super) struct Held {
    bytes: NonNull<[u8]>,
    start: u32,
    len: u32,
}

impl Held {
    pub(super) fn new(block: Block) -> Self {
        let Range { start, end } = block.window;
        assert!(
            start <= end && end <= block.bytes.len(),
            "window outside the block"
        );
        let (start, len) = match (u32::try_from(start), u32::try_from(end - start)) {
            (Ok(start), Ok(len)) => (start, len),
            _ => panic!("the kernel counts in 32 bits"),
        };
        let bytes = NonNull::from(Box::leak(block.bytes));
        Self { bytes, start, len }
    }

    /// Where the window starts, for the kernel.
    pub(super) fn window(&self) -> *mut u8 {
        // SAFETY: `new` checked that the window lies inside the block.
        unsafe { self.bytes.as_ptr().cast::<u8>().add(self.start as usize) }
    }

    /// Length of the window.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// The block, once the kernel has let go of it.
    pub(super) fn into_block(self) -> Block {
        let held = ManuallyDrop::new(self);
        let start = held.start as usize;
        // SAFETY: the pointer came from `Box::leak` in `new`, and `held` is never dropped, so that
        // this is the only box made of it again. The caller knows that the kernel has let go.
        let bytes = unsafe { Box::from_raw(held.bytes.as_ptr()) };
        Block {
            bytes,
            window: start..start + held.len as usize,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: as in `into_block`. Held values live in flights and groups, which the ring leaks
        // while the kernel holds them.
        drop(unsafe { Box::from_raw(self.bytes.as_ptr()) });
    }
}
