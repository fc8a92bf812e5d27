//! Whether a certificate of the other end is accepted: a chain to a trusted root, revocation, and
//! then the names and hashes of the configuration. Failures are fatal (I07).

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::certificate::{AltName, Certificate};
use super::material::{Invalid, Problem, Source};
use crate::config::route::{Pattern, StringMatch};
use crate::route::matching::text_matches;

/// Kind of a name (`SubjectAltNameMatcher.san_type`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AltNameKind {
    /// DNS.
    Dns,
    /// URI.
    Uri,
    /// EMAIL.
    Email,
    /// IP_ADDRESS.
    Ip,
}

/// `SubjectAltNameMatcher`, and the older form without a kind, which takes any.
#[derive(Clone, Debug)]
pub struct AltNameMatch {
    /// The kind; any if `None`.
    pub kind: Option<AltNameKind>,
    /// Test of the text.
    pub test: StringMatch,
}

/// `CertificateValidationContext`.
#[derive(Clone, Debug, Default)]
pub struct Validation<'a> {
    /// `trusted_ca`, PEM. Without it no chain is asked for.
    pub trusted_ca: Option<Source<'a>>,
    /// `crl`, PEM.
    pub crl: Option<Source<'a>>,
    /// `only_verify_leaf_cert_crl`.
    pub crl_for_leaf_only: bool,
    /// `match_typed_subject_alt_names`: one of them must hold, if there are any.
    pub alt_names: Vec<AltNameMatch>,
    /// `verify_certificate_hash`: SHA-256; one of them or of the next must hold, if there are any.
    pub hashes: Vec<[u8; 32]>,
    /// `verify_certificate_spki`: SHA-256.
    pub spki_hashes: Vec<[u8; 32]>,
    /// `trust_chain_verification: ACCEPT_UNTRUSTED`: a chain that fails is accepted; names and
    /// hashes still count.
    pub accept_untrusted: bool,
}

/// The part of the validation that is ours.
#[derive(Debug)]
struct Rules {
    alt_names: Vec<AltNameMatch>,
    hashes: Vec<[u8; 32]>,
    spki_hashes: Vec<[u8; 32]>,
    accept_untrusted: bool,
}

impl Rules {
    fn new(validation: &Validation<'_>) -> Self {
        Self {
            alt_names: validation.alt_names.clone(),
            hashes: validation.hashes.clone(),
            spki_hashes: validation.spki_hashes.clone(),
            accept_untrusted: validation.accept_untrusted,
        }
    }

    fn check(&self, der: &CertificateDer<'_>) -> Result<(), Error> {
        let bad = |reason| Err(Error::InvalidCertificate(reason));
        let Some(certificate) = Certificate::parse(der) else {
            return bad(CertificateError::BadEncoding);
        };
        let is_named = || certificate.alt_names().any(|name| self.accepts(name));
        if !self.alt_names.is_empty() && !is_named() {
            return bad(CertificateError::NotValidForName);
        }
        if self.hashes.is_empty() && self.spki_hashes.is_empty() {
            return Ok(());
        }
        let is_known = self.hashes.contains(&certificate.sha256())
            || self.spki_hashes.contains(&certificate.spki_sha256());
        match is_known {
            true => Ok(()),
            false => bad(CertificateError::ApplicationVerificationFailure),
        }
    }

    fn accepts(&self, name: AltName<'_>) -> bool {
        self.alt_names.iter().any(|matcher| matcher.accepts(name))
    }

    /// Chain failures that the configuration accepts; a missing or unreadable certificate is none.
    fn forgives(&self, error: &Error) -> bool {
        let is_chain = !matches!(
            error,
            Error::InvalidCertificate(CertificateError::BadEncoding)
                | Error::NoCertificatesPresented
        );
        self.accept_untrusted && is_chain
    }
}

impl AltNameMatch {
    fn accepts(&self, name: AltName<'_>) -> bool {
        let (kind, text) = match name {
            AltName::Dns(text) => (AltNameKind::Dns, text),
            AltName::Uri(text) => (AltNameKind::Uri, text),
            AltName::Email(text) => (AltNameKind::Email, text),
            AltName::Ip(ip) => return self.accepts_text(AltNameKind::Ip, &ip.to_string()),
        };
        self.accepts_text(kind, text)
    }

    fn accepts_text(&self, kind: AltNameKind, text: &str) -> bool {
        if self.kind.is_some_and(|wanted| wanted != kind) {
            return false;
        }
        match (&self.test.pattern, kind) {
            // A host name that is asked for exactly may be covered by a wildcard.
            (Pattern::Exact(name), AltNameKind::Dns) => covers(text, name),
            _ => text_matches(&self.test, text.as_bytes()),
        }
    }
}

/// RFC 6125 section 6.4: by any case, and `*` for one whole label in front of at least two.
fn covers(presented: &str, name: &str) -> bool {
    if presented.eq_ignore_ascii_case(name) {
        return true;
    }
    let Some(suffix) = presented.strip_prefix("*.") else {
        return false;
    };
    let rest = name.split_once('.').filter(|(label, _)| !label.is_empty());
    suffix.contains('.') && rest.is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(suffix))
}

/// Signatures of the handshake itself.
#[derive(Clone, Copy, Debug)]
struct Signatures(WebPkiSupportedAlgorithms);

/// Verifies clients.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    /// `None` if no roots are configured.
    chain: Option<Arc<dyn ClientCertVerifier>>,
    rules: Rules,
    signatures: Signatures,
    is_required: bool,
}

/// Verifies servers.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    chain: Option<Arc<WebPkiServerVerifier>>,
    rules: Rules,
    signatures: Signatures,
    /// `auto_sni_san_validation`: the certificate must be for the name that was asked for.
    checks_name: bool,
}

impl ClientVerifier {
    pub(super) fn new(
        validation: &Validation<'_>,
        is_required: bool,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, Invalid> {
        let chain = match validation.trusted_ca {
            None => None,
            Some(roots) => Some(client_chain(roots, validation, provider)?),
        };
        Ok(Self {
            chain,
            rules: Rules::new(validation),
            signatures: Signatures(provider.signature_verification_algorithms),
            is_required,
        })
    }
}

fn client_chain(
    roots: Source<'_>,
    validation: &Validation<'_>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Invalid> {
    let store = Arc::new(roots.roots()?);
    let mut builder = WebPkiClientVerifier::builder_with_provider(store, Arc::clone(provider));
    if let Some(lists) = validation.crl {
        builder = builder.with_crls(lists.revocation_lists()?);
    }
    if validation.crl_for_leaf_only {
        builder = builder.only_check_end_entity_revocation();
    }
    builder.build().map_err(|_| refused(validation))
}

fn server_chain(
    roots: Source<'_>,
    validation: &Validation<'_>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, Invalid> {
    let store = Arc::new(roots.roots()?);
    let mut builder = WebPkiServerVerifier::builder_with_provider(store, Arc::clone(provider));
    if let Some(lists) = validation.crl {
        builder = builder.with_crls(lists.revocation_lists()?);
    }
    if validation.crl_for_leaf_only {
        builder = builder.only_check_end_entity_revocation();
    }
    builder.build().map_err(|_| refused(validation))
}

/// Roots were checked before, so what is left is the revocation list.
fn refused(validation: &Validation<'_>) -> Invalid {
    let name = validation.crl.map_or("crl", |source| source.name);
    Invalid::new(name, Problem::RevocationList)
}

impl ServerVerifier {
    pub(super) fn new(
        validation: &Validation<'_>,
        checks_name: bool,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, Invalid> {
        let chain = match validation.trusted_ca {
            None => None,
            Some(roots) => Some(server_chain(roots, validation, provider)?),
        };
        Ok(Self {
            chain,
            rules: Rules::new(validation),
            signatures: Signatures(provider.signature_verification_algorithms),
            checks_name,
        })
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.is_required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain
            .as_ref()
            .map_or(&[], |chain| chain.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(chain) = &self.chain
            && let Err(error) = chain.verify_client_cert(own, between, now)
            && !self.rules.forgives(&error)
        {
            return Err(error);
        }
        self.rules
            .check(own)
            .map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.signatures.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.signatures.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.0.supported_schemes()
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(chain) = &self.chain
            && let Err(error) = chain.verify_server_cert(own, between, name, ocsp_response, now)
            // The name is looked at last: this failure says that the chain is sound.
            && !is_about_name(&error)
            && !self.rules.forgives(&error)
        {
            return Err(error);
        }
        if self.checks_name {
            rustls::client::verify_server_name(&ParsedCertificate::try_from(own)?, name)?;
        }
        self.rules
            .check(own)
            .map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.signatures.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.signatures.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.0.supported_schemes()
    }
}

fn is_about_name(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_cover_one_label() {
        let check = |presented, name, expect| {
            assert_eq!(covers(presented, name), expect, "{presented} {name}");
        };
        check("a.test", "A.test", true);
        check("*.a.test", "b.A.test", true);
        check("*.a.test", "a.test", false);
        check("*.a.test", "c.b.a.test", false);
        check("*.test", "a.test", false);
        check("*.a.test", ".a.test", false);
        check("*.a.test", "*.a.test", true);
        check("b*.a.test", "bc.a.test", false);
    }
}
