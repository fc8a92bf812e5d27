//! Certificates for tests, made as they are needed.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_RSA_SHA256, RsaKeySize, SanType,
};

/// Seconds since 1970 in all tests: a day in 2027.
pub(crate) const NOW: u64 = 1_800_000_000;

/// Kind of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Ecdsa,
    Rsa,
}

/// Somebody who issues certificates.
pub(crate) struct Authority {
    pub(crate) issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// Certificate and key.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    /// A certificate for host names, and a URI that is made of the first.
    pub(crate) fn issue(&self, names: &[&str], kind: Kind) -> Pair {
        self.issue_with(names, kind, |_| {})
    }

    pub(crate) fn issue_with(
        &self,
        names: &[&str],
        kind: Kind,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Pair {
        let key = match kind {
            Kind::Ecdsa => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(),
            Kind::Rsa => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap(),
        };
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).unwrap();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Water, Ltd");
        params
            .distinguished_name
            .push(DnType::CommonName, names[0].as_str());
        let uri = format!("spiffe://test/{}", names[0].trim_start_matches("*."));
        params
            .subject_alt_names
            .push(SanType::URI(uri.try_into().unwrap()));
        change(&mut params);
        Pair {
            chain: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}
