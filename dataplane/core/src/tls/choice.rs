//! Which certificate a server shows: by the name that is asked for, then by what the client can
//! verify.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{SignatureAlgorithm, SignatureScheme};

use super::certificate::{AltName, Certificate};

/// Certificates by name; for each name, and for all others, those of different kinds of keys.
#[derive(Debug)]
pub(super) struct Choice {
    all: Vec<Arc<CertifiedKey>>,
    /// Indexes into `all`. The key is in lower case; a wildcard is kept as `.a.test`.
    by_name: HashMap<Box<str>, Vec<usize>>,
}

impl Choice {
    /// The first certificate is also for whoever asks for a name that none has, or for none.
    pub(super) fn new(certificates: Vec<Arc<CertifiedKey>>) -> Self {
        let mut by_name: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        for (index, certificate) in certificates.iter().enumerate() {
            for name in names(certificate) {
                let key = name.strip_prefix('*').unwrap_or(&name);
                by_name.entry(key.into()).or_default().push(index);
            }
        }
        Self {
            all: certificates,
            by_name,
        }
    }

    /// All names, in order: what a ticket is bound to.
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.by_name.keys().map(|name| &**name).collect();
        names.sort_unstable();
        names
    }

    /// Exact, then the wildcard one label up, then all.
    fn find(&self, name: Option<&str>, offered: &[SignatureScheme]) -> Option<&Arc<CertifiedKey>> {
        let name = name.map(str::to_ascii_lowercase);
        let wildcard = name
            .as_ref()
            .and_then(|name| Some(&name[name.find('.')?..]));
        let named = [name.as_deref(), wildcard].into_iter().flatten();
        let found = named.filter_map(|name| self.by_name.get(name));
        found
            .filter_map(|indexes| self.best(indexes.iter().copied(), offered))
            .next()
            .or_else(|| self.best(0..self.all.len(), offered))
            .or_else(|| self.all.first())
    }

    /// The first with an ECDSA key (it signs many times faster than RSA), or else the first one,
    /// among those that the client can verify.
    fn best(
        &self,
        indexes: impl Iterator<Item = usize>,
        offered: &[SignatureScheme],
    ) -> Option<&Arc<CertifiedKey>> {
        let usable = indexes.map(|index| &self.all[index]);
        let usable = usable.filter(|key| key.key.choose_scheme(offered).is_some());
        let is_rsa = |key: &&Arc<CertifiedKey>| key.key.algorithm() == SignatureAlgorithm::RSA;
        usable.min_by_key(is_rsa)
    }
}

impl ResolvesServerCert for Choice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let found = self.find(hello.server_name(), hello.signature_schemes());
        found.cloned()
    }
}

/// Host names of a certificate in lower case; the common name if it has no alternative ones.
fn names(certified: &CertifiedKey) -> Vec<String> {
    let Some(certificate) = certified
        .cert
        .first()
        .and_then(|der| Certificate::parse(der))
    else {
        return Vec::new();
    };
    let alt_names = certificate.alt_names().filter_map(|name| match name {
        AltName::Dns(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    let names: Vec<_> = alt_names.collect();
    match names.is_empty() {
        true => certificate
            .common_name()
            .map(str::to_ascii_lowercase)
            .into_iter()
            .collect(),
        false => names,
    }
}
