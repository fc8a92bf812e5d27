//! The beginning of a record whose end has not come yet.
//!
//! A few bytes are copied apart, so that a connection that stops there costs no buffer; they go
//! into the headroom of what comes next. More are held in one buffer, which is large enough for a
//! whole record, and filled up from what comes next.

use super::failure::Failure;
use super::record::{RECORD_BYTES_MAX, record_len};
use crate::buffer::{Buffer, BufferPool, HEADROOM, TAILROOM};
use crate::fault::Cause;
use crate::limits::{BUFFER_PAYLOAD, TLS_KEPT_APART_MAX};

/// Where a record that is held begins: what is put in front of its plaintext later finds room.
const HELD_AT: usize = 256;

// A whole record fits into one buffer of a worker.
const _: () = assert!(HELD_AT + RECORD_BYTES_MAX <= HEADROOM + BUFFER_PAYLOAD + TAILROOM);

/// See the module.
#[derive(Debug, Default)]
pub(super) enum Held {
    /// Nothing.
    #[default]
    Nothing,
    /// Bytes kept apart.
    Apart(Box<[u8]>),
    /// A buffer that has room for the rest of the record.
    Whole(Buffer),
}

/// What comes of the beginning and the bytes that arrived.
pub(super) enum Joined {
    /// The record that was begun, complete, and what arrived behind it.
    Record(Buffer, Buffer),
    /// It goes on in the same buffer.
    Same(Buffer),
    /// Still incomplete.
    Nothing,
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// Holds the window of `buffer`, the beginning of a record.
    pub(super) fn hold(&mut self, mut buffer: Buffer, pool: &mut BufferPool) -> Result<(), Cause> {
        debug_assert!(self.is_empty());
        if buffer.len() <= TLS_KEPT_APART_MAX {
            if !buffer.is_empty() {
                *self = Self::Apart(buffer.as_slice().into());
            }
            pool.give(buffer);
            return Ok(());
        }
        let record = record_len(buffer.as_slice())?.unwrap_or(RECORD_BYTES_MAX);
        if buffer.tailroom() < record.saturating_sub(buffer.len()) {
            let (window, len) = (buffer.window(), buffer.len());
            if HELD_AT + record > buffer.capacity() {
                pool.give(buffer);
                return Err(Cause::Exhausted);
            }
            buffer.copy_within(window, HELD_AT);
            buffer.set_window(HELD_AT..HELD_AT + len);
        }
        *self = Self::Whole(buffer);
        Ok(())
    }

    /// Holds a copy of `bytes`, the beginning of a record.
    pub(super) fn hold_copy(&mut self, bytes: &[u8], pool: &mut BufferPool) -> Result<(), Cause> {
        if bytes.len() <= TLS_KEPT_APART_MAX {
            *self = Self::Apart(bytes.into());
            return Ok(());
        }
        let mut buffer = pool.take().ok_or(Cause::Exhausted)?;
        if HELD_AT + RECORD_BYTES_MAX > buffer.capacity() {
            pool.give(buffer);
            return Err(Cause::Exhausted);
        }
        buffer.set_window(HELD_AT..HELD_AT);
        buffer.append(bytes);
        *self = Self::Whole(buffer);
        Ok(())
    }

    /// Joins what is held with what arrived.
    pub(super) fn join(&mut self, buffer: Buffer, pool: &mut BufferPool) -> Result<Joined, Cause> {
        match core::mem::take(self) {
            Self::Nothing => Ok(Joined::Same(buffer)),
            Self::Apart(bytes) => prepended(&bytes, buffer, pool),
            Self::Whole(held) => self.fill(held, buffer, pool),
        }
    }

    fn fill(
        &mut self,
        mut held: Buffer,
        mut buffer: Buffer,
        pool: &mut BufferPool,
    ) -> Result<Joined, Cause> {
        let record = record_len(held.as_slice())?.ok_or(Cause::Tls(Failure::Local))?;
        let count = (record - held.len()).min(buffer.len());
        held.append(&buffer.as_slice()[..count]);
        buffer.advance(count);
        if held.len() == record {
            return Ok(Joined::Record(held, buffer));
        }
        pool.give(buffer);
        *self = Self::Whole(held);
        Ok(Joined::Nothing)
    }

    /// Gives everything back.
    pub(super) fn release(&mut self, pool: &mut BufferPool) {
        if let Self::Whole(buffer) = core::mem::take(self) {
            pool.give(buffer);
        }
    }
}

/// A driver may hand over a buffer without headroom; then everything moves into another one.
fn prepended(bytes: &[u8], mut buffer: Buffer, pool: &mut BufferPool) -> Result<Joined, Cause> {
    if buffer.prepend(bytes) {
        return Ok(Joined::Same(buffer));
    }
    let mut fresh = pool.take().ok_or(Cause::Exhausted)?;
    fresh.set_window(HELD_AT..HELD_AT);
    let has_room = fresh.append(bytes) && fresh.append(buffer.as_slice());
    pool.give(buffer);
    match has_room {
        true => Ok(Joined::Same(fresh)),
        false => {
            pool.give(fresh);
            Err(Cause::Exhausted)
        }
    }
}
