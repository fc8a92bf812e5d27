//! How many buffers the kernel is given to receive into.
//!
//! It uses them in a circle: with few, each is still in the processor's cache when its turn comes
//! again; with too few, receives run dry and must be started anew. So the stock follows what a turn
//! takes.

use penstock_core::buffer::BufferPool;

use super::{UringDriver, block_to_fill, buffer_of};
use crate::driver::reserve;

/// Buffers that are always there, unless the pool has none.
const LEAST: usize = 16;
/// Turns after which a stock that was too large shrinks.
const PATIENCE: u32 = 256;

/// The size of the stock.
#[derive(Debug)]
pub(super) struct Stock {
    /// Buffers that the kernel should hold.
    wanted: usize,
    /// Taken since the last turn.
    taken: usize,
    /// Most that was taken in one of the turns since the stock changed its size.
    peak: usize,
    turns: u32,
}

impl Default for Stock {
    fn default() -> Self {
        Self {
            wanted: LEAST,
            taken: 0,
            peak: 0,
            turns: 0,
        }
    }
}

impl Stock {
    /// The kernel used a buffer.
    #[inline]
    pub(super) fn took(&mut self) {
        self.taken += 1;
    }

    /// A turn is over: follow what it took, within `limit`.
    fn turn(&mut self, limit: usize) {
        self.peak = self.peak.max(std::mem::take(&mut self.taken));
        self.turns += 1;
        // Room for half as much again, so that a usual turn finds enough.
        let fits = self.peak + self.peak / 2;
        if fits > self.wanted || self.turns == PATIENCE {
            self.resize(fits, limit);
        }
    }

    /// A receive found nothing, although the pool has more.
    pub(super) fn ran_dry(&mut self) {
        self.peak = self.peak.max(self.wanted);
    }

    fn resize(&mut self, wanted: usize, limit: usize) {
        self.wanted = wanted.max(LEAST).min(limit);
        (self.peak, self.turns) = (0, 0);
    }
}

impl UringDriver {
    /// Fills the kernel's stock from the pool, but leaves the machine its share.
    pub(super) fn top_up(&mut self, pool: &mut BufferPool) {
        let limit = self.ring.stock_limit().min((pool.limit() / 2).max(1));
        self.stock.turn(limit);
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

    fn turns(stock: &mut Stock, taken: &[usize]) -> Vec<usize> {
        let turn = |&count: &usize| {
            (0..count).for_each(|_| stock.took());
            stock.turn(100);
            stock.wanted
        };
        taken.iter().map(turn).collect()
    }

    #[test]
    fn the_stock_follows_what_turns_take() {
        let mut stock = Stock::default();
        assert_eq!(turns(&mut stock, &[5, 10, 40, 80]), [16, 16, 60, 100]);
        let quiet = turns(&mut stock, &[2; PATIENCE as usize]);
        assert_eq!((quiet[0], *quiet.last().unwrap()), (100, LEAST));
    }

    #[test]
    fn a_dry_stock_grows() {
        let mut stock = Stock::default();
        stock.ran_dry();
        assert_eq!(turns(&mut stock, &[0]), [24]);
        stock.ran_dry();
        assert_eq!(turns(&mut stock, &[0]), [36]);
    }
}
