//! The relays that are compared: their names, and how each one serves.

use std::io::{self, Write};
use std::net::SocketAddr;

use penstock_runtime::Preference;

use crate::{glommio_relay, own, tokio_relay, uring_relay};

/// Bytes of every buffer that a relay reads into: the same for all.
pub(crate) const BLOCK: usize = 16 * 1024;

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    OwnUring,
    OwnEpoll,
    Tokio,
    TokioUring,
    Glommio,
}

/// In the order of the table; ratios are taken to the first.
pub(crate) const ALL: [Subject; 5] = [
    Subject::OwnUring,
    Subject::OwnEpoll,
    Subject::Tokio,
    Subject::TokioUring,
    Subject::Glommio,
];

impl Subject {
    pub(crate) fn named(name: &str) -> Option<Self> {
        ALL.into_iter().find(|subject| subject.name() == name)
    }

    /// As an argument.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OwnUring => "penstock-uring",
            Self::OwnEpoll => "penstock-epoll",
            Self::Tokio => "tokio",
            Self::TokioUring => "tokio-uring",
            Self::Glommio => "glommio",
        }
    }

    /// In the table.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::OwnUring => "Penstock, io_uring driver",
            Self::OwnEpoll => "Penstock, epoll driver",
            Self::Tokio => "tokio 1.54 (epoll), current_thread",
            Self::TokioUring => "tokio-uring 0.5",
            Self::Glommio => "glommio 0.9",
        }
    }

    /// Relays to `origin` until the process ends; tells its own address on standard output.
    pub(crate) fn serve(self, origin: SocketAddr) -> io::Result<()> {
        match self {
            Self::OwnUring => own::serve(Preference::Uring, origin),
            Self::OwnEpoll => own::serve(Preference::Epoll, origin),
            Self::Tokio => tokio_relay::serve(origin),
            Self::TokioUring => uring_relay::serve(origin),
            Self::Glommio => glommio_relay::serve(origin),
        }
    }
}

/// Any free port.
pub(crate) fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Says where the relay listens; the measuring side waits for this line.
pub(crate) fn announce(address: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{address}")?;
    out.flush()
}
