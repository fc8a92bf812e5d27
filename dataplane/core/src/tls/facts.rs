//! What both ends agreed on: for routing by ALPN, for logs and for headers. Kept for the life of
//! the connection, so it is small; certificates are read when somebody asks.

use rustls::{CipherSuite, CommonState, HandshakeKind, NamedGroup, ProtocolVersion};

use super::certificate::Chain;
use crate::fault::Side;

/// Version of TLS.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Version {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl Version {
    /// As in `%DOWNSTREAM_TLS_VERSION%`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Facts {
    /// Version.
    pub version: Version,
    suite: CipherSuite,
    group: Option<NamedGroup>,
    /// The handshake continued an earlier session.
    pub is_resumed: bool,
    /// Protocol that both ends agreed on.
    pub alpn: Option<Box<[u8]>>,
    /// The host name that the client asked for; servers only.
    pub server_name: Option<Box<str>>,
    /// Certificates of the other end: all that a client sent, the one that a server is.
    pub chain: Option<Chain>,
}

impl Facts {
    pub(super) fn new(common: &CommonState, far: Side, server_name: Option<Box<str>>) -> Self {
        let certificates = common.peer_certificates().unwrap_or_default();
        let kept = match far {
            Side::Downstream => certificates,
            Side::Upstream | Side::Local => &certificates[..certificates.len().min(1)],
        };
        let suite = common.negotiated_cipher_suite();
        Self {
            version: match common.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => Version::Tls13,
                _ => Version::Tls12,
            },
            suite: suite.map_or(CipherSuite::Unknown(0), |suite| suite.suite()),
            group: common
                .negotiated_key_exchange_group()
                .map(|group| group.name()),
            is_resumed: common.handshake_kind() == Some(HandshakeKind::Resumed),
            alpn: common.alpn_protocol().map(Box::from),
            server_name,
            chain: Chain::new(kept),
        }
    }

    /// The cipher suite as OpenSSL calls it, as in `%DOWNSTREAM_TLS_CIPHER%`.
    pub fn cipher(&self) -> &'static str {
        super::parameters::suite_name(self.suite)
    }

    /// The group of the key exchange by its registered name; empty if the session was resumed
    /// without one.
    pub fn group(&self) -> &'static str {
        self.group.map_or("", super::parameters::group_name)
    }
}
