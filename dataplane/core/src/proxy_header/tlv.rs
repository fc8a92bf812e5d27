//! The TLVs of version 2 (section 2.2): a walk that ends exactly where the bytes end, and what is
//! in the known ones. They are data for logs and for the next hop, never for authorization (P06).

use super::Refusal;
use crate::limits::PROXY_UNIQUE_ID_BYTES_MAX;

/// Kind of a TLV.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TlvKind(pub u8);

impl TlvKind {
    /// Protocol negotiated by ALPN.
    pub const ALPN: Self = Self(0x01);
    /// Host name that the client asked for (SNI).
    pub const AUTHORITY: Self = Self(0x02);
    /// CRC32C of the whole header.
    pub const CRC32C: Self = Self(0x03);
    /// Nothing; padding.
    pub const NOOP: Self = Self(0x04);
    /// Opaque id of the connection, at most 128 bytes.
    pub const UNIQUE_ID: Self = Self(0x05);
    /// That the client came by TLS, and how.
    pub const SSL: Self = Self(0x20);
    /// In SSL: version, as text.
    pub const SSL_VERSION: Self = Self(0x21);
    /// In SSL: common name of the client certificate.
    pub const SSL_CN: Self = Self(0x22);
    /// In SSL: name of the cipher suite.
    pub const SSL_CIPHER: Self = Self(0x23);
}

/// One TLV.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tlv<'a> {
    /// Kind.
    pub kind: TlvKind,
    /// Value.
    pub value: &'a [u8],
}

/// TLVs that were walked to their end; reading them again cannot fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tlvs<'a>(&'a [u8]);

/// What the SSL TLV says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SslFacts<'a> {
    /// The client came by TLS.
    pub by_tls: bool,
    /// It showed a certificate on this connection.
    pub certificate_on_connection: bool,
    /// It showed one at least once in this session of TLS.
    pub certificate_in_session: bool,
    /// It showed one and that was verified.
    pub verified: bool,
    /// The TLVs inside: version, common name, cipher.
    pub facts: Tlvs<'a>,
}

impl<'a> Tlvs<'a> {
    /// Walks all TLVs and checks those whose form is known.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let tlvs = Self::walk(bytes)?;
        tlvs.iter().try_for_each(check)?;
        Ok(tlvs)
    }

    fn walk(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let mut rest = bytes;
        while !rest.is_empty() {
            (_, rest) = first(rest).ok_or(Refusal::Truncated)?;
        }
        Ok(Self(bytes))
    }

    /// All TLVs, in their order.
    pub fn iter(self) -> impl Iterator<Item = Tlv<'a>> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let (tlv, behind) = first(rest)?;
            rest = behind;
            Some(tlv)
        })
    }

    /// Value of the first TLV of this kind.
    pub fn value(self, kind: TlvKind) -> Option<&'a [u8]> {
        self.iter()
            .find_map(|tlv| (tlv.kind == kind).then_some(tlv.value))
    }

    /// The SSL TLV.
    pub fn ssl(self) -> Option<SslFacts<'a>> {
        ssl(self.value(TlvKind::SSL)?).ok()
    }

    /// The bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

fn first(bytes: &[u8]) -> Option<(Tlv<'_>, &[u8])> {
    let (&[kind, high, low], rest) = bytes.split_first_chunk()?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
    let kind = TlvKind(kind);
    Some((Tlv { kind, value }, rest))
}

fn check(tlv: Tlv<'_>) -> Result<(), Refusal> {
    let is_sound = match tlv.kind {
        TlvKind::SSL => return ssl(tlv.value).map(drop),
        TlvKind::CRC32C => tlv.value.len() == 4,
        TlvKind::UNIQUE_ID => tlv.value.len() <= PROXY_UNIQUE_ID_BYTES_MAX,
        _ => true,
    };
    is_sound.then_some(()).ok_or(Refusal::Value)
}

/// Section 2.2.5: a byte of flags, four bytes that are 0 if the certificate was verified, TLVs.
fn ssl(value: &[u8]) -> Result<SslFacts<'_>, Refusal> {
    let (&[client, v0, v1, v2, v3], inside) = value.split_first_chunk().ok_or(Refusal::Value)?;
    let certificate_in_session = client & 0x04 != 0;
    Ok(SslFacts {
        by_tls: client & 0x01 != 0,
        certificate_on_connection: client & 0x02 != 0,
        certificate_in_session,
        verified: certificate_in_session && [v0, v1, v2, v3] == [0; 4],
        facts: Tlvs::walk(inside).map_err(|_| Refusal::Value)?,
    })
}
