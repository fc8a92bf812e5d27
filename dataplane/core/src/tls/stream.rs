//! One TLS connection of either role, as the rest of the core sees it.
//!
//! ```text
//!              received, answers        both ends have keys
//!  Handshaking ─────────────────► … ──────────────────────► Open ──► close_notify either way
//!       │                                                     │
//!       └──────────────► Failed (a fault, and an alert) ◄─────┘
//! ```

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;

use super::facts::Facts;
use super::failure::Failure;
use super::handshake::{Handshake, Role};
use super::open::Open;
use crate::buffer::{Buffer, BufferPool};
use crate::fault::{Cause, Fault, Side};

/// What a stream yields. Plaintext in its order, ciphertext in its order.
#[derive(Debug)]
pub enum Output {
    /// For the codec: application data; the window is not empty.
    Plain(Buffer),
    /// For the connection: to be sent behind everything before.
    Cipher(Buffer),
}

/// How far a stream is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Keys are being agreed on; nothing can be sealed yet.
    Handshaking,
    /// Application data passes, except in directions that were closed.
    Open,
    /// The other end sent close_notify: all that it said was received. Sealing is still possible.
    Ended,
    /// Given up.
    Failed,
}

/// What it means that the other end closed its side of the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// It had said so: nothing is missing.
    Clean,
    /// It had not, but no record is incomplete. Somebody may have cut the connection: what does not
    /// tell its own length is incomplete (RFC 8446 section 6.1, RFC 9112 section 9.8).
    Unannounced,
}

/// One TLS connection; see the module. Its connection owns it in a box.
pub struct Stream {
    phase: Phase,
    /// Who the other end is.
    far: Side,
    /// Flights computed and not yet asked about.
    work: u32,
    facts: Option<Box<Facts>>,
}

enum Phase {
    Server(Box<Handshake<UnbufferedServerConnection>>),
    Client(Box<Handshake<UnbufferedClientConnection>>),
    Open(Box<Open>),
    Failed,
}

impl Stream {
    pub(super) fn server(role: UnbufferedServerConnection, requires_name: bool) -> Self {
        let handshake = Handshake::new(role, requires_name);
        Self::new(Phase::Server(Box::new(handshake)), Side::Downstream)
    }

    pub(super) fn client(role: UnbufferedClientConnection) -> Self {
        Self::new(
            Phase::Client(Box::new(Handshake::new(role, false))),
            Side::Upstream,
        )
    }

    fn new(phase: Phase, far: Side) -> Self {
        Self {
            phase,
            far,
            work: 0,
            facts: None,
        }
    }

    /// How far it is.
    pub fn state(&self) -> State {
        match &self.phase {
            Phase::Server(_) | Phase::Client(_) => State::Handshaking,
            Phase::Open(open) if open.has_ended => State::Ended,
            Phase::Open(_) => State::Open,
            Phase::Failed => State::Failed,
        }
    }

    /// What was agreed on, once the handshake is done.
    pub fn facts(&self) -> Option<&Facts> {
        self.facts.as_deref()
    }

    /// Flights of handshake messages computed since this was last asked. Each is about one
    /// signature or key exchange: the only work here that is worth bounding per turn.
    pub fn take_work(&mut self) -> u32 {
        core::mem::take(&mut self.work)
    }

    /// Begins: a client's first message. A server waits.
    pub fn start(&mut self, pool: &mut BufferPool, out: &mut Vec<Output>) -> Result<(), Fault> {
        let begun = match &self.phase {
            Phase::Client(_) => self.shake(&[], pool, out),
            _ => Ok(()),
        };
        begun.map_err(|cause| self.fail(cause, pool, out))
    }

    /// Takes what arrived, and yields plaintext and answers. After a fault, `out` may hold an alert
    /// that should still be sent, and the connection is to be closed.
    pub fn received(
        &mut self,
        buffer: Buffer,
        pool: &mut BufferPool,
        out: &mut Vec<Output>,
    ) -> Result<(), Fault> {
        let taken = match &mut self.phase {
            Phase::Open(open) => open.received(buffer, pool, out),
            Phase::Server(_) | Phase::Client(_) => {
                let shaken = self.shake(buffer.as_slice(), pool, out);
                pool.give(buffer);
                shaken
            }
            Phase::Failed => {
                pool.give(buffer);
                Ok(())
            }
        };
        taken.map_err(|cause| self.fail(cause, pool, out))
    }

    /// The other end closed its side of the connection.
    pub fn ended(&mut self, pool: &mut BufferPool) -> Result<Ending, Fault> {
        let failure = match &self.phase {
            Phase::Open(open) if open.has_ended => return Ok(Ending::Clean),
            Phase::Open(open) if !open.is_in_record() => return Ok(Ending::Unannounced),
            Phase::Open(_) => Failure::Truncated,
            Phase::Server(_) | Phase::Client(_) => Failure::HandshakeEnded,
            Phase::Failed => return Ok(Ending::Unannounced),
        };
        Err(self.fail(failure.into(), pool, &mut Vec::new()))
    }

    /// Seals a buffer, in place wherever that can be. Before the handshake is done and after
    /// [`Stream::close`] this is a fault of ours.
    pub fn seal(
        &mut self,
        plain: Buffer,
        pool: &mut BufferPool,
        out: &mut Vec<Output>,
    ) -> Result<(), Fault> {
        let sealed = match &mut self.phase {
            Phase::Open(open) if !open.has_closed => open.seal(plain, pool, out),
            _ => {
                pool.give(plain);
                Err(Failure::Local.into())
            }
        };
        sealed.map_err(|cause| self.fail(cause, pool, out))
    }

    /// Seals a copy of `bytes`.
    pub fn seal_copy(
        &mut self,
        bytes: &[u8],
        pool: &mut BufferPool,
        out: &mut Vec<Output>,
    ) -> Result<(), Fault> {
        let sealed = match &mut self.phase {
            Phase::Open(open) if !open.has_closed => open.seal_copy(bytes, pool, out),
            _ => Err(Failure::Local.into()),
        };
        sealed.map_err(|cause| self.fail(cause, pool, out))
    }

    /// Sends close_notify, once: nothing more will be sealed. What arrives is still opened.
    pub fn close(&mut self, pool: &mut BufferPool, out: &mut Vec<Output>) -> Result<(), Fault> {
        let closed = match &mut self.phase {
            Phase::Open(open) => open.close(pool, out),
            _ => Ok(()),
        };
        closed.map_err(|cause| self.fail(cause, pool, out))
    }

    /// Gives back the buffer that may be held; call it when the connection is closed.
    pub fn release(&mut self, pool: &mut BufferPool) {
        if let Phase::Open(open) = &mut self.phase {
            open.release(pool);
        }
        self.phase = Phase::Failed;
    }

    fn fail(&mut self, cause: Cause, pool: &mut BufferPool, out: &mut Vec<Output>) -> Fault {
        if let (Phase::Open(open), Cause::Tls(failure)) = (&mut self.phase, cause) {
            open.farewell(failure, pool, out);
        }
        self.release(pool);
        match cause {
            Cause::Tls(failure) => failure.fault(self.far),
            cause => Fault::connection(Side::Local, cause),
        }
    }

    /// Goes on with the handshake, and with what came behind it.
    fn shake(
        &mut self,
        bytes: &[u8],
        pool: &mut BufferPool,
        out: &mut Vec<Output>,
    ) -> Result<(), Cause> {
        let is_done = match &mut self.phase {
            Phase::Server(handshake) => advance(handshake, bytes, pool, out, &mut self.work)?,
            Phase::Client(handshake) => advance(handshake, bytes, pool, out, &mut self.work)?,
            Phase::Open(_) | Phase::Failed => false,
        };
        match is_done {
            true => self.open(pool, out),
            false => Ok(()),
        }
    }

    fn open(&mut self, pool: &mut BufferPool, out: &mut Vec<Output>) -> Result<(), Cause> {
        let (open, facts, rest) = match core::mem::replace(&mut self.phase, Phase::Failed) {
            Phase::Server(handshake) => converted(*handshake)?,
            Phase::Client(handshake) => converted(*handshake)?,
            Phase::Open(_) | Phase::Failed => return Ok(()),
        };
        self.phase = Phase::Open(Box::new(open));
        self.facts = Some(Box::new(facts));
        let mut rest = &rest[..];
        while !rest.is_empty() {
            let mut buffer = pool.take().ok_or(Cause::Exhausted)?;
            let count = buffer.fill_from(rest);
            rest = &rest[count..];
            let Phase::Open(open) = &mut self.phase else {
                return Ok(());
            };
            open.received(buffer, pool, out)?;
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn opened(&mut self) -> &mut Open {
        match &mut self.phase {
            Phase::Open(open) => open,
            _ => panic!("the handshake is not done"),
        }
    }
}

impl core::fmt::Debug for Stream {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Stream({:?}, {:?})", self.far, self.state())
    }
}

fn advance<R: Role>(
    handshake: &mut Handshake<R>,
    bytes: &[u8],
    pool: &mut BufferPool,
    out: &mut Vec<Output>,
    work: &mut u32,
) -> Result<bool, Cause> {
    let advanced = handshake.received(bytes, pool, out);
    *work += core::mem::take(&mut handshake.work);
    advanced
}

/// Takes the keys out of rustls. What it keeps for later is little; the rest of it goes.
fn converted<R: Role>(mut handshake: Handshake<R>) -> Result<(Open, Facts, Vec<u8>), Cause> {
    let server_name = handshake.server_name.take();
    let (role, rest) = handshake.into_rest();
    let facts = Facts::new(role.common(), R::FAR, server_name);
    let (secrets, keeper) = role.into_keeper().map_err(Failure::from)?;
    let open = Open::new(&secrets, keeper).ok_or(Failure::Local)?;
    Ok((open, facts, rest))
}
