//! The byte pattern of bodies: any slice of a body can be checked by its offset alone.
//!
//! The period is a prime, so a block that is lost, doubled or moved by any power of two shows.

use std::io::IoSlice;
use std::sync::LazyLock;

/// Printable bytes, a prime number of them.
const PERIOD: &[u8; 61] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXY";
/// Whole periods kept ready for checking and copying: few enough to stay in the first cache.
const READY: [u8; PERIOD.len() * 68] = repeat();
/// Whole periods kept ready for sending: as much as one write takes.
static BLOCK: LazyLock<Vec<u8>> = LazyLock::new(|| PERIOD.repeat(4300));

/// Appends the `count` bytes of the pattern that begin at `offset`.
pub fn append(out: &mut Vec<u8>, offset: u64, count: usize) {
    let (mut offset, mut left) = (offset, count);
    while left > 0 {
        let block = ready_at(offset, left);
        out.extend_from_slice(block);
        offset += block.len() as u64;
        left -= block.len();
    }
}

/// True if `bytes` are those of the pattern at `offset`.
pub fn holds(bytes: &[u8], offset: u64) -> bool {
    let (mut offset, mut rest) = (offset, bytes);
    while !rest.is_empty() {
        let block = ready_at(offset, rest.len());
        if rest[..block.len()] != *block {
            return false;
        }
        offset += block.len() as u64;
        rest = &rest[block.len()..];
    }
    true
}

/// At most `count` bytes of the pattern at `offset`, at least one.
fn ready_at(offset: u64, count: usize) -> &'static [u8] {
    let start = (offset % PERIOD.len() as u64) as usize;
    &READY[start..READY.len().min(start + count)]
}

/// At most `count` bytes of the pattern at `offset` to send from where they lie.
pub(crate) fn block_at(offset: u64, count: u64) -> &'static [u8] {
    let block = &BLOCK[(offset % PERIOD.len() as u64) as usize..];
    &block[..(block.len() as u64).min(count) as usize]
}

/// The `count` bytes at `offset` as far as they fit into the slices; says how many it took.
pub(crate) fn slices(offset: u64, count: u64, slices: &mut [IoSlice<'_>]) -> usize {
    let (mut offset, mut left) = (offset, count);
    for (index, slice) in slices.iter_mut().enumerate() {
        if left == 0 {
            return index;
        }
        let block = block_at(offset, left);
        *slice = IoSlice::new(block);
        offset += block.len() as u64;
        left -= block.len() as u64;
    }
    slices.len()
}

const fn repeat() -> [u8; PERIOD.len() * 68] {
    let mut ready = [0; PERIOD.len() * 68];
    let mut at = 0;
    while at < ready.len() {
        ready[at] = PERIOD[at % PERIOD.len()];
        at += 1;
    }
    ready
}

#[cfg(test)]
mod tests {
    use super::{append, holds};

    #[test]
    fn any_slice_is_checked_by_its_offset() {
        let mut body = Vec::new();
        append(&mut body, 0, 20_000);
        assert!(holds(&body, 0));
        assert!(holds(&body[7_777..], 7_777));
        assert!(!holds(&body[7_777..], 7_778));
        body[12_345] ^= 1;
        assert!(!holds(&body, 0));
    }
}
