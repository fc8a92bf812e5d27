//! Versions, cipher suites and curves: from the names of a configuration to those of rustls, and
//! from what was agreed on to the names of logs.

use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, NamedGroup, SupportedCipherSuite, SupportedProtocolVersion};

use super::Version;
use super::material::{Invalid, Problem};

/// `TlsParameters`. Empty lists stand for the defaults.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parameters {
    /// `tls_minimum_protocol_version`.
    pub version_min: Version,
    /// `tls_maximum_protocol_version`.
    pub version_max: Version,
    /// `cipher_suites`, by the names of OpenSSL; equal preference (`[a|b]`) counts as order. They
    /// are for TLS 1.2: those of TLS 1.3 are always on.
    pub cipher_suites: Vec<String>,
    /// `ecdh_curves`.
    pub curves: Vec<String>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            version_min: Version::Tls12,
            version_max: Version::Tls13,
            cipher_suites: Vec::new(),
            curves: Vec::new(),
        }
    }
}

/// What TLS 1.2 may use, by its name and by the one of OpenSSL; the fastest first.
const SUITES: &[(CipherSuite, &str)] = &[
    (
        CipherSuite::TLS13_AES_128_GCM_SHA256,
        "TLS_AES_128_GCM_SHA256",
    ),
    (
        CipherSuite::TLS13_AES_256_GCM_SHA384,
        "TLS_AES_256_GCM_SHA384",
    ),
    (
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        "TLS_CHACHA20_POLY1305_SHA256",
    ),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-ECDSA-AES128-GCM-SHA256",
    ),
    (
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-RSA-AES128-GCM-SHA256",
    ),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-ECDSA-AES256-GCM-SHA384",
    ),
    (
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-RSA-AES256-GCM-SHA384",
    ),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    ),
    (
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-RSA-CHACHA20-POLY1305",
    ),
];

/// Curves, with the hybrid of ML-KEM-768 and X25519 first.
const CURVES: &[(&str, NamedGroup)] = &[
    ("X25519MLKEM768", NamedGroup::X25519MLKEM768),
    ("X25519", NamedGroup::X25519),
    ("P-256", NamedGroup::secp256r1),
    ("P-384", NamedGroup::secp384r1),
];

/// The cipher suite as OpenSSL calls it.
pub(super) fn suite_name(suite: CipherSuite) -> &'static str {
    let known = SUITES.iter().find(|(known, _)| *known == suite);
    known.map_or("", |(_, name)| name)
}

/// The curve as configurations call it.
pub(super) fn group_name(group: NamedGroup) -> &'static str {
    let known = CURVES.iter().find(|(_, known)| *known == group);
    known.map_or("", |(name, _)| name)
}

impl Parameters {
    /// What rustls is to use.
    pub(super) fn provider(&self) -> Result<CryptoProvider, Invalid> {
        Ok(CryptoProvider {
            cipher_suites: self.suites()?,
            kx_groups: self.groups()?,
            ..aws_lc_rs::default_provider()
        })
    }

    /// The versions between both bounds.
    pub(super) fn versions(&self) -> Result<Vec<&'static SupportedProtocolVersion>, Invalid> {
        let all = [(Version::Tls13, &TLS13), (Version::Tls12, &TLS12)];
        let allowed = self.version_min..=self.version_max;
        let versions = all
            .into_iter()
            .filter(|(version, _)| allowed.contains(version));
        let versions: Vec<_> = versions.map(|(_, known)| known).collect();
        match versions.is_empty() {
            true => Err(Invalid::new("tls_params", Problem::Versions)),
            false => Ok(versions),
        }
    }

    fn suites(&self) -> Result<Vec<SupportedCipherSuite>, Invalid> {
        let wanted = self
            .cipher_suites
            .iter()
            .flat_map(|entry| entry.trim_matches(['[', ']']).split('|'));
        let mut names: Vec<&str> = wanted.filter(|name| !name.is_empty()).collect();
        if names.is_empty() {
            names = SUITES.iter().map(|(_, name)| *name).collect();
        }
        let always = SUITES.iter().map(|(_, name)| *name).take(3);
        let missing: Vec<_> = always.filter(|name| !names.contains(name)).collect();
        missing.into_iter().chain(names).map(suite).collect()
    }

    fn groups(&self) -> Result<Vec<&'static dyn SupportedKxGroup>, Invalid> {
        if self.curves.is_empty() {
            return CURVES.iter().map(|(name, _)| group(name)).collect();
        }
        self.curves.iter().map(|name| group(name)).collect()
    }
}

fn suite(name: &str) -> Result<SupportedCipherSuite, Invalid> {
    let id = SUITES.iter().find(|(_, known)| *known == name);
    let found = id.and_then(|(id, _)| {
        aws_lc_rs::ALL_CIPHER_SUITES
            .iter()
            .find(|suite| suite.suite() == *id)
    });
    found.copied().ok_or_else(|| unknown("cipher_suites", name))
}

fn group(name: &str) -> Result<&'static dyn SupportedKxGroup, Invalid> {
    let id = CURVES.iter().find(|(known, _)| *known == name);
    let found = id.and_then(|(_, id)| {
        aws_lc_rs::ALL_KX_GROUPS
            .iter()
            .find(|group| group.name() == *id)
    });
    found.copied().ok_or_else(|| unknown("ecdh_curves", name))
}

fn unknown(field: &'static str, name: &str) -> Invalid {
    Invalid::new(field, Problem::Unknown(name.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_there_and_back() {
        let all = Parameters::default().provider().unwrap();
        assert_eq!(all.cipher_suites.len(), SUITES.len());
        assert_eq!(all.kx_groups[0].name(), NamedGroup::X25519MLKEM768);
        for suite in all.cipher_suites {
            assert!(!suite_name(suite.suite()).is_empty());
        }
    }

    #[test]
    fn lists_restrict_tls12_only() {
        let parameters = Parameters {
            cipher_suites: vec!["[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]".into()],
            curves: vec!["P-256".into()],
            ..Parameters::default()
        };
        let provider = parameters.provider().unwrap();
        assert_eq!(provider.cipher_suites.len(), 5);
        assert_eq!(provider.kx_groups.len(), 1);
    }

    #[test]
    fn what_is_not_known_is_named() {
        let parameters = Parameters {
            cipher_suites: vec!["AES128-SHA".into()],
            ..Parameters::default()
        };
        let error = parameters.provider().unwrap_err().to_string();
        assert!(
            error.starts_with("cipher_suites: \"AES128-SHA\""),
            "{error}"
        );
        let parameters = Parameters {
            version_min: Version::Tls13,
            version_max: Version::Tls12,
            ..Parameters::default()
        };
        assert!(parameters.versions().is_err());
    }
}
