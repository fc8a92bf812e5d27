//! Every way in which TLS can fail, as a small value: what rustls says, what our record layer says,
//! and for people the cause and the remedy. Nothing here holds a byte of the other end or of a key.

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible, PeerMisbehaved};

use crate::fault::{Cause, Fault, Side};

/// Declares failures: variant, label, cause and remedy.
macro_rules! failures {
    ($($(#[$doc:meta])* $variant:ident = $label:literal, $text:literal,)*) => {
        /// Why TLS failed. The label is a bounded set.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum Failure {
            $($(#[$doc])* $variant,)*
        }

        impl Failure {
            /// All failures in the order of their discriminants.
            pub const ALL: &'static [Failure] = &[$(Failure::$variant,)*];

            /// Label for counters.
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }

            /// Cause and remedy, for people. `they` is the other end.
            pub fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

failures! {
    /// What arrived is no TLS record.
    NotTls = "not_tls",
        "they sent something that is not TLS; speak TLS to this port, or plain text to another",
    /// A ClientHello beyond the bound.
    HelloTooLong = "hello_too_long",
        "their ClientHello is longer than 16 KiB; let them offer less",
    /// Handshake messages beyond the bound.
    HandshakeTooLong = "handshake_too_long",
        "a message of their handshake is too long; shorten their certificate chain",
    /// A message that is malformed or out of place.
    Protocol = "protocol",
        "they broke the rules of TLS; look for a faulty library or something that changes bytes",
    /// A record longer than allowed.
    RecordTooLong = "record_too_long",
        "they sent a record longer than 16 KiB; look for a faulty TLS library",
    /// A record that does not open.
    Decrypt = "decrypt",
        "a record does not open with the agreed key; something between the two ends changes bytes",
    /// No version in common.
    Version = "version",
        "there is no TLS version in common; let them speak TLS 1.2 or 1.3, or look at \
         tls_minimum_protocol_version and tls_maximum_protocol_version",
    /// No cipher suite, group or signature scheme in common.
    Incompatible = "incompatible",
        "there is no cipher suite, curve or signature scheme in common; compare cipher_suites, \
         ecdh_curves and the kind of the certificate's key with what they offer",
    /// No ALPN protocol in common.
    Alpn = "alpn",
        "there is no ALPN protocol in common; compare alpn_protocols with what they offer",
    /// No server name, or none that a certificate is for.
    ServerName = "server_name",
        "they asked for no server name that is served here; let them send SNI",
    /// No certificate where one is required.
    CertificateMissing = "certificate_missing",
        "they showed no certificate and one is required; give them one, or make it optional",
    /// notAfter has passed.
    CertificateExpired = "certificate_expired",
        "their certificate has expired; renew it",
    /// notBefore is yet to come.
    CertificateNotYetValid = "certificate_not_yet_valid",
        "their certificate is not valid yet; compare the clocks of both ends",
    /// On the revocation list.
    CertificateRevoked = "certificate_revoked",
        "their certificate is revoked; give them a new one",
    /// The revocation list does not tell.
    RevocationUnknown = "revocation_unknown",
        "the revocation list is expired or says nothing of an issuer; renew crl",
    /// No way to a trusted root.
    CertificateIssuer = "certificate_issuer",
        "their certificate is not issued by a trusted one; add its root to trusted_ca, and see \
         that they send the intermediate ones",
    /// None of its names is accepted.
    CertificateName = "certificate_name",
        "their certificate is for other names; compare its names with \
         match_typed_subject_alt_names and sni",
    /// Not for this side of a connection.
    CertificatePurpose = "certificate_purpose",
        "their certificate is not meant for this; see its extended key usage",
    /// Anything else about it.
    CertificateInvalid = "certificate_invalid",
        "their certificate is malformed or badly signed; issue it anew",
    /// They refuse our certificate.
    CertificateRefused = "certificate_refused",
        "they refuse our certificate; see that they trust its root and that it is for their name",
    /// They know none of our versions.
    VersionRefused = "version_refused",
        "they refuse our TLS versions; look at tls_minimum_protocol_version",
    /// They refused in another way.
    AlertReceived = "alert_received",
        "they gave up with an alert; their log says why",
    /// The connection ended in the handshake.
    HandshakeEnded = "handshake_ended",
        "they closed the connection in the middle of the handshake",
    /// The connection ended in the middle of a record.
    Truncated = "truncated",
        "the connection ended in the middle of a record; something between the two ends cut it",
    /// Too many messages that carry nothing.
    Flood = "flood",
        "they sent too many empty records, warnings or key updates",
    /// A second handshake on the same connection.
    Renegotiation = "renegotiation",
        "they asked to renegotiate, which is not served",
    /// As many records as one key may seal.
    KeyWorn = "key_worn",
        "the connection used up its key, which TLS 1.2 cannot renew; let them speak TLS 1.3",
    /// A failure on our side.
    Local = "local",
        "our own end failed; this is a defect of Penstock or of the machine's randomness",
}

impl Failure {
    /// As a fault: whose doing it was, and that the connection is lost.
    pub fn fault(self, far: Side) -> Fault {
        let side = match self {
            Self::Local => Side::Local,
            _ => far,
        };
        Fault::connection(side, Cause::Tls(self))
    }

    /// Place, cause and remedy in one line.
    pub fn line(self, far: Side) -> String {
        let place = match far {
            Side::Downstream => "TLS with the client",
            Side::Upstream => "TLS with the origin",
            Side::Local => "TLS",
        };
        format!("{place}: {}", self.text())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => Self::NotTls,
            Error::InvalidMessage(rustls::InvalidMessage::UnknownProtocolVersion) => Self::NotTls,
            Error::InvalidMessage(rustls::InvalidMessage::MessageTooLarge) => Self::RecordTooLong,
            Error::InvalidMessage(
                rustls::InvalidMessage::CertificatePayloadTooLarge
                | rustls::InvalidMessage::HandshakePayloadTooLarge,
            ) => Self::HandshakeTooLong,
            Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::InvalidMessage(_)
            | Error::InvalidEncryptedClientHello(_) => Self::Protocol,
            Error::PeerMisbehaved(misbehaviour) => of_misbehaviour(&misbehaviour),
            Error::PeerIncompatible(lack) => of_lack(&lack),
            Error::NoCertificatesPresented => Self::CertificateMissing,
            Error::UnsupportedNameType => Self::CertificateName,
            Error::DecryptError => Self::Decrypt,
            Error::AlertReceived(alert) => of_alert(alert),
            Error::InvalidCertificate(reason) => of_certificate(&reason),
            Error::InvalidCertRevocationList(_) => Self::RevocationUnknown,
            Error::PeerSentOversizedRecord => Self::RecordTooLong,
            Error::NoApplicationProtocol => Self::Alpn,
            // What is left can only be our own doing; the set is open for additions.
            _ => Self::Local,
        }
    }
}

fn of_misbehaviour(misbehaviour: &PeerMisbehaved) -> Failure {
    match misbehaviour {
        PeerMisbehaved::TooManyEmptyFragments
        | PeerMisbehaved::TooManyKeyUpdateRequests
        | PeerMisbehaved::TooManyWarningAlertsReceived => Failure::Flood,
        PeerMisbehaved::TooManyRenegotiationRequests => Failure::Renegotiation,
        PeerMisbehaved::SelectedUnofferedApplicationProtocol => Failure::Alpn,
        PeerMisbehaved::ServerNameMustContainOneHostName => Failure::ServerName,
        _ => Failure::Protocol,
    }
}

fn of_lack(lack: &PeerIncompatible) -> Failure {
    match lack {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled => Failure::Version,
        _ => Failure::Incompatible,
    }
}

fn of_certificate(reason: &CertificateError) -> Failure {
    match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Failure::CertificateExpired
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Failure::CertificateNotYetValid
        }
        CertificateError::Revoked => Failure::CertificateRevoked,
        CertificateError::UnknownRevocationStatus
        | CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => Failure::RevocationUnknown,
        CertificateError::UnknownIssuer => Failure::CertificateIssuer,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Failure::CertificateName
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Failure::CertificatePurpose
        }
        _ => Failure::CertificateInvalid,
    }
}

/// What an alert of the other end means for us.
pub(super) fn of_alert(alert: AlertDescription) -> Failure {
    match alert {
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied
        | AlertDescription::CertificateRequired => Failure::CertificateRefused,
        AlertDescription::ProtocolVersion => Failure::VersionRefused,
        AlertDescription::NoApplicationProtocol => Failure::Alpn,
        AlertDescription::UnrecognisedName => Failure::ServerName,
        AlertDescription::HandshakeFailure => Failure::Incompatible,
        _ => Failure::AlertReceived,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_speaks() {
        for (index, failure) in Failure::ALL.iter().enumerate() {
            assert_eq!(*failure as usize, index);
            let line = failure.line(Side::Upstream);
            assert!(line.starts_with("TLS with the origin: "), "{line}");
            assert!(!failure.label().is_empty());
        }
    }

    #[test]
    fn only_our_own_failures_are_local() {
        let local = |failure: &&Failure| failure.fault(Side::Upstream).side == Side::Local;
        let found: Vec<_> = Failure::ALL.iter().filter(local).collect();
        assert_eq!(found, [&Failure::Local]);
    }

    #[test]
    fn what_rustls_says() {
        let check = |error: Error, expect: Failure| assert_eq!(Failure::from(error), expect);
        check(Error::DecryptError, Failure::Decrypt);
        check(Error::NoCertificatesPresented, Failure::CertificateMissing);
        check(Error::NoApplicationProtocol, Failure::Alpn);
        check(Error::PeerSentOversizedRecord, Failure::RecordTooLong);
        check(Error::FailedToGetRandomBytes, Failure::Local);
        check(Error::General("key 0123".into()), Failure::Local);
        let of = |alert| Error::AlertReceived(alert);
        check(of(AlertDescription::UnknownCA), Failure::CertificateRefused);
        check(of(AlertDescription::InternalError), Failure::AlertReceived);
        let of = |reason| Error::InvalidCertificate(reason);
        check(of(CertificateError::Revoked), Failure::CertificateRevoked);
        check(
            of(CertificateError::BadSignature),
            Failure::CertificateInvalid,
        );
        let of = |lack| Error::PeerIncompatible(lack);
        check(of(PeerIncompatible::Tls12NotOffered), Failure::Version);
        check(
            of(PeerIncompatible::NoCipherSuitesInCommon),
            Failure::Incompatible,
        );
    }
}
