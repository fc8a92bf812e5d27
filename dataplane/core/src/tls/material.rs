//! Certificates, keys and lists from PEM, checked before anything is built of them. Reading files
//! is not done here: bytes come with the name of where they came from, and errors carry it.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, RootCertStore};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::certificate::Certificate;

/// Bytes and where they came from: a file, or the field of a configuration.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// For errors.
    pub name: &'a str,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// `TlsCertificate`.
#[derive(Clone, Copy, Debug)]
pub struct KeyPair<'a> {
    /// `certificate_chain`: own certificate first, PEM.
    pub chain: Source<'a>,
    /// `private_key`: PKCS#8, PKCS#1 or SEC1, PEM.
    pub key: Source<'a>,
    /// `ocsp_staple`: DER; empty if there is none.
    pub ocsp_staple: &'a [u8],
}

/// Why a configuration cannot be used: the place, what is wrong there, and what helps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invalid {
    /// File or field.
    pub place: Box<str>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a piece of a configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Problem {
    /// There are no bytes.
    Empty,
    /// No PEM section of the kind that is needed.
    Nothing(&'static str),
    /// PEM that cannot be read.
    Pem,
    /// A certificate that cannot be read; its number in the file, from 1.
    Certificate(usize),
    /// A key that cannot be read, or of a kind that is not served.
    Key,
    /// A key that wants a password.
    EncryptedKey,
    /// The key belongs to another certificate, whose place this is.
    WrongKey(Box<str>),
    /// The own certificate has expired: seconds since 1970.
    Expired(i64),
    /// The own certificate is not valid yet: seconds since 1970.
    NotYetValid(i64),
    /// A root that cannot be used; its number in the file, from 1.
    Root(usize),
    /// Revocation lists that cannot be used.
    RevocationList,
    /// Ticket keys of another length than 80 bytes.
    TicketKey,
    /// A name that is not known.
    Unknown(Box<str>),
    /// The lowest version is above the highest one.
    Versions,
    /// What is asked for needs this field.
    Missing(&'static str),
    /// rustls refuses the whole.
    Refused(&'static str),
}

impl Invalid {
    pub(super) fn new(place: &str, problem: Problem) -> Self {
        let place = place.into();
        Self { place, problem }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

impl std::error::Error for Invalid {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty; was it written completely?"),
            Self::Nothing(what) => write!(f, "holds no {what}; give a PEM file with one"),
            Self::Pem => f.write_str(
                "is not sound PEM; a section between BEGIN and END is damaged or cut off",
            ),
            Self::Certificate(number) => {
                write!(f, "certificate {number} cannot be read; issue it anew")
            }
            Self::Key => f.write_str(
                "the private key cannot be read; RSA from 2048 bits, ECDSA P-256, P-384, P-521 and \
                 Ed25519 are served",
            ),
            Self::EncryptedKey => f.write_str(
                "the private key is encrypted, and there is nobody to ask for its password; \
                 decrypt it and protect the file instead",
            ),
            Self::WrongKey(chain) => write!(
                f,
                "the private key does not belong to the first certificate of {chain}; renew both \
                 together"
            ),
            Self::Expired(at) => write!(f, "the certificate expired {}; renew it", Day(*at)),
            Self::NotYetValid(at) => write!(
                f,
                "the certificate is not valid yet, but {}; look at the clock of this machine",
                Day(*at)
            ),
            Self::Root(number) => {
                write!(
                    f,
                    "certificate {number} cannot be a root of trust; take it out"
                )
            }
            Self::RevocationList => f.write_str("the revocation list cannot be used; renew it"),
            Self::TicketKey => {
                f.write_str("a session ticket key has 80 bytes; make one with `openssl rand 80`")
            }
            Self::Unknown(name) => write!(f, "{name:?} is not served; take it out"),
            Self::Versions => f.write_str(
                "tls_minimum_protocol_version is above tls_maximum_protocol_version; no version is \
                 left",
            ),
            Self::Missing(field) => write!(f, "needs {field}"),
            Self::Refused(why) => f.write_str(why),
        }
    }
}

/// A day of the Gregorian calendar, for people.
struct Day(i64);

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0.div_euclid(86_400) + 719_468;
        let era = days.div_euclid(146_097);
        let day = days.rem_euclid(146_097);
        let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 {
            march_month + 3
        } else {
            march_month - 9
        };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        write!(f, "on {year:04}-{month:02}-{day:02}")
    }
}

impl fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The bytes may be a key.
        write!(f, "Source({}, {} bytes)", self.name, self.bytes.len())
    }
}

impl Source<'_> {
    fn invalid(&self, problem: Problem) -> Invalid {
        Invalid::new(self.name, problem)
    }

    /// All certificates, at least one.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Invalid> {
        let found: Vec<CertificateDer<'static>> = self.sections("certificate")?;
        for (index, der) in found.iter().enumerate() {
            if Certificate::parse(der).is_none() {
                return Err(self.invalid(Problem::Certificate(index + 1)));
            }
        }
        Ok(found)
    }

    fn sections<T: PemObject>(&self, what: &'static str) -> Result<Vec<T>, Invalid> {
        if self.bytes.trim_ascii().is_empty() {
            return Err(self.invalid(Problem::Empty));
        }
        let found: Result<Vec<T>, pem::Error> = T::pem_slice_iter(self.bytes).collect();
        match found {
            Ok(found) if found.is_empty() => Err(self.invalid(Problem::Nothing(what))),
            Ok(found) => Ok(found),
            Err(_) => Err(self.invalid(Problem::Pem)),
        }
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, Invalid> {
        let marker = b"ENCRYPTED";
        let is_encrypted = self
            .bytes
            .windows(marker.len())
            .any(|window| window == marker);
        let mut found = match self.sections("private key") {
            Err(_) if is_encrypted => return Err(self.invalid(Problem::EncryptedKey)),
            found => found?,
        };
        Ok(found.swap_remove(0))
    }

    /// Roots of trust.
    pub(super) fn roots(&self) -> Result<RootCertStore, Invalid> {
        let mut store = RootCertStore::empty();
        for (index, der) in self.certificates()?.into_iter().enumerate() {
            let added = store.add(der);
            added.map_err(|_| self.invalid(Problem::Root(index + 1)))?;
        }
        Ok(store)
    }

    /// Revocation lists; none if there are no bytes.
    pub(super) fn revocation_lists(
        &self,
    ) -> Result<Vec<CertificateRevocationListDer<'static>>, Invalid> {
        match self.bytes.is_empty() {
            true => Ok(Vec::new()),
            false => self.sections("revocation list (X509 CRL)"),
        }
    }
}

impl KeyPair<'_> {
    /// Certificate and key, if they belong together and are valid now.
    pub(super) fn certified(&self, now: u64) -> Result<Arc<CertifiedKey>, Invalid> {
        let chain = self.chain.certificates()?;
        self.is_valid_now(&chain, now)?;
        let key = default_provider()
            .key_provider
            .load_private_key(self.key.key()?);
        let key = key.map_err(|_| self.key.invalid(Problem::Key))?;
        let mut certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(Error::InconsistentKeys(_)) => {
                let chain = self.chain.name.into();
                return Err(self.key.invalid(Problem::WrongKey(chain)));
            }
            Err(_) => return Err(self.chain.invalid(Problem::Certificate(1))),
        }
        if !self.ocsp_staple.is_empty() {
            certified.ocsp = Some(self.ocsp_staple.to_vec());
        }
        Ok(Arc::new(certified))
    }

    fn is_valid_now(&self, chain: &[CertificateDer<'_>], now: u64) -> Result<(), Invalid> {
        let own = chain.first().and_then(|der| Certificate::parse(der));
        let own = own.ok_or_else(|| self.chain.invalid(Problem::Certificate(1)))?;
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        if own.not_after() < now {
            return Err(self.chain.invalid(Problem::Expired(own.not_after())));
        }
        match now < own.not_before() {
            true => Err(self.chain.invalid(Problem::NotYetValid(own.not_before()))),
            false => Ok(()),
        }
    }
}
