//! Sealing and opening single records in place, with the keys that rustls agreed on.
//!
//! rustls hands out plaintext as a copy and takes plaintext by a copy; this does neither. It knows
//! AES-GCM and ChaCha20-Poly1305 in the forms of TLS 1.2 (RFC 5288, RFC 7905) and 1.3 (RFC 8446
//! section 5.2), and nothing of what records are for.

use std::ops::Range;

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::ConnectionTrafficSecrets;
use rustls::crypto::cipher::{AeadKey, Iv};

use super::failure::Failure;

/// Type, version and length.
pub(super) const HEADER_BYTES: usize = 5;
/// Plaintext of one record (RFC 8446 section 5.1).
pub(super) const PLAIN_BYTES_MAX: usize = 1 << 14;
/// What a record may have behind its header (RFC 8446 section 5.2); TLS 1.2 would allow more, but
/// no cipher suite of ours needs it.
pub(super) const BODY_BYTES_MAX: usize = PLAIN_BYTES_MAX + 256;
/// A whole record.
pub(super) const RECORD_BYTES_MAX: usize = HEADER_BYTES + BODY_BYTES_MAX;
/// What at most stands in front of the ciphertext: the header and the nonce of TLS 1.2.
pub(super) const PREFIX_BYTES_MAX: usize = HEADER_BYTES + EXPLICIT_NONCE_BYTES;
/// What at most stands behind the plaintext: the type of TLS 1.3 and the tag.
pub(super) const SUFFIX_BYTES_MAX: usize = 1 + TAG_BYTES;

const TAG_BYTES: usize = 16;
const EXPLICIT_NONCE_BYTES: usize = 8;
/// Records that one AES-GCM key may seal (RFC 8446 section 5.5, RFC 9147 section 4.5.3).
const GCM_RECORDS_MAX: u64 = 1 << 24;

/// Content types.
pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;

/// How nonce, additional data and type are laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Tls13,
    Tls12Gcm,
    Tls12ChaCha,
}

/// One direction's key. It never shows what it holds.
struct Key {
    aead: LessSafeKey,
    iv: [u8; aead::NONCE_LEN],
    sequence: u64,
    form: Form,
}

/// Opens what arrives.
pub(super) struct Opener(Key);

/// Seals what leaves.
pub(super) struct Sealer {
    key: Key,
    records_max: u64,
}

/// What was inside a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Opened {
    /// Content type.
    pub(super) kind: u8,
    /// Where in the record's body the plaintext is.
    pub(super) plain: Range<usize>,
}

impl Key {
    fn new(secrets: &ConnectionTrafficSecrets, sequence: u64, is_tls13: bool) -> Option<Self> {
        let (algorithm, key, iv): (_, &AeadKey, &Iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&aead::AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&aead::AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
                (&aead::CHACHA20_POLY1305, key, iv)
            }
            _ => return None,
        };
        let is_chacha = matches!(secrets, ConnectionTrafficSecrets::Chacha20Poly1305 { .. });
        Some(Self {
            aead: LessSafeKey::new(UnboundKey::new(algorithm, key.as_ref()).ok()?),
            iv: iv.as_ref().try_into().ok()?,
            sequence,
            form: match (is_tls13, is_chacha) {
                (true, _) => Form::Tls13,
                (false, true) => Form::Tls12ChaCha,
                (false, false) => Form::Tls12Gcm,
            },
        })
    }

    /// The sequence number laid over the initialization vector (RFC 8446 section 5.3); for GCM in
    /// TLS 1.2 its last eight bytes travel with the record.
    fn nonce(&self) -> [u8; aead::NONCE_LEN] {
        let mut nonce = self.iv;
        let sequence = self.sequence.to_be_bytes();
        for (byte, part) in nonce[4..].iter_mut().zip(sequence) {
            *byte ^= part;
        }
        nonce
    }

    /// RFC 5246 section 6.2.3.3.
    fn aad12(&self, kind: u8, len: usize) -> [u8; 13] {
        let mut aad = [0; 13];
        aad[..8].copy_from_slice(&self.sequence.to_be_bytes());
        aad[8..].copy_from_slice(&header(kind, len));
        aad
    }

    fn prefix_bytes(&self) -> usize {
        match self.form {
            Form::Tls12Gcm => PREFIX_BYTES_MAX,
            Form::Tls13 | Form::Tls12ChaCha => HEADER_BYTES,
        }
    }

    fn suffix_bytes(&self) -> usize {
        match self.form {
            Form::Tls13 => SUFFIX_BYTES_MAX,
            Form::Tls12Gcm | Form::Tls12ChaCha => TAG_BYTES,
        }
    }
}

impl Opener {
    /// A key for the records from `sequence` on; `None` for a cipher suite that is not known here.
    pub(super) fn new(
        secrets: &ConnectionTrafficSecrets,
        sequence: u64,
        is_13: bool,
    ) -> Option<Self> {
        Key::new(secrets, sequence, is_13).map(Self)
    }

    /// Opens the next record, given its header and body.
    pub(super) fn open(
        &mut self,
        head: [u8; HEADER_BYTES],
        body: &mut [u8],
    ) -> Result<Opened, Failure> {
        let opened = match self.0.form {
            Form::Tls13 => self.open13(head, body)?,
            Form::Tls12Gcm | Form::Tls12ChaCha => self.open12(head[0], body)?,
        };
        self.0.sequence = self.0.sequence.checked_add(1).ok_or(Failure::KeyWorn)?;
        match opened.plain.len() <= PLAIN_BYTES_MAX {
            true => Ok(opened),
            false => Err(Failure::RecordTooLong),
        }
    }

    fn open13(&self, head: [u8; HEADER_BYTES], body: &mut [u8]) -> Result<Opened, Failure> {
        if head[0] != APPLICATION_DATA {
            return Err(Failure::Protocol);
        }
        let nonce = Nonce::assume_unique_for_key(self.0.nonce());
        let opened = self.0.aead.open_in_place(nonce, Aad::from(head), body);
        let plain = opened.map_err(|_| Failure::Decrypt)?;
        // RFC 8446 section 5.4: zeros may stand behind the type.
        let at = plain.iter().rposition(|&byte| byte != 0);
        let at = at.ok_or(Failure::Protocol)?;
        Ok(Opened {
            kind: plain[at],
            plain: 0..at,
        })
    }

    fn open12(&self, kind: u8, body: &mut [u8]) -> Result<Opened, Failure> {
        let from = self.0.prefix_bytes() - HEADER_BYTES;
        let overhead = from + TAG_BYTES;
        let len = body.len().checked_sub(overhead).ok_or(Failure::Decrypt)?;
        let mut nonce = self.0.nonce();
        nonce[aead::NONCE_LEN - from..].copy_from_slice(&body[..from]);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let aad = Aad::from(self.0.aad12(kind, len));
        let opened = self.0.aead.open_in_place(nonce, aad, &mut body[from..]);
        opened.map_err(|_| Failure::Decrypt)?;
        Ok(Opened {
            kind,
            plain: from..from + len,
        })
    }
}

impl Sealer {
    /// A key for the records from `sequence` on; `None` for a cipher suite that is not known here.
    pub(super) fn new(
        secrets: &ConnectionTrafficSecrets,
        sequence: u64,
        is_13: bool,
    ) -> Option<Self> {
        let is_chacha = matches!(secrets, ConnectionTrafficSecrets::Chacha20Poly1305 { .. });
        Some(Self {
            key: Key::new(secrets, sequence, is_13)?,
            records_max: if is_chacha {
                u64::MAX - 1
            } else {
                GCM_RECORDS_MAX
            },
        })
    }

    /// Bytes in front of the plaintext.
    pub(super) fn prefix_bytes(&self) -> usize {
        self.key.prefix_bytes()
    }

    /// Bytes behind the plaintext.
    pub(super) fn suffix_bytes(&self) -> usize {
        self.key.suffix_bytes()
    }

    /// True if this key must not seal many more records; a few are kept for a key update or a
    /// farewell.
    pub(super) fn is_worn(&self) -> bool {
        self.key.sequence + 16 >= self.records_max
    }

    #[cfg(test)]
    pub(super) fn wear_out(&mut self) {
        self.records_max = self.key.sequence + 16;
    }

    /// Seals a record whose plaintext is in place already: `record` is prefix, plaintext and
    /// suffix.
    pub(super) fn seal(&mut self, kind: u8, record: &mut [u8]) -> Result<(), Failure> {
        let (nonce, aad) = self.begin(kind, record)?;
        let from = self.prefix_bytes();
        let (body, suffix) = self.split(&mut record[from..]);
        let inside = self.type_inside(&kind);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let aad = Aad::from(aad);
        let sealed = self
            .key
            .aead
            .seal_in_place_scatter(nonce, aad, body, inside, suffix);
        self.end(sealed)
    }

    /// Seals `plain` into `record`, which is as long as prefix, plaintext and suffix.
    pub(super) fn seal_from(
        &mut self,
        kind: u8,
        plain: &[u8],
        record: &mut [u8],
    ) -> Result<(), Failure> {
        let (nonce, aad) = self.begin(kind, record)?;
        let from = self.prefix_bytes();
        let (body, suffix) = self.split(&mut record[from..]);
        let inside = self.type_inside(&kind);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let aad = Aad::from(aad);
        let aead = &self.key.aead;
        let sealed = aead.seal_out_of_place_scatter(nonce, aad, plain, body, inside, suffix);
        self.end(sealed)
    }

    /// Writes what stands in front of the ciphertext.
    fn begin(
        &self,
        kind: u8,
        record: &mut [u8],
    ) -> Result<([u8; aead::NONCE_LEN], AdditionalData), Failure> {
        if self.key.sequence >= self.records_max {
            return Err(Failure::KeyWorn);
        }
        let nonce = self.key.nonce();
        let (prefix, suffix) = (self.prefix_bytes(), self.suffix_bytes());
        let plain = record.len() - prefix - suffix;
        debug_assert!(plain <= PLAIN_BYTES_MAX);
        let outer = match self.key.form {
            Form::Tls13 => APPLICATION_DATA,
            Form::Tls12Gcm | Form::Tls12ChaCha => kind,
        };
        let head = header(outer, record.len() - HEADER_BYTES);
        record[..HEADER_BYTES].copy_from_slice(&head);
        let explicit = prefix - HEADER_BYTES;
        record[HEADER_BYTES..prefix].copy_from_slice(&nonce[aead::NONCE_LEN - explicit..]);
        let aad = match self.key.form {
            Form::Tls13 => AdditionalData::of(&head),
            Form::Tls12Gcm | Form::Tls12ChaCha => AdditionalData::of(&self.key.aad12(kind, plain)),
        };
        Ok((nonce, aad))
    }

    fn split<'a>(&self, rest: &'a mut [u8]) -> (&'a mut [u8], &'a mut [u8]) {
        let at = rest.len() - self.suffix_bytes();
        rest.split_at_mut(at)
    }

    fn type_inside<'a>(&self, kind: &'a u8) -> &'a [u8] {
        match self.key.form {
            Form::Tls13 => core::slice::from_ref(kind),
            Form::Tls12Gcm | Form::Tls12ChaCha => &[],
        }
    }

    fn end(&mut self, sealed: Result<(), aws_lc_rs::error::Unspecified>) -> Result<(), Failure> {
        self.key.sequence += 1;
        sealed.map_err(|_| Failure::Local)
    }
}

/// 5 bytes in TLS 1.3, 13 in TLS 1.2.
struct AdditionalData {
    bytes: [u8; 13],
    len: usize,
}

impl AdditionalData {
    fn of(part: &[u8]) -> Self {
        let mut bytes = [0; 13];
        bytes[..part.len()].copy_from_slice(part);
        Self {
            bytes,
            len: part.len(),
        }
    }
}

impl AsRef<[u8]> for AdditionalData {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The header of a record with so many bytes behind; its version is that of TLS 1.2 in all of them
/// (RFC 8446 section 5.1).
pub(super) fn header(kind: u8, len: usize) -> [u8; HEADER_BYTES] {
    let [high, low] = (len as u16).to_be_bytes();
    [kind, 3, 3, high, low]
}

/// Length of the whole record that begins here, once that is known; an error if no record of TLS
/// begins so, or if it is too long.
pub(super) fn record_len(bytes: &[u8]) -> Result<Option<usize>, Failure> {
    let is_kind = |&kind: &u8| (CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(&kind);
    if !bytes.first().is_none_or(is_kind) || bytes.get(1).is_some_and(|&major| major != 3) {
        return Err(Failure::NotTls);
    }
    let Some(head) = bytes.first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let len = usize::from(u16::from_be_bytes([head[3], head[4]]));
    match len <= BODY_BYTES_MAX {
        true => Ok(Some(HEADER_BYTES + len)),
        false => Err(Failure::RecordTooLong),
    }
}
