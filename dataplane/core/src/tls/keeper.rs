//! What rustls keeps once the records are ours: the secrets that new keys come from, and for a
//! client the place where session tickets go. TLS 1.2 has neither and keeps nothing.

use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{ConnectionTrafficSecrets, ProtocolVersion};

use super::failure::Failure;

/// See the module.
pub(super) enum Keeper {
    Server(Box<KernelConnection<ServerConnectionData>>),
    Client(Box<KernelConnection<ClientConnectionData>>),
    Nothing,
}

impl Keeper {
    pub(super) fn server(kernel: KernelConnection<ServerConnectionData>) -> Self {
        match kernel.protocol_version() {
            ProtocolVersion::TLSv1_3 => Self::Server(Box::new(kernel)),
            _ => Self::Nothing,
        }
    }

    pub(super) fn client(kernel: KernelConnection<ClientConnectionData>) -> Self {
        match kernel.protocol_version() {
            ProtocolVersion::TLSv1_3 => Self::Client(Box::new(kernel)),
            _ => Self::Nothing,
        }
    }

    /// True for TLS 1.3.
    pub(super) fn is_tls13(&self) -> bool {
        !matches!(self, Self::Nothing)
    }

    /// The next key to seal with.
    pub(super) fn next_sealing(&mut self) -> Result<ConnectionTrafficSecrets, Failure> {
        let updated = match self {
            Self::Server(kernel) => kernel.update_tx_secret(),
            Self::Client(kernel) => kernel.update_tx_secret(),
            Self::Nothing => return Err(Failure::KeyWorn),
        };
        updated.map(|(_, secrets)| secrets).map_err(Failure::from)
    }

    /// The next key to open with.
    pub(super) fn next_opening(&mut self) -> Result<ConnectionTrafficSecrets, Failure> {
        let updated = match self {
            Self::Server(kernel) => kernel.update_rx_secret(),
            Self::Client(kernel) => kernel.update_rx_secret(),
            Self::Nothing => return Err(Failure::Protocol),
        };
        updated.map(|(_, secrets)| secrets).map_err(Failure::from)
    }

    /// A ticket of the server; servers get none (RFC 8446 section 4.6.1).
    pub(super) fn ticket(&mut self, payload: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Client(kernel) => Ok(kernel.handle_new_session_ticket(payload)?),
            Self::Server(_) | Self::Nothing => Err(Failure::Protocol),
        }
    }
}
