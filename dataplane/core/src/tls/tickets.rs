//! Session tickets: the keys of a configuration, and what rustls seals with them.
//!
//! Keys are values. They are replaced by making another acceptor with other keys and publishing it
//! in a snapshot, so nothing here is locked. The first key seals, all open. Every acceptor derives
//! its own keys from them: what one filter chain gave out, another cannot open, and neither can the
//! same one with other rules for clients (I07).

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hmac, rand};
use rustls::server::ProducesTickets;

use super::material::{Invalid, Problem, Source};

/// Bytes of a key as xDS (`session_ticket_keys`) and other proxies have it.
pub const TICKET_KEY_BYTES: usize = 80;

const NAME_BYTES: usize = 16;
const TAG_BYTES: usize = 16;

/// Keys for tickets, the newest first.
#[derive(Clone)]
pub struct TicketKeys {
    keys: Vec<[u8; TICKET_KEY_BYTES]>,
    lifetime_seconds: u32,
}

impl TicketKeys {
    /// Keys of a configuration; at least one.
    pub fn new(sources: &[Source<'_>], lifetime_seconds: u32) -> Result<Self, Invalid> {
        let key = |source: &Source<'_>| {
            let key = source.bytes.try_into();
            key.map_err(|_| Invalid::new(source.name, Problem::TicketKey))
        };
        let keys: Vec<_> = sources.iter().map(key).collect::<Result<_, _>>()?;
        match keys.is_empty() {
            true => Err(Invalid::new("session_ticket_keys", Problem::Empty)),
            false => Ok(Self {
                keys,
                lifetime_seconds,
            }),
        }
    }

    /// The same with a new key in front and at most `keep` older ones behind: what housekeeping
    /// does now and then. The key is to come from a source of randomness that is good for secrets.
    pub fn rotated(&self, key: [u8; TICKET_KEY_BYTES], keep: usize) -> Self {
        let older = self.keys.iter().take(keep).copied();
        Self {
            keys: std::iter::once(key).chain(older).collect(),
            lifetime_seconds: self.lifetime_seconds,
        }
    }

    pub(super) fn ticketer(&self, scope: &[u8]) -> Option<Ticketer> {
        let keys = self.keys.iter().map(|key| Key::derive(key, scope));
        Some(Ticketer {
            keys: keys.collect::<Option<_>>()?,
            lifetime_seconds: self.lifetime_seconds,
        })
    }
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TicketKeys({})", self.keys.len())
    }
}

/// A key of one acceptor.
struct Key {
    name: [u8; NAME_BYTES],
    aead: LessSafeKey,
}

impl Key {
    fn derive(key: &[u8], scope: &[u8]) -> Option<Self> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let part = |purpose: &[u8]| hmac::sign(&key, &[purpose, scope].concat());
        let mut name = [0; NAME_BYTES];
        name.copy_from_slice(&part(b"penstock ticket name\0").as_ref()[..NAME_BYTES]);
        let secret = part(b"penstock ticket key\0");
        let aead = UnboundKey::new(&AES_256_GCM, secret.as_ref()).ok()?;
        let aead = LessSafeKey::new(aead);
        Some(Self { name, aead })
    }

    /// Name, nonce, ciphertext, tag.
    fn seal(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(NAME_BYTES + NONCE_LEN + plain.len() + TAG_BYTES);
        ticket.extend_from_slice(&self.name);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(plain);
        let body = &mut ticket[NAME_BYTES + NONCE_LEN..];
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .aead
            .seal_in_place_separate_tag(nonce, Aad::from(self.name), body);
        ticket.extend_from_slice(tag.ok()?.as_ref());
        Some(ticket)
    }

    fn open(&self, nonce: [u8; NONCE_LEN], sealed: &[u8]) -> Option<Vec<u8>> {
        let mut body = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let plain = self
            .aead
            .open_in_place(nonce, Aad::from(self.name), &mut body);
        let len = plain.ok()?.len();
        body.truncate(len);
        Some(body)
    }
}

/// What rustls asks for tickets.
pub(super) struct Ticketer {
    keys: Vec<Key>,
    lifetime_seconds: u32,
}

impl fmt::Debug for Ticketer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticketer({} keys)", self.keys.len())
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        !self.keys.is_empty()
    }

    fn lifetime(&self) -> u32 {
        self.lifetime_seconds
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.keys.first()?.seal(plain)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME_BYTES>()?;
        let (&nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        // Names are no secret: they stand in every ticket.
        let key = self.keys.iter().find(|key| key.name == *name)?;
        key.open(nonce, sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> TicketKeys {
        let all: Vec<_> = bytes.iter().map(|&byte| [byte; TICKET_KEY_BYTES]).collect();
        let sources: Vec<_> = all
            .iter()
            .map(|bytes| Source { name: "key", bytes })
            .collect();
        TicketKeys::new(&sources, 60).unwrap()
    }

    #[test]
    fn a_ticket_outlives_a_rotation_and_no_more() {
        let first = keys(&[1]);
        let ticket = first.ticketer(b"a").unwrap().encrypt(b"session").unwrap();
        let opened = |keys: &TicketKeys| keys.ticketer(b"a").unwrap().decrypt(&ticket);
        let second = first.rotated([2; TICKET_KEY_BYTES], 1);
        assert_eq!(opened(&first).unwrap(), b"session");
        assert_eq!(opened(&second).unwrap(), b"session");
        assert_eq!(opened(&second.rotated([3; TICKET_KEY_BYTES], 1)), None);
    }

    #[test]
    fn i07_a_ticket_of_one_chain_is_not_valid_on_another() {
        let keys = keys(&[1]);
        let ticket = keys.ticketer(b"a").unwrap().encrypt(b"session").unwrap();
        assert_eq!(keys.ticketer(b"b").unwrap().decrypt(&ticket), None);
    }

    #[test]
    fn what_is_no_ticket_opens_nothing() {
        let ticketer = keys(&[1]).ticketer(b"a").unwrap();
        let ticket = ticketer.encrypt(b"session").unwrap();
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(ticketer.decrypt(&changed), None, "byte {at}");
            assert_eq!(ticketer.decrypt(&ticket[..at]), None, "{at} bytes");
        }
    }

    #[test]
    fn keys_have_eighty_bytes_and_show_none_of_them() {
        let short = Source {
            name: "tickets.key",
            bytes: &[7; 48],
        };
        let error = TicketKeys::new(&[short], 60).unwrap_err().to_string();
        assert!(
            error.starts_with("tickets.key: a session ticket key has 80 bytes"),
            "{error}"
        );
        let shown = format!("{:?} {:?} {short:?}", keys(&[7]), keys(&[7]).ticketer(b""));
        assert!(!shown.contains("7, 7"), "{shown}");
    }
}
