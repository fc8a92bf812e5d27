//! How many buffers the kernel is given to receive into.
//!
//! It uses them in a circle: with few, each is still in the processor's cache when its turn comes
//! again. A receive that finds none ends and starts anew when those in use came back, which costs
//! less than memory that has gone cold. So the stock is as many as fit the cache by the bytes that
//! receives really bring.

use penstock_core::buffer::BufferPool;

use super::{UringDriver, block_to_fill, buffer_of};
use crate::driver::reserve;

/// Bytes received that the stock may hold.
const CACHED: usize = 256 * 1024;
/// Buffers that the stock holds at least, if the pool has them.
const LEAST: usize = 16;
/// Buffers that it holds at most: each of them costs a line of the cache and an entry of the TLB.
const MOST: usize = 64;
/// Receives after which the size is thought over.
const SAMPLE: usize = 256;

/// The size of the stock.
#[derive(Debug)]
pub(super) struct Stock {
    /// Buffers that the kernel should hold.
    wanted: usize,
    /// Receives of this sample.
    receives: usize,
    /// Their bytes.
    bytes: usize,
}

impl Default for Stock {
    fn default() -> Self {
        Self {
            wanted: MOST,
            receives: 0,
            bytes: 0,
        }
    }
}

impl Stock {
    /// The kernel used a buffer for so many bytes.
    #[inline]
    pub(super) fn took(&mut self, bytes: usize) {
        self.receives += 1;
        self.bytes += bytes;
        if self.receives == SAMPLE {
            let fit = CACHED * SAMPLE / self.bytes.max(1);
            *self = Self {
                wanted: fit.clamp(LEAST, MOST),
                ..Self::default()
            };
        }
    }
}

impl UringDriver {
    /// Fills the kernel's stock from the pool, but leaves the machine its share.
    pub(super) fn top_up(&mut self, pool: &mut BufferPool) {
        let limit = self.ring.stock_limit().min((pool.limit() / 2).max(1));
        let wanted = self.stock.wanted.min(limit);
        while self.ring.stocked() < wanted && pool.available() > reserve(pool) {
            let Some(buffer) = pool.take() else { return };
            if let Err(block) = self.ring.stock(block_to_fill(buffer)) {
                return pool.give(buffer_of(block));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: usize, wanted: usize) {
        let mut stock = Stock::default();
        (0..SAMPLE - 1).for_each(|_| stock.took(bytes));
        assert_eq!(stock.wanted, MOST, "before the sample is full");
        stock.took(bytes);
        assert_eq!(stock.wanted, wanted);
    }

    #[test]
    fn the_stock_is_what_the_cache_holds() {
        check(0, MOST);
        check(1024, MOST);
        check(8192, 32);
        check(16 * 1024, LEAST);
        check(1024 * 1024, LEAST);
    }
}
