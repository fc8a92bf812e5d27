//! A handshake: bytes to rustls, its answers into buffers, until both ends have keys.
//!
//! rustls is shown one record at a time, so that it never opens application data that came with the
//! last message of the handshake: that is left for the record layer. All of this is allocated for
//! the handshake and given back with it.

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus};
use rustls::{CommonState, Error, ExtractedSecrets};

use super::Output;
use super::failure::Failure;
use super::hello;
use super::keeper::Keeper;
use super::record;
use crate::buffer::{Buffer, BufferPool};
use crate::fault::{Cause, Side};
use crate::limits::{CLIENT_HELLO_BYTES_MAX, TLS_HANDSHAKE_BYTES_MAX};

/// Descriptions of alerts that are sent in the clear: for a ClientHello that is too long, for one
/// without a version of ours, and for one without a name.
const RECORD_OVERFLOW: u8 = 22;
const PROTOCOL_VERSION: u8 = 70;
const UNRECOGNIZED_NAME: u8 = 112;
/// TLS 1.2, as on the wire.
const OLDEST_VERSION: u16 = 0x0303;

/// See [`Role::FIRST`].
const LATER: (usize, Failure) = (TLS_HANDSHAKE_BYTES_MAX, Failure::HandshakeTooLong);

/// Which end rustls plays.
pub(super) trait Role {
    type Data;
    /// How long the first message of the other end may be, and what it is when it is longer.
    const FIRST: (usize, Failure);
    /// Who the other end is.
    const FAR: Side;

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
    fn common(&self) -> &CommonState;
    fn into_keeper(self) -> Result<(ExtractedSecrets, Keeper), Error>;
}

impl Role for UnbufferedServerConnection {
    type Data = ServerConnectionData;
    const FIRST: (usize, Failure) = (CLIENT_HELLO_BYTES_MAX, Failure::HelloTooLong);
    const FAR: Side = Side::Downstream;

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }

    fn common(&self) -> &CommonState {
        self
    }

    fn into_keeper(self) -> Result<(ExtractedSecrets, Keeper), Error> {
        let (secrets, kernel) = self.dangerous_into_kernel_connection()?;
        Ok((secrets, Keeper::server(kernel)))
    }
}

impl Role for UnbufferedClientConnection {
    type Data = ClientConnectionData;
    const FIRST: (usize, Failure) = LATER;
    const FAR: Side = Side::Upstream;

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }

    fn common(&self) -> &CommonState {
        self
    }

    fn into_keeper(self) -> Result<(ExtractedSecrets, Keeper), Error> {
        let (secrets, kernel) = self.dangerous_into_kernel_connection()?;
        Ok((secrets, Keeper::client(kernel)))
    }
}

/// A handshake under way.
pub(super) struct Handshake<R> {
    role: R,
    /// A client that asks for no name is refused.
    requires_name: bool,
    /// What arrived and is not done with.
    incoming: Vec<u8>,
    /// How much of that rustls was shown; it may need it again, whole.
    shown: usize,
    /// The other end was answered.
    has_answered: bool,
    /// Flights computed since the last time that was asked.
    pub(super) work: u32,
    /// Server name of the ClientHello.
    pub(super) server_name: Option<Box<str>>,
}

/// What to do next.
enum Next {
    Again,
    ShowMore,
    Done,
}

impl<R: Role> Handshake<R> {
    pub(super) fn new(role: R, requires_name: bool) -> Self {
        Self {
            role,
            requires_name,
            incoming: Vec::new(),
            shown: 0,
            has_answered: false,
            work: 0,
            server_name: None,
        }
    }

    /// Takes what arrived; true once both ends have keys.
    pub(super) fn received(
        &mut self,
        bytes: &[u8],
        pool: &mut BufferPool,
        out: &mut Vec<Output>,
    ) -> Result<bool, Cause> {
        self.incoming.extend_from_slice(bytes);
        let mut flight = Flight {
            pool,
            out,
            open: None,
        };
        let advanced = self.advance(&mut flight);
        flight.finish();
        advanced
    }

    /// What is left behind the handshake.
    pub(super) fn into_rest(self) -> (R, Vec<u8>) {
        let mut rest = self.incoming;
        rest.drain(..self.shown);
        (self.role, rest)
    }

    fn advance(&mut self, flight: &mut Flight<'_>) -> Result<bool, Cause> {
        loop {
            match self.step(flight)? {
                Next::Again => {}
                Next::Done => return Ok(true),
                Next::ShowMore if self.show_next(flight)? => {}
                Next::ShowMore => return self.within_bounds(flight).map(|()| false),
            }
        }
    }

    fn step(&mut self, flight: &mut Flight<'_>) -> Result<Next, Cause> {
        let status = self.role.process(&mut self.incoming[..self.shown]);
        let discard = status.discard;
        let next = match status.state {
            Ok(ConnectionState::EncodeTlsData(data)) => {
                self.has_answered = true;
                flight.append(data).map(|()| Next::Again)
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                self.work += 1;
                data.done();
                Ok(Next::Again)
            }
            Ok(ConnectionState::BlockedHandshake) => Ok(Next::ShowMore),
            Ok(ConnectionState::WriteTraffic(_)) => match self.role.common().is_handshaking() {
                true => Ok(Next::ShowMore),
                false => Ok(Next::Done),
            },
            Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                Err(Failure::HandshakeEnded.into())
            }
            // Early data is off, and no record behind the handshake is shown.
            Ok(_) => Err(Failure::Local.into()),
            Err(error) => {
                self.discard(discard);
                self.farewell(flight)?;
                return Err(Failure::from(error).into());
            }
        };
        self.discard(discard);
        next
    }

    fn discard(&mut self, count: usize) {
        self.incoming.drain(..count);
        self.shown -= count;
    }

    /// The alert that goes with an error. rustls gives out what waits to be sent before it looks at
    /// what arrived; it is asked for no more than that, since what it holds is of no use any more.
    fn farewell(&mut self, flight: &mut Flight<'_>) -> Result<(), Cause> {
        while self.role.common().wants_write() {
            match self.role.process(&mut self.incoming[..self.shown]).state {
                Ok(ConnectionState::EncodeTlsData(data)) => flight.append(data)?,
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    /// Shows rustls one more record, if there is one. What cannot be one is for rustls to refuse.
    fn show_next(&mut self, flight: &mut Flight<'_>) -> Result<bool, Cause> {
        let rest = &self.incoming[self.shown..];
        let len = match record::record_len(rest) {
            Ok(len) => len.filter(|&len| len <= rest.len()),
            Err(_) => Some(rest.len()),
        };
        self.look_at_hello(flight)?;
        self.shown += len.unwrap_or(0);
        Ok(len.is_some())
    }

    /// The server name, for logs and the next hop, which rustls keeps to itself; and what is
    /// refused before rustls sees it.
    fn look_at_hello(&mut self, flight: &mut Flight<'_>) -> Result<(), Cause> {
        if R::FAR != Side::Downstream || self.has_answered || self.server_name.is_some() {
            return Ok(());
        }
        let mut joined = Vec::new();
        let Ok(hello::Step::Complete(hello)) = hello::peek(&self.incoming, &mut joined) else {
            return Ok(());
        };
        self.server_name = hello.server_name.map(Box::from);
        let (alert, failure) = match hello.version_max {
            // rustls misses extensions of TLS 1.2 before it looks at the version.
            ..OLDEST_VERSION => (PROTOCOL_VERSION, Failure::Version),
            _ if self.requires_name && self.server_name.is_none() => {
                (UNRECOGNIZED_NAME, Failure::ServerName)
            }
            _ => return Ok(()),
        };
        flight.append_alert(alert);
        Err(failure.into())
    }

    /// rustls holds what it was shown until a message is complete.
    fn within_bounds(&mut self, flight: &mut Flight<'_>) -> Result<(), Cause> {
        let (most, failure) = match self.has_answered {
            true => LATER,
            false => R::FIRST,
        };
        if self.shown <= most {
            return Ok(());
        }
        if !self.has_answered {
            flight.append_alert(RECORD_OVERFLOW);
        }
        Err(failure.into())
    }
}

/// Answers of rustls, in as few buffers as they fill.
struct Flight<'a> {
    pool: &'a mut BufferPool,
    out: &'a mut Vec<Output>,
    open: Option<Buffer>,
}

impl Flight<'_> {
    fn append<D>(&mut self, mut data: EncodeTlsData<'_, D>) -> Result<(), Cause> {
        if let Some(buffer) = &mut self.open {
            match data.encode(buffer.spare_mut()) {
                Ok(count) => {
                    buffer.filled(count);
                    return Ok(());
                }
                Err(EncodeError::InsufficientSize(_)) => self.finish(),
                Err(EncodeError::AlreadyEncoded) => return Err(Failure::Local.into()),
            }
        }
        let mut buffer = self.pool.take().ok_or(Cause::Exhausted)?;
        // The configuration bounds what rustls writes at once, so an empty buffer takes it.
        let encoded = data.encode(buffer.spare_mut());
        buffer.filled(*encoded.as_ref().unwrap_or(&0));
        self.open = Some(buffer);
        encoded.map(drop).map_err(|_| Failure::Local.into())
    }

    /// A fatal alert in the clear.
    fn append_alert(&mut self, description: u8) {
        if self.open.is_none() {
            self.open = self.pool.take();
        }
        if let Some(buffer) = &mut self.open {
            buffer.fill_from(&[record::ALERT, 3, 3, 0, 2, 2, description]);
        }
    }

    fn finish(&mut self) {
        match self.open.take() {
            Some(buffer) if buffer.is_empty() => self.pool.give(buffer),
            Some(buffer) => self.out.push(Output::Cipher(buffer)),
            None => {}
        }
    }
}
