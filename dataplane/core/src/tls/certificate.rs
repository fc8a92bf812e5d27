//! What is read of a certificate: subject, names, dates, fingerprints, and itself as PEM.

use core::net::IpAddr;
use std::fmt::Write;

use aws_lc_rs::digest;
use rustls_pki_types::CertificateDer;

use super::der::{BOOLEAN, Der, OCTET_STRING, OID, SEQUENCE, Value, seconds};

const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const BMP_STRING: u8 = 0x1e;

/// Attribute types with a short name (RFC 4514 section 3, and what OpenSSL adds).
const ATTRIBUTES: &[(&[u8], &str)] = &[
    (COMMON_NAME, "CN"),
    (&[0x55, 0x04, 0x04], "SN"),
    (&[0x55, 0x04, 0x05], "serialNumber"),
    (&[0x55, 0x04, 0x06], "C"),
    (&[0x55, 0x04, 0x07], "L"),
    (&[0x55, 0x04, 0x08], "ST"),
    (&[0x55, 0x04, 0x09], "street"),
    (&[0x55, 0x04, 0x0a], "O"),
    (&[0x55, 0x04, 0x0b], "OU"),
    (&[0x55, 0x04, 0x0c], "title"),
    (&[0x55, 0x04, 0x2a], "GN"),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19],
        "DC",
    ),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01],
        "UID",
    ),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01],
        "emailAddress",
    ),
];

/// A name of the subject alternative names. Kinds that are not here are no identities (I06), and
/// neither is a text with anything but printable ASCII in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AltName<'a> {
    /// A host name.
    Dns(&'a str),
    /// A URI, for example a SPIFFE id.
    Uri(&'a str),
    /// A mail address.
    Email(&'a str),
    /// An address.
    Ip(IpAddr),
}

/// A certificate whose outer form was understood.
#[derive(Clone, Copy, Debug)]
pub struct Certificate<'a> {
    der: &'a [u8],
    issuer: Value<'a>,
    subject: Value<'a>,
    spki: Value<'a>,
    not_before: i64,
    not_after: i64,
    alt_names: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Reads a certificate; `None` if it is malformed.
    pub fn parse(der: &'a [u8]) -> Option<Self> {
        let whole = Der::new(der).expect(SEQUENCE)?;
        let mut fields = Der::new(Der::new(whole.content).expect(SEQUENCE)?.content);
        fields.optional(0xa0);
        // Serial number and signature algorithm.
        fields.value()?;
        fields.value()?;
        let issuer = fields.expect(SEQUENCE)?;
        let mut validity = Der::new(fields.expect(SEQUENCE)?.content);
        let subject = fields.expect(SEQUENCE)?;
        let spki = fields.expect(SEQUENCE)?;
        let extensions = fields.find(|field| field.tag == 0xa3);
        Some(Self {
            der,
            issuer,
            subject,
            spki,
            not_before: seconds(validity.value()?)?,
            not_after: seconds(validity.value()?)?,
            alt_names: extensions
                .and_then(|list| alt_names(list.content))
                .unwrap_or(&[]),
        })
    }

    /// Seconds since 1970 from which on it is valid.
    pub fn not_before(&self) -> i64 {
        self.not_before
    }

    /// Seconds since 1970 until which it is valid.
    pub fn not_after(&self) -> i64 {
        self.not_after
    }

    /// Its subject as RFC 2253 writes it: the last part first, as in `CN=a,O=b`.
    pub fn subject(&self) -> String {
        distinguished_name(self.subject.content)
    }

    /// Its issuer, in the same form.
    pub fn issuer(&self) -> String {
        distinguished_name(self.issuer.content)
    }

    /// The common name of its subject, if it is printable ASCII.
    pub fn common_name(&self) -> Option<&'a str> {
        let mut parts = Der::new(self.subject.content).flat_map(|set| Der::new(set.content));
        parts.find_map(|part| {
            let mut part = Der::new(part.content);
            let kind = part.expect(OID)?;
            let value = part.value()?;
            (kind.content == COMMON_NAME).then(|| printable(value.content))?
        })
    }

    /// Its subject alternative names.
    pub fn alt_names(&self) -> impl Iterator<Item = AltName<'a>> + use<'a> {
        Der::new(self.alt_names).filter_map(alt_name)
    }

    /// SHA-256 of all of it.
    pub fn sha256(&self) -> [u8; 32] {
        sha256(self.der)
    }

    /// SHA-256 of its public key (`verify_certificate_spki`).
    pub fn spki_sha256(&self) -> [u8; 32] {
        sha256(self.spki.whole)
    }

    /// Appends it as PEM.
    pub fn append_pem(&self, out: &mut String) {
        out.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in self.der.chunks(48) {
            append_base64(line, out);
            out.push('\n');
        }
        out.push_str("-----END CERTIFICATE-----\n");
    }
}

/// The chain of the other end; the first certificate is its own.
#[derive(Debug)]
pub struct Chain(Box<[CertificateDer<'static>]>);

impl Chain {
    pub(super) fn new(certificates: &[CertificateDer<'static>]) -> Option<Self> {
        let is_readable = Certificate::parse(certificates.first()?).is_some();
        is_readable.then(|| Self(certificates.into()))
    }

    /// All of them, the other end's own first.
    pub fn certificates(&self) -> impl Iterator<Item = Certificate<'_>> {
        self.0.iter().filter_map(|der| Certificate::parse(der))
    }

    /// The other end's own.
    pub fn own(&self) -> Option<Certificate<'_>> {
        self.certificates().next()
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// The list inside the extension.
fn alt_names(extensions: &[u8]) -> Option<&[u8]> {
    let list = Der::new(extensions).expect(SEQUENCE)?;
    Der::new(list.content).find_map(|extension| {
        let mut fields = Der::new(extension.content);
        let kind = fields.expect(OID)?;
        fields.optional(BOOLEAN);
        let value = fields.expect(OCTET_STRING)?;
        let names = || Der::new(value.content).expect(SEQUENCE);
        (kind.content == SUBJECT_ALT_NAME)
            .then(names)??
            .content
            .into()
    })
}

fn alt_name(value: Value<'_>) -> Option<AltName<'_>> {
    match value.tag {
        0x81 => printable(value.content).map(AltName::Email),
        0x82 => printable(value.content).map(AltName::Dns),
        0x86 => printable(value.content).map(AltName::Uri),
        0x87 => ip(value.content).map(AltName::Ip),
        _ => None,
    }
}

fn printable(bytes: &[u8]) -> Option<&str> {
    let is_printable = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic);
    let has_space =
        bytes.contains(&b' ') && bytes.iter().all(|b| b.is_ascii_graphic() || *b == b' ');
    match is_printable || has_space {
        true => core::str::from_utf8(bytes).ok(),
        false => None,
    }
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(bytes).map(IpAddr::from).ok();
    let v6 = || <[u8; 16]>::try_from(bytes).map(IpAddr::from).ok();
    v4().or_else(v6)
}

/// RFC 2253 section 2.
fn distinguished_name(name: &[u8]) -> String {
    let sets: Vec<_> = Der::new(name).collect();
    let mut out = String::new();
    for set in sets.into_iter().rev() {
        for (index, part) in Der::new(set.content).enumerate() {
            if !out.is_empty() {
                out.push(if index == 0 { ',' } else { '+' });
            }
            append_attribute(part, &mut out);
        }
    }
    out
}

fn append_attribute(part: Value<'_>, out: &mut String) {
    let mut part = Der::new(part.content);
    let (Some(kind), Some(value)) = (part.expect(OID), part.value()) else {
        return;
    };
    let known = ATTRIBUTES.iter().find(|(oid, _)| *oid == kind.content);
    match known {
        Some((_, name)) => out.push_str(name),
        None => append_oid(kind.content, out),
    }
    out.push('=');
    match known.is_some() && value.tag != BMP_STRING {
        true => append_escaped(value.content, out),
        false => append_hex(value.whole, out),
    }
}

/// RFC 2253 section 2.4; bytes beyond ASCII are escaped too, so that logs stay ASCII (O01).
fn append_escaped(bytes: &[u8], out: &mut String) {
    for (index, &byte) in bytes.iter().enumerate() {
        let is_edge = index == 0 || index + 1 == bytes.len();
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => out.extend(['\\', byte as char]),
            b'#' if index == 0 => out.push_str("\\#"),
            b' ' if is_edge => out.push_str("\\ "),
            0x20..0x7f => out.push(byte as char),
            _ => _ = write!(out, "\\{byte:02X}"),
        }
    }
}

fn append_hex(bytes: &[u8], out: &mut String) {
    out.push('#');
    bytes.iter().for_each(|byte| _ = write!(out, "{byte:02X}"));
}

fn append_oid(oid: &[u8], out: &mut String) {
    let mut parts = oid.split_inclusive(|byte| byte & 0x80 == 0).map(|part| {
        part.iter()
            .fold(0u64, |n, byte| (n << 7) | u64::from(byte & 0x7f))
    });
    if let Some(first) = parts.next() {
        let root = (first / 40).min(2);
        let _ = write!(out, "{root}.{}", first - root * 40);
    }
    parts.for_each(|part| _ = write!(out, ".{part}"));
}

/// RFC 4648 section 4.
fn append_base64(bytes: &[u8], out: &mut String) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let mut block = [0; 4];
        block[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(block);
        for index in 0..4 {
            let sextet = (bits >> (18 - 6 * index)) & 0x3f;
            let is_padding = index > group.len() as u32;
            out.push(if is_padding {
                '='
            } else {
                ALPHABET[sextet as usize] as char
            });
        }
    }
}
