//! PROXY protocol, versions 1 and 2: what a load balancer writes in front of a connection so that
//! the next one knows the client.
//!
//! It stands before everything else on a downstream connection whose chain asks for it, and is sent
//! once, first, on an upstream connection. It is required where it is configured and never guessed
//! (P02): a client that could leave it out, or bring one along, could choose its own address.
//! Pure functions over bytes; they hold nothing between calls. Follows the specification "The PROXY
//! protocol, versions 1 & 2" (HAProxy, 2020/03/05).

mod checksum;
mod decode;
mod encode;
mod tlv;

#[cfg(test)]
mod tests;

use core::net::SocketAddr;

pub use decode::{Accept, Decoded, Header, Step, decode};
pub use encode::{Outgoing, OutgoingSsl, TooLong, encode_v1, encode_v2};
pub use tlv::{SslFacts, Tlv, TlvKind, Tlvs};

/// First bytes of version 2 (section 2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes in front of the addresses of version 2.
const FIXED_BYTES: usize = 16;

/// Version of a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// One line of text.
    V1,
    /// Binary, with room for more.
    V2,
}

/// Both ends of the connection that the header speaks of; of one address family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Addresses {
    /// The client.
    pub source: SocketAddr,
    /// Where it connected to.
    pub destination: SocketAddr,
}

/// Declares the ways in which a header can be wrong.
macro_rules! refusals {
    ($($(#[$doc:meta])* $variant:ident = $label:literal, $text:literal,)*) => {
        /// Why a header was refused; a bounded set that holds no byte of the other end.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum Refusal {
            $($(#[$doc])* $variant,)*
        }

        impl Refusal {
            /// All of them, in the order of their discriminants.
            pub const ALL: &'static [Refusal] = &[$(Refusal::$variant,)*];

            /// Label for counters.
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }

            /// Cause and remedy, for people.
            pub fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

refusals! {
    /// P02: the connection does not begin with a header.
    Missing = "missing",
        "the connection does not begin with a PROXY header; let the load balancer in front send \
         one, or take the PROXY protocol off this listener",
    /// The version is switched off.
    Disallowed = "version_disallowed",
        "the version of the PROXY header is switched off here; let the load balancer send the \
         other one, or allow this one",
    /// P03: the line is longer than 107 bytes, or does not end in CRLF.
    Line = "v1_line",
        "the PROXY line is too long or does not end in CRLF; the sender is no load balancer that \
         speaks version 1",
    /// P06: a part of the line is missing, superfluous or malformed.
    Fields = "v1_fields",
        "the PROXY line does not hold a family, two addresses of it and two ports",
    /// Version or command of a binary header is unknown.
    Command = "v2_command",
        "the PROXY header has a version or command that version 2 does not know",
    /// P06: family or transport is unknown or cannot be that of a stream.
    Family = "v2_family",
        "the PROXY header speaks of no TCP connection over IPv4 or IPv6; only those are accepted",
    /// P03: longer than 4 KiB.
    Length = "v2_length",
        "the PROXY header is longer than 4 KiB; let the load balancer send fewer TLVs",
    /// P03: shorter than its addresses, or its TLVs do not end where it ends.
    Truncated = "v2_truncated",
        "the PROXY header ends in the middle of an address or a TLV",
    /// A TLV whose value cannot be.
    Value = "v2_value",
        "a TLV of the PROXY header is malformed (SSL, CRC32C or UNIQUE_ID)",
    /// P04: the checksum is not that of the header.
    Checksum = "v2_checksum",
        "the CRC32C of the PROXY header is wrong: it was changed on its way",
}

impl Addresses {
    /// As they are written: of one family, IPv4 mapped into IPv6 where they differ.
    fn matched(self) -> Self {
        if self.source.is_ipv4() == self.destination.is_ipv4() {
            return self;
        }
        Self {
            source: mapped(self.source),
            destination: mapped(self.destination),
        }
    }
}

fn mapped(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) => SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port())),
        v6 @ SocketAddr::V6(_) => v6,
    }
}
