//! The blocks of one send, with the vector by which the kernel finds them.

use std::fmt;
use std::mem;
use std::ptr;

use super::block::{Block, Held};

/// Blocks that leave with one call, in their order.
pub struct Parcel {
    message: libc::msghdr,
    slices: [libc::iovec; Parcel::LIMIT],
    blocks: [Option<Held>; Parcel::LIMIT],
    count: usize,
}

impl Parcel {
    /// Most blocks of a parcel.
    pub const LIMIT: usize = 16;

    /// Adds a block behind the others; hands it back if the parcel is full.
    ///
    /// # Panics
    /// If the window does not lie inside the block.
    pub fn push(&mut self, block: Block) -> Result<(), Block> {
        if self.count == Self::LIMIT {
            return Err(block);
        }
        self.blocks[self.count] = Some(Held::new(block));
        self.count += 1;
        Ok(())
    }

    /// Takes the blocks out, in their order. Only outside of the ring, where the kernel has let go.
    pub fn drain(&mut self) -> impl Iterator<Item = Block> + '_ {
        let count = mem::take(&mut self.count);
        self.blocks[..count]
            .iter_mut()
            .filter_map(|held| held.take().map(Held::into_block))
    }

    pub(super) fn clear(&mut self) {
        self.drain().for_each(drop);
    }

    /// How the kernel finds what is in it. Good as long as the parcel neither moves nor changes,
    /// which the ring sees to: it is lent to the kernel until the send is over.
    pub(super) fn contents(&mut self) -> Contents {
        match &self.blocks[..self.count] {
            [] => Contents::Window(ptr::null(), 0),
            [Some(held)] => Contents::Window(held.window().cast_const(), held.len()),
            _ => Contents::Message(self.message()),
        }
    }

    fn message(&mut self) -> *const libc::msghdr {
        for (slice, held) in self
            .slices
            .iter_mut()
            .zip(self.blocks[..self.count].iter().flatten())
        {
            slice.iov_base = held.window().cast();
            slice.iov_len = held.len() as usize;
        }
        self.message.msg_iov = self.slices.as_mut_ptr();
        self.message.msg_iovlen = self.count as _;
        &raw const self.message
    }
}

/// What of a parcel the kernel is told.
pub(super) enum Contents {
    /// Start and length of its only window; null and 0 if it is empty.
    Window(*const u8, u32),
    /// The message that names all windows.
    Message(*const libc::msghdr),
}

impl Default for Parcel {
    fn default() -> Self {
        Self {
            // SAFETY: msghdr is a plain C struct; all zeroes is an empty message.
            message: unsafe { mem::zeroed() },
            slices: [libc::iovec {
                iov_base: ptr::null_mut(),
                iov_len: 0,
            }; Self::LIMIT],
            blocks: [const { None }; Self::LIMIT],
            count: 0,
        }
    }
}

impl fmt::Debug for Parcel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Parcel({} blocks)", self.count)
    }
}
