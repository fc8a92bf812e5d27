//! A connection whose handshake is done: records in, plaintext out, and the other way round, in the
//! worker's buffers.
//!
//! What lies whole in a received buffer is opened there, and the plaintexts of all its records are
//! moved together, so that one buffer comes in and one goes on. Sealing writes the header into the
//! headroom and the tag into the tailroom of the buffer that is sent.

use std::ops::Range;

use rustls::{AlertDescription, ExtractedSecrets};

use super::Output;
use super::failure::{Failure, of_alert};
use super::held::{Held, Joined};
use super::keeper::Keeper;
use super::record::{
    ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER_BYTES, Opened, Opener,
    PLAIN_BYTES_MAX, PREFIX_BYTES_MAX, SUFFIX_BYTES_MAX, Sealer, record_len,
};
use crate::buffer::{Buffer, BufferPool, HEADROOM, TAILROOM};
use crate::fault::Cause;
use crate::limits::{TLS_IDLE_RECORDS_MAX, TLS_TICKET_BYTES_MAX};

// A buffer that was filled by a driver is sealed where it is.
const _: () = assert!(PREFIX_BYTES_MAX <= HEADROOM && SUFFIX_BYTES_MAX <= TAILROOM);

const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;
const MESSAGE_HEADER_BYTES: usize = 4;

const LEVEL_WARNING: u8 = 1;
const LEVEL_FATAL: u8 = 2;
const CLOSE_NOTIFY: [u8; 2] = [LEVEL_WARNING, 0];
const NO_RENEGOTIATION: [u8; 2] = [LEVEL_WARNING, 100];

/// See the module.
pub(super) struct Open {
    opener: Opener,
    sealer: Sealer,
    keeper: Keeper,
    held: Held,
    /// The beginning of a message behind the handshake.
    message: Vec<u8>,
    /// Records without application data since the last one with.
    idle_records: u8,
    /// The other end asked to renegotiate.
    has_renegotiated: bool,
    /// close_notify arrived.
    pub(super) has_ended: bool,
    /// close_notify was sent.
    pub(super) has_closed: bool,
}

impl Open {
    /// `None` if the cipher suite is not one of ours, which the configuration excludes.
    pub(super) fn new(secrets: &ExtractedSecrets, keeper: Keeper) -> Option<Self> {
        let is_tls13 = keeper.is_tls13();
        Some(Self {
            opener: Opener::new(&secrets.rx.1, secrets.rx.0, is_tls13)?,
            sealer: Sealer::new(&secrets.tx.1, secrets.tx.0, is_tls13)?,
            keeper,
            held: Held::Nothing,
            message: Vec::new(),
            idle_records: 0,
            has_renegotiated: false,
            has_ended: false,
            has_closed: false,
        })
    }

    /// True if the other end stopped in the middle of a record or message.
    pub(super) fn is_in_record(&self) -> bool {
        !self.held.is_empty() || !self.message.is_empty()
    }

    /// Gives back what is held.
    pub(super) fn release(&mut self, pool: &mut BufferPool) {
        self.held.release(pool);
    }

    /// Takes what arrived.
    pub(super) fn received(
        &mut self,
        buffer: Buffer,
        pool: &mut BufferPool,
        out: &mut Vec<Output>,
    ) -> Result<(), Cause> {
        if self.has_ended {
            // RFC 8446 section 6.1: what comes behind the closure is ignored.
            pool.give(buffer);
            return Ok(());
        }
        match self.held.join(buffer, pool)? {
            Joined::Nothing => Ok(()),
            Joined::Same(buffer) => self.records(buffer, pool, out),
            Joined::Record(record, rest) => {
                let opened = self.records(record, pool, out);
                if rest.is_empty() || opened.is_err() || self.has_ended {
                    pool.give(rest);
                    return opened;
                }
                self.records(rest, pool, out)
            }
        }
    }

    /// Opens all records that are whole in `buffer`, hands on what is in them, and holds what is
    /// behind.
    fn records(
        &mut self,
        mut buffer: Buffer,
        pool: &mut BufferPool,
        out: &mut Vec<Output>,
    ) -> Result<(), Cause> {
        let end = buffer.window().end;
        let mut at = buffer.window().start;
        let mut plain = at..at;
        let walked = loop {
            match self.next_record(&mut buffer, at..end, pool, out) {
                Ok(Some((content, behind))) => {
                    join_plain(&mut buffer, &mut plain, content);
                    at = behind;
                }
                Ok(None) => break Ok(()),
                Err(cause) => break Err(cause),
            }
        };
        let tail = if self.has_ended { end..end } else { at..end };
        let result = walked.and_then(|()| match plain.is_empty() || tail.is_empty() {
            true => Ok(()),
            false => self.held.hold_copy(buffer.block(tail.clone()), pool),
        });
        if !plain.is_empty() {
            buffer.set_window(plain);
            out.push(Output::Plain(buffer));
            return result;
        }
        buffer.set_window(tail);
        match result {
            Ok(()) => self.held.hold(buffer, pool),
            Err(cause) => {
                pool.give(buffer);
                Err(cause)
            }
        }
    }

    /// Opens the record at the front of `range`: application data, if that is what it holds, and
    /// where it ends.
    #[allow(clippy::type_complexity, reason = "two ranges of one block")]
    fn next_record(
        &mut self,
        buffer: &mut Buffer,
        range: Range<usize>,
        pool: &mut BufferPool,
        out: &mut Vec<Output>,
    ) -> Result<Option<(Range<usize>, usize)>, Cause> {
        if self.has_ended {
            return Ok(None);
        }
        let Some(len) = record_len(buffer.block(range.clone()))? else {
            return Ok(None);
        };
        if len > range.len() {
            return Ok(None);
        }
        let (body_at, behind) = (range.start + HEADER_BYTES, range.start + len);
        buffer.set_window(range.start..behind);
        let (head, body) = buffer.as_mut_slice().split_at_mut(HEADER_BYTES);
        let head = [head[0], head[1], head[2], head[3], head[4]];
        let Opened { kind, plain } = self.opener.open(head, body)?;
        let content = body_at + plain.start..body_at + plain.end;
        if kind == APPLICATION_DATA && self.message.is_empty() {
            self.count_idle(content.is_empty())?;
            return Ok(Some((content, behind)));
        }
        self.count_idle(true)?;
        self.other(kind, buffer.block(content), pool, out)?;
        Ok(Some((behind..behind, behind)))
    }

    fn count_idle(&mut self, is_idle: bool) -> Result<(), Failure> {
        self.idle_records = if is_idle { self.idle_records + 1 } else { 0 };
        match self.idle_records <= TLS_IDLE_RECORDS_MAX {
            true => Ok(()),
            false => Err(Failure::Flood),
        }
    }

    /// Everything but application data.
    fn other(
        &mut self,
        kind: u8,
        content: &[u8],
        pool: &mut BufferPool,
        out: &mut Vec<Output>,
    ) -> Result<(), Cause> {
        match kind {
            ALERT if self.message.is_empty() => Ok(self.alert(content)?),
            HANDSHAKE if content.is_empty() => Err(Failure::Protocol.into()),
            HANDSHAKE => self.messages(content, pool, out),
            // RFC 8446 section 5: none comes behind the handshake; and nothing comes between the
            // parts of a message.
            CHANGE_CIPHER_SPEC | ALERT | APPLICATION_DATA => Err(Failure::Protocol.into()),
            _ => Err(Failure::Protocol.into()),
        }
    }

    fn alert(&mut self, content: &[u8]) -> Result<(), Failure> {
        let &[level, description] = content else {
            return Err(Failure::Protocol);
        };
        let alert = AlertDescription::from(description);
        match alert {
            AlertDescription::CloseNotify => {
                self.has_ended = true;
                Ok(())
            }
            AlertDescription::UserCanceled => Ok(()),
            // RFC 8446 section 6: in TLS 1.3 the level means nothing.
            _ if level == LEVEL_WARNING && !self.keeper.is_tls13() => Ok(()),
            _ => Err(of_alert(alert)),
        }
    }

    fn messages(
        &mut self,
        content: &[u8],
        pool: &mut BufferPool,
        out: &mut Vec<Output>,
    ) -> Result<(), Cause> {
        if !self.keeper.is_tls13() {
            return self.renegotiation(pool, out);
        }
        let mut bytes = core::mem::take(&mut self.message);
        bytes.extend_from_slice(content);
        let mut rest = &bytes[..];
        while let Some((kind, payload, behind)) = message(rest)? {
            self.message(kind, payload, behind.is_empty(), (pool, out))?;
            rest = behind;
        }
        let done = bytes.len() - rest.len();
        bytes.drain(..done);
        if !bytes.is_empty() {
            self.message = bytes;
        }
        Ok(())
    }

    fn message(
        &mut self,
        kind: u8,
        payload: &[u8],
        is_last: bool,
        (pool, out): (&mut BufferPool, &mut Vec<Output>),
    ) -> Result<(), Cause> {
        match kind {
            NEW_SESSION_TICKET => Ok(self.keeper.ticket(payload)?),
            // RFC 8446 section 5.1: no message stands behind one that changes the key.
            KEY_UPDATE if is_last => self.key_update(payload, pool, out),
            _ => Err(Failure::Protocol.into()),
        }
    }

    /// RFC 8446 section 4.6.3. Our own new key follows if it is asked for.
    fn key_update(
        &mut self,
        payload: &[u8],
        pool: &mut BufferPool,
        out: &mut Vec<Output>,
    ) -> Result<(), Cause> {
        let is_asked = match payload {
            [0] => false,
            [1] => true,
            _ => return Err(Failure::Protocol.into()),
        };
        let secrets = self.keeper.next_opening()?;
        self.opener = Opener::new(&secrets, 0, true).ok_or(Failure::Local)?;
        match is_asked && !self.has_closed {
            true => self.renew(pool, out),
            false => Ok(()),
        }
    }

    /// Tells the other end that a new key follows, and takes it.
    fn renew(&mut self, pool: &mut BufferPool, out: &mut Vec<Output>) -> Result<(), Cause> {
        let secrets = self.keeper.next_sealing()?;
        self.seal_one(HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, 0], pool, out)?;
        self.sealer = Sealer::new(&secrets, 0, true).ok_or(Failure::Local)?;
        Ok(())
    }

    /// RFC 5746 is not spoken: asked once the answer is no, asked again it is the end.
    fn renegotiation(&mut self, pool: &mut BufferPool, out: &mut Vec<Output>) -> Result<(), Cause> {
        if core::mem::replace(&mut self.has_renegotiated, true) {
            return Err(Failure::Renegotiation.into());
        }
        self.seal_one(ALERT, &NO_RENEGOTIATION, pool, out)
    }

    /// Seals a buffer where it is; what is more than a record, or has no room around it, is copied.
    pub(super) fn seal(
        &mut self,
        mut plain: Buffer,
        pool: &mut BufferPool,
        out: &mut Vec<Output>,
    ) -> Result<(), Cause> {
        let fits = plain.headroom() >= self.sealer.prefix_bytes()
            && plain.tailroom() >= self.sealer.suffix_bytes();
        // A head that was put in front of a full buffer makes it longer than a record.
        let ahead = match fits {
            true => plain.len().saturating_sub(PLAIN_BYTES_MAX),
            false => plain.len(),
        };
        if let Err(cause) = self.seal_copy(&plain.as_slice()[..ahead], pool, out) {
            pool.give(plain);
            return Err(cause);
        }
        plain.advance(ahead);
        if plain.is_empty() {
            pool.give(plain);
            return Ok(());
        }
        self.seal_in_place(plain, pool, out)
    }

    fn seal_in_place(
        &mut self,
        mut plain: Buffer,
        pool: &mut BufferPool,
        out: &mut Vec<Output>,
    ) -> Result<(), Cause> {
        let window = plain.window();
        let (prefix, suffix) = (self.sealer.prefix_bytes(), self.sealer.suffix_bytes());
        plain.set_window(window.start - prefix..window.end + suffix);
        let sealed = self
            .ready(pool, out)
            .and_then(|()| Ok(self.sealer.seal(APPLICATION_DATA, plain.as_mut_slice())?));
        match sealed {
            Ok(()) => out.push(Output::Cipher(plain)),
            Err(_) => pool.give(plain),
        }
        sealed
    }

    /// Seals a copy of `bytes` in as many records as that takes, or nothing if there are too few
    /// buffers.
    pub(super) fn seal_copy(
        &mut self,
        bytes: &[u8],
        pool: &mut BufferPool,
        out: &mut Vec<Output>,
    ) -> Result<(), Cause> {
        let most = pool.payload().min(PLAIN_BYTES_MAX);
        if pool.available() < bytes.len().div_ceil(most) {
            return Err(Cause::Exhausted);
        }
        for part in bytes.chunks(most) {
            self.ready(pool, out)?;
            self.seal_one(APPLICATION_DATA, part, pool, out)?;
        }
        Ok(())
    }

    /// Renews a key that has sealed as much as it may.
    fn ready(&mut self, pool: &mut BufferPool, out: &mut Vec<Output>) -> Result<(), Cause> {
        match self.sealer.is_worn() {
            false => Ok(()),
            true => self.renew(pool, out),
        }
    }

    pub(super) fn seal_one(
        &mut self,
        kind: u8,
        plain: &[u8],
        pool: &mut BufferPool,
        out: &mut Vec<Output>,
    ) -> Result<(), Cause> {
        let mut buffer = pool.take().ok_or(Cause::Exhausted)?;
        let start = buffer.window().start;
        let len = plain.len() + self.sealer.prefix_bytes() + self.sealer.suffix_bytes();
        buffer.set_window(start - PREFIX_BYTES_MAX..start - PREFIX_BYTES_MAX + len);
        match self.sealer.seal_from(kind, plain, buffer.as_mut_slice()) {
            Ok(()) => out.push(Output::Cipher(buffer)),
            Err(failure) => {
                pool.give(buffer);
                return Err(failure.into());
            }
        }
        Ok(())
    }

    /// Says that nothing follows.
    pub(super) fn close(
        &mut self,
        pool: &mut BufferPool,
        out: &mut Vec<Output>,
    ) -> Result<(), Cause> {
        match core::mem::replace(&mut self.has_closed, true) {
            true => Ok(()),
            false => self.seal_one(ALERT, &CLOSE_NOTIFY, pool, out),
        }
    }

    /// Says why the connection is given up; nothing if they did, or if it cannot be said.
    pub(super) fn farewell(
        &mut self,
        failure: Failure,
        pool: &mut BufferPool,
        out: &mut Vec<Output>,
    ) {
        if let Some(alert) = alert_for(failure)
            && !core::mem::replace(&mut self.has_closed, true)
        {
            // Without a buffer to say it in, the close says enough.
            let _ = self.seal_one(ALERT, &[LEVEL_FATAL, alert], pool, out);
        }
    }

    #[cfg(test)]
    pub(super) fn wear_out(&mut self) {
        self.sealer.wear_out();
    }
}

/// Moves a record's plaintext behind that of the records before it.
fn join_plain(buffer: &mut Buffer, plain: &mut Range<usize>, content: Range<usize>) {
    let len = content.len();
    if len == 0 {
        return;
    }
    if plain.start == plain.end {
        *plain = content;
        return;
    }
    buffer.copy_within(content, plain.end);
    plain.end += len;
}

type Message<'a> = (u8, &'a [u8], &'a [u8]);

/// The first message, once it is complete: kind, payload, what is behind.
fn message(bytes: &[u8]) -> Result<Option<Message<'_>>, Failure> {
    let Some((&[kind, high, middle, low], rest)) = bytes.split_first_chunk() else {
        return Ok(None);
    };
    let len = u32::from_be_bytes([0, high, middle, low]) as usize;
    if len + MESSAGE_HEADER_BYTES > TLS_TICKET_BYTES_MAX {
        return Err(Failure::HandshakeTooLong);
    }
    let split = rest.split_at_checked(len);
    Ok(split.map(|(payload, behind)| (kind, payload, behind)))
}

/// RFC 8446 section 6.2.
fn alert_for(failure: Failure) -> Option<u8> {
    Some(match failure {
        Failure::Decrypt => 20,
        Failure::RecordTooLong => 22,
        Failure::NotTls | Failure::Protocol | Failure::Flood => 10,
        Failure::HandshakeTooLong => 50,
        Failure::Renegotiation => 40,
        Failure::Local => 80,
        _ => return None,
    })
}
