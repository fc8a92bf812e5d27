//! Encodes fields: whole matches by index, names by index, and what comes twice through the
//! dynamic table. A value that comes once, as most ids, dates and lengths do, never displaces
//! anything.

use super::name::Name;
use super::table::{Known, SIZE_INITIAL, Table, static_name};
use super::{huffman, integer};
use crate::http::HeaderId;

/// Fields seen lately that are not in the table.
const SEEN_MAX: usize = 32;

/// The encoding side of a connection.
#[derive(Debug)]
pub(crate) struct Encoder {
    table: Table,
    /// The largest table that we want.
    size_limit: usize,
    /// The smallest bound since the last block, if the bound changed.
    lowest: Option<usize>,
    /// Hashes of fields that were sent as literals; the oldest is overwritten.
    seen: Vec<u32>,
    seen_at: usize,
}

impl Encoder {
    /// An encoder that uses at most `size_limit` bytes of the other side's table.
    pub(crate) fn new(size_limit: usize) -> Self {
        let size_max = size_limit.min(SIZE_INITIAL);
        Self {
            table: Table::new(size_max),
            size_limit,
            lowest: (size_max < SIZE_INITIAL).then_some(size_max),
            seen: Vec::new(),
            seen_at: 0,
        }
    }

    /// The other side announced a bound for its table (section 4.2).
    pub(crate) fn limit(&mut self, size: usize) {
        let size = size.min(self.size_limit);
        if size != self.table.size_max() {
            self.resize(size);
        }
    }

    fn resize(&mut self, size: usize) {
        let lowest = self.lowest.unwrap_or(usize::MAX).min(size);
        self.lowest = Some(lowest);
        self.table.resize(size);
    }

    /// Begins a block.
    pub(crate) fn begin(&mut self, out: &mut Vec<u8>) {
        let Some(lowest) = self.lowest.take() else {
            return;
        };
        if lowest < self.table.size_max() {
            integer::encode(5, 0x20, lowest, out);
        }
        integer::encode(5, 0x20, self.table.size_max(), out);
    }

    /// A field that is known by its index in the static table.
    #[inline]
    pub(crate) fn indexed(&mut self, index: u32, out: &mut Vec<u8>) {
        integer::encode(7, 0x80, index as usize, out);
    }

    /// A pseudo-header whose name is in the static table.
    pub(crate) fn pseudo(&mut self, index: u32, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        self.shared(Some(index), name, value, out);
    }

    /// `:protocol` (RFC 8441), which came after the static table.
    pub(crate) fn extended_protocol(&mut self, value: &[u8], out: &mut Vec<u8>) {
        self.shared(None, b":protocol", value, out);
    }

    /// A regular field.
    pub(crate) fn field(&mut self, id: HeaderId, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        let index = static_name(name);
        if id == HeaderId::AcceptEncoding && value == b"gzip, deflate" {
            return self.indexed(16, out);
        }
        if is_secret(id) {
            return put_literal(0x10, 4, index, name, value, out);
        }
        self.shared(index, name, value, out);
    }

    /// A field that whoever sent it wants in no table (section 7.1.3).
    pub(crate) fn never_indexed(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        put_literal(0x10, 4, static_name(name), name, value, out);
    }

    /// By index if it is in the table, into the table the second time it comes.
    fn shared(&mut self, index: Option<u32>, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        let hash = hash(name, value);
        if let Some(found) = self.table.find(hash, name, value) {
            return self.indexed(found, out);
        }
        if !self.was_seen(hash) {
            return put_literal(0, 4, index, name, value, out);
        }
        put_literal(0x40, 6, index, name, value, out);
        let class = Name::Regular(HeaderId::Other);
        self.table.insert(
            Known {
                class,
                value_is_good: true,
                name,
                value,
            },
            hash,
        );
    }

    fn was_seen(&mut self, hash: u32) -> bool {
        if self.seen.contains(&hash) {
            return true;
        }
        if self.seen.len() < SEEN_MAX {
            self.seen.push(hash);
        } else {
            self.seen[self.seen_at] = hash;
            self.seen_at = (self.seen_at + 1) % SEEN_MAX;
        }
        false
    }

    /// Gives back all memory: the next block begins with an empty table.
    pub(crate) fn release(&mut self) {
        let size = self.table.size_max();
        if self.table.memory() > 0 {
            self.resize(0);
            self.table.shrink();
            self.table.resize(size);
        }
        self.seen = Vec::new();
        self.seen_at = 0;
    }

    /// Bytes of memory held.
    pub(crate) fn memory(&self) -> usize {
        self.table.memory() + self.seen.capacity() * size_of::<u32>()
    }
}

/// Section 7.1.3: what a guesser would like to probe for is never compressed by reference.
fn is_secret(id: HeaderId) -> bool {
    matches!(
        id,
        HeaderId::Authorization
            | HeaderId::ProxyAuthorization
            | HeaderId::Cookie
            | HeaderId::SetCookie
    )
}

fn put_literal(
    first: u8,
    prefix_bits: u32,
    index: Option<u32>,
    name: &[u8],
    value: &[u8],
    out: &mut Vec<u8>,
) {
    integer::encode(prefix_bits, first, index.unwrap_or(0) as usize, out);
    if index.is_none() {
        put_text(name, out);
    }
    put_text(value, out);
}

/// As the shorter of the two forms of a string.
fn put_text(text: &[u8], out: &mut Vec<u8>) {
    let coded_len = huffman::encoded_len(text);
    if coded_len < text.len() {
        integer::encode(7, 0x80, coded_len, out);
        huffman::encode(text, out);
    } else {
        integer::encode(7, 0, text.len(), out);
        out.extend_from_slice(text);
    }
}

/// Two fields with one hash are told apart by their text, so it need not be a strong one.
fn hash(name: &[u8], value: &[u8]) -> u32 {
    let mixed = mix(mix(name.len() as u64, name), value);
    (mixed >> 32) as u32 ^ mixed as u32
}

fn mix(seed: u64, text: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = seed;
    let mut chunks = text.chunks_exact(8);
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("chunks of eight"));
        hash = (hash ^ word).wrapping_mul(ODD).rotate_left(29);
    }
    for &byte in chunks.remainder() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(ODD).rotate_left(29);
    }
    hash
}
