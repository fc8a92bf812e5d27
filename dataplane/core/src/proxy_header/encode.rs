//! From a header to bytes: what an upstream connection begins with (P08, C11: once).

use core::net::{IpAddr, SocketAddr};

use super::checksum::crc32c;
use super::tlv::TlvKind;
use super::{Addresses, FIXED_BYTES, SIGNATURE};
use crate::digits::{append_ip, append_number};
use crate::limits::{PROXY_UNIQUE_ID_BYTES_MAX, PROXY_V2_BYTES_MAX};

/// What a header of version 2 is to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Outgoing<'a> {
    /// Both ends of the downstream connection; `None` writes LOCAL.
    pub addresses: Option<Addresses>,
    /// ALPN protocol of the downstream connection.
    pub alpn: Option<&'a [u8]>,
    /// Host name that the client asked for.
    pub authority: Option<&'a [u8]>,
    /// Id of the connection.
    pub unique_id: Option<&'a [u8]>,
    /// How the client came by TLS.
    pub ssl: Option<OutgoingSsl<'a>>,
    /// TLVs of the configuration or of the header that was received.
    pub others: &'a [(TlvKind, &'a [u8])],
    /// Adds the checksum.
    pub checksum: bool,
}

/// The SSL TLV to write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutgoingSsl<'a> {
    /// As in `TLSv1.3`.
    pub version: &'a [u8],
    /// Cipher suite, by its name in OpenSSL.
    pub cipher: &'a [u8],
    /// The client showed a certificate, and it was verified.
    pub has_certificate: bool,
    /// Common name of that certificate.
    pub common_name: Option<&'a [u8]>,
}

/// The header would be longer than 4 KiB, or a value longer than its TLV allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLong;

/// Appends a line of version 1; `None` writes `UNKNOWN`.
pub fn encode_v1(addresses: Option<Addresses>, out: &mut Vec<u8>) {
    let Some(addresses) = addresses.map(Addresses::matched) else {
        return out.extend_from_slice(b"PROXY UNKNOWN\r\n");
    };
    let is_v4 = addresses.source.is_ipv4();
    out.extend_from_slice(if is_v4 {
        b"PROXY TCP4 "
    } else {
        b"PROXY TCP6 "
    });
    append_ip(addresses.source.ip(), out);
    out.push(b' ');
    append_ip(addresses.destination.ip(), out);
    for port in [addresses.source.port(), addresses.destination.port()] {
        out.push(b' ');
        append_number(port.into(), out);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a header of version 2, or nothing if it would be too long.
pub fn encode_v2(header: &Outgoing<'_>, out: &mut Vec<u8>) -> Result<(), TooLong> {
    let start = out.len();
    let written = append(header, out).and_then(|()| finish(header, &mut out[start..]));
    if written.is_err() {
        out.truncate(start);
    }
    written
}

fn append(header: &Outgoing<'_>, out: &mut Vec<u8>) -> Result<(), TooLong> {
    out.extend_from_slice(SIGNATURE);
    match header.addresses.map(Addresses::matched) {
        None => out.extend_from_slice(&[0x20, 0x00, 0, 0]),
        Some(addresses) => append_addresses(addresses, out),
    }
    if header
        .unique_id
        .is_some_and(|id| id.len() > PROXY_UNIQUE_ID_BYTES_MAX)
    {
        return Err(TooLong);
    }
    let known = [
        (TlvKind::ALPN, header.alpn),
        (TlvKind::AUTHORITY, header.authority),
        (TlvKind::UNIQUE_ID, header.unique_id),
    ];
    for (kind, value) in known {
        value.map_or(Ok(()), |value| append_tlv(kind, value, out))?;
    }
    header.ssl.map_or(Ok(()), |ssl| append_ssl(ssl, out))?;
    let mut others = header.others.iter();
    others.try_for_each(|&(kind, value)| append_tlv(kind, value, out))?;
    match header.checksum {
        true => append_tlv(TlvKind::CRC32C, &[0; 4], out),
        false => Ok(()),
    }
}

/// Command, family, length (filled in later), addresses.
fn append_addresses(addresses: Addresses, out: &mut Vec<u8>) {
    let family = if addresses.source.is_ipv4() {
        0x11
    } else {
        0x21
    };
    out.extend_from_slice(&[0x21, family, 0, 0]);
    let ends = [addresses.source, addresses.destination];
    for ip in ends.map(|end: SocketAddr| end.ip()) {
        match ip {
            IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
        }
    }
    for end in ends {
        out.extend_from_slice(&end.port().to_be_bytes());
    }
}

fn append_tlv(kind: TlvKind, value: &[u8], out: &mut Vec<u8>) -> Result<(), TooLong> {
    let len = u16::try_from(value.len()).map_err(|_| TooLong)?;
    out.push(kind.0);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(value);
    Ok(())
}

fn append_ssl(ssl: OutgoingSsl<'_>, out: &mut Vec<u8>) -> Result<(), TooLong> {
    let at = out.len();
    let client = if ssl.has_certificate { 0x07 } else { 0x01 };
    // Verified is 0 and means something only where there was a certificate.
    let verify = u8::from(!ssl.has_certificate);
    append_tlv(TlvKind::SSL, &[client, 0, 0, 0, verify], out)?;
    append_tlv(TlvKind::SSL_VERSION, ssl.version, out)?;
    if let Some(name) = ssl.common_name {
        append_tlv(TlvKind::SSL_CN, name, out)?;
    }
    append_tlv(TlvKind::SSL_CIPHER, ssl.cipher, out)?;
    let len = u16::try_from(out.len() - at - 3).map_err(|_| TooLong)?;
    out[at + 1..at + 3].copy_from_slice(&len.to_be_bytes());
    Ok(())
}

/// Fills in the length and, with all else in place, the checksum.
fn finish(header: &Outgoing<'_>, bytes: &mut [u8]) -> Result<(), TooLong> {
    if bytes.len() > PROXY_V2_BYTES_MAX {
        return Err(TooLong);
    }
    let len = (bytes.len() - FIXED_BYTES) as u16;
    bytes[14..16].copy_from_slice(&len.to_be_bytes());
    if header.checksum {
        let sum = crc32c(&[bytes]).to_be_bytes();
        let at = bytes.len() - sum.len();
        bytes[at..].copy_from_slice(&sum);
    }
    Ok(())
}
