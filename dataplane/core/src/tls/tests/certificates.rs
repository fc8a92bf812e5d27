//! Which certificate is shown, and which are accepted.

use std::sync::Arc;

use rcgen::{
    CertificateRevocationListParams, ExtendedKeyUsagePurpose, KeyIdMethod, RevokedCertParams,
    SanType, SerialNumber,
};
use rustls::SignatureScheme;
use rustls::pki_types::CertificateDer;

use super::authority::{Authority, Kind, Pair};
use super::world::*;
use crate::config::expression::WholeRegex;
use crate::config::route::{Pattern, StringMatch};
use crate::fault::{Fault, Side};
use crate::tls::*;

const BOTH: [Version; 2] = [Version::Tls12, Version::Tls13];

#[test]
fn names_choose_certificates() {
    let issue = |names: &[&str], kind| authority().issue(names, kind);
    let pairs = [
        issue(&["default.test"], Kind::Ecdsa),
        issue(&["*.wild.test"], Kind::Ecdsa),
        issue(&["exact.wild.test", "Second.test"], Kind::Ecdsa),
        issue(&["*.deep.wild.test"], Kind::Rsa),
    ];
    let acceptor = Acceptor::new(
        &AcceptorConfig {
            certificates: pairs.iter().map(pair).collect(),
            ..acceptor_config()
        },
        &clock(),
    );
    let acceptor = acceptor.unwrap();
    let check = |name: &str, expect: &str| {
        let config = ConnectorConfig {
            checks_name: false,
            ..connector_config()
        };
        let connector = Connector::new(&config, &clock()).unwrap();
        let mut us = Us::new(connector.stream(Some(name), [192, 0, 2, 1].into()).unwrap());
        let mut them = Us::new(acceptor.stream().unwrap());
        pump_ours(&mut us, &mut them, 16_384).unwrap();
        let own = us.facts().chain.as_ref().and_then(Chain::own).unwrap();
        assert_eq!(own.common_name(), Some(expect), "{name}");
    };
    check("exact.wild.test", "exact.wild.test");
    check("second.TEST", "exact.wild.test");
    check("other.wild.test", "*.wild.test");
    check("a.deep.wild.test", "*.deep.wild.test");
    check("deep.wild.test", "*.wild.test");
    check("b.a.deep.wild.test", "default.test");
    check("unknown.test", "default.test");
    check("192.0.2.7", "default.test");
}

/// The certificate that a client sees who can verify these.
fn shown_to(schemes: &[SignatureScheme], acceptor: &Acceptor) -> CertificateDer<'static> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    let all = provider.signature_verification_algorithms;
    let kept = all
        .mapping
        .iter()
        .filter(|(scheme, _)| schemes.contains(scheme));
    let kept: Vec<_> = kept.copied().collect();
    provider.signature_verification_algorithms.mapping = Vec::leak(kept);
    let config = rustls::ClientConfig::builder_with_details(Arc::new(provider), Arc::new(clock()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots())
        .with_no_client_auth();
    let mut us = Us::new(acceptor.stream().unwrap());
    let mut them = their_client(&Arc::new(config), "a.test");
    pump(&mut us, &mut them, 16_384).unwrap();
    them.peer_certificates().unwrap()[0].clone()
}

#[test]
fn clients_get_a_key_that_they_can_verify() {
    let pairs = [Kind::Rsa, Kind::Ecdsa].map(|kind| authority().issue(&["a.test"], kind));
    let acceptor = Acceptor::new(
        &AcceptorConfig {
            certificates: pairs.iter().map(pair).collect(),
            ..acceptor_config()
        },
        &clock(),
    );
    let acceptor = acceptor.unwrap();
    let [with_rsa, with_ecdsa] = pairs.map(|pair| their_key(&pair).0.remove(0));
    let (rsa, ecdsa) = (
        SignatureScheme::RSA_PSS_SHA256,
        SignatureScheme::ECDSA_NISTP256_SHA256,
    );
    assert!(shown_to(&[rsa, ecdsa], &acceptor) == with_ecdsa);
    assert!(shown_to(&[ecdsa], &acceptor) == with_ecdsa);
    assert!(shown_to(&[rsa], &acceptor) == with_rsa);
}

/// The verdicts of a server and a client of ours about each other.
fn meet(
    acceptor: &AcceptorConfig<'_>,
    connector: &ConnectorConfig<'_>,
) -> (Us, Us, [Option<Fault>; 2]) {
    let (mut one, mut two) = (server(acceptor), client(connector));
    let mut faults = [None, None];
    while !one.wire.is_empty() || !two.wire.is_empty() {
        let bytes = two.take_wire();
        faults[0] = faults[0].or(one.receive(&bytes, 16_384).err());
        let bytes = one.take_wire();
        faults[1] = faults[1].or(two.receive(&bytes, 16_384).err());
    }
    (one, two, faults)
}

fn check_client(clients: Clients<'_>, shown: Option<&Pair>, expect: Result<bool, Failure>) {
    for version in BOTH {
        let parameters = Parameters {
            version_max: version,
            ..Parameters::default()
        };
        let acceptor = AcceptorConfig {
            clients: clients.clone(),
            ..acceptor_config()
        };
        let connector = ConnectorConfig {
            certificate: shown.map(pair),
            parameters,
            ..connector_config()
        };
        let (server, _client, faults) = meet(&acceptor, &connector);
        let expected = expect.err().map(|failure| fault(Side::Downstream, failure));
        assert_eq!(faults[0], expected, "{version:?}");
        assert_eq!(
            faults[1].is_some(),
            expected.is_some(),
            "the client is told"
        );
        if let Ok(has_certificate) = expect {
            assert_eq!(server.facts().chain.is_some(), has_certificate);
        }
    }
}

#[test]
fn client_certificates() {
    let good = authority().issue(&["client.test"], Kind::Ecdsa);
    let foreign = Authority::new("Other Root").issue(&["client.test"], Kind::Rsa);
    let for_servers = authority().issue_with(&["client.test"], Kind::Ecdsa, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let future = authority().issue_with(&["client.test"], Kind::Ecdsa, |params| {
        params.not_before = rcgen::date_time_ymd(2040, 1, 1);
    });
    let required = || Clients::Required(trusting());
    let optional = || Clients::Optional(trusting());
    check_client(Clients::Anonymous, Some(&good), Ok(false));
    check_client(optional(), None, Ok(false));
    check_client(optional(), Some(&good), Ok(true));
    check_client(optional(), Some(&foreign), Err(Failure::CertificateIssuer));
    check_client(required(), Some(&good), Ok(true));
    check_client(required(), None, Err(Failure::CertificateMissing));
    check_client(required(), Some(&foreign), Err(Failure::CertificateIssuer));
    check_client(
        required(),
        Some(&for_servers),
        Err(Failure::CertificatePurpose),
    );
    let untrusted = Validation {
        accept_untrusted: true,
        ..trusting()
    };
    check_client(Clients::Required(untrusted), Some(&foreign), Ok(true));
    // Its own connector would refuse it: it is built while the certificate is still to come.
    let later = Clock::default();
    later.tell(2_300_000_000 * 1_000_000_000);
    let config = ConnectorConfig {
        certificate: Some(pair(&future)),
        ..connector_config()
    };
    let connector = Connector::new(&config, &later).unwrap();
    later.tell(super::authority::NOW * 1_000_000_000);
    let mut two = Us::new(connector.stream(None, [192, 0, 2, 1].into()).unwrap());
    let mut one = server(&AcceptorConfig {
        clients: required(),
        ..acceptor_config()
    });
    let refused = pump_ours(&mut two, &mut one, 16_384);
    assert_eq!(
        refused,
        Err(fault(Side::Downstream, Failure::CertificateNotYetValid))
    );
}

#[test]
fn resumed_connections_know_their_client() {
    let good = authority().issue(&["client.test"], Kind::Ecdsa);
    let acceptor = AcceptorConfig {
        clients: Clients::Required(trusting()),
        ..acceptor_config()
    };
    let acceptor = Acceptor::new(&acceptor, &clock()).unwrap();
    let config = ConnectorConfig {
        certificate: Some(pair(&good)),
        ..connector_config()
    };
    let connector = Connector::new(&config, &clock()).unwrap();
    for is_resumed in [false, true] {
        let mut client = Us::new(connector.stream(None, [192, 0, 2, 1].into()).unwrap());
        let mut server = Us::new(acceptor.stream().unwrap());
        pump_ours(&mut client, &mut server, 16_384).unwrap();
        assert_eq!(server.facts().is_resumed, is_resumed);
        let own = server.facts().chain.as_ref().and_then(Chain::own).unwrap();
        assert_eq!(own.common_name(), Some("client.test"));
    }
}

fn text(pattern: Pattern) -> StringMatch {
    StringMatch {
        pattern,
        ignore_case: false,
    }
}

#[test]
fn names_and_hashes_of_clients() {
    let good = authority().issue_with(&["client.test"], Kind::Ecdsa, |params| {
        params
            .subject_alt_names
            .push(SanType::IpAddress([192, 0, 2, 9].into()));
    });
    let check = |kind, pattern, expect: bool| {
        let alt_names = vec![AltNameMatch {
            kind,
            test: text(pattern),
        }];
        let clients = Clients::Required(Validation {
            alt_names,
            ..trusting()
        });
        let expect = if expect {
            Ok(true)
        } else {
            Err(Failure::CertificateName)
        };
        check_client(clients, Some(&good), expect);
    };
    let (dns, uri) = (Some(AltNameKind::Dns), Some(AltNameKind::Uri));
    check(dns, Pattern::Exact("client.test".into()), true);
    check(uri, Pattern::Exact("client.test".into()), false);
    check(uri, Pattern::Prefix("spiffe://test/".into()), true);
    check(None, Pattern::Suffix("/client.test".into()), true);
    check(uri, Pattern::Contains("other".into()), false);
    check(
        Some(AltNameKind::Ip),
        Pattern::Exact("192.0.2.9".into()),
        true,
    );
    check(
        uri,
        Pattern::Regex(WholeRegex::parse("spiffe://test/c.*").unwrap()),
        true,
    );
    check(
        uri,
        Pattern::Regex(WholeRegex::parse("test").unwrap()),
        false,
    );

    let (chain, _) = their_key(&good);
    let own = Certificate::parse(&chain[0]).unwrap();
    let check = |hashes, spki_hashes, expect| {
        let clients = Clients::Required(Validation {
            hashes,
            spki_hashes,
            ..Validation::default()
        });
        check_client(clients, Some(&good), expect);
    };
    check(vec![own.sha256()], vec![], Ok(true));
    check(vec![[0; 32]], vec![own.spki_sha256()], Ok(true));
    check(vec![[0; 32]], vec![], Err(Failure::CertificateInvalid));
}

#[test]
fn revoked_clients() {
    let revoked = authority().issue_with(&["gone.test"], Kind::Ecdsa, |params| {
        params.serial_number = Some(SerialNumber::from(4711));
    });
    let good = authority().issue(&["client.test"], Kind::Ecdsa);
    let list = CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2026, 1, 1),
        next_update: rcgen::date_time_ymd(2035, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: SerialNumber::from(4711),
            revocation_time: rcgen::date_time_ymd(2026, 2, 1),
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = list.signed_by(&authority().issuer).unwrap().pem().unwrap();
    let clients = || {
        Clients::Required(Validation {
            crl: Some(source("crl.pem", &list)),
            ..trusting()
        })
    };
    check_client(clients(), Some(&good), Ok(true));
    check_client(clients(), Some(&revoked), Err(Failure::CertificateRevoked));
}

fn check_server(change: impl FnOnce(&mut ConnectorConfig<'_>), expect: Result<(), Failure>) {
    let mut connector = connector_config();
    change(&mut connector);
    let (_, _, faults) = meet(&acceptor_config(), &connector);
    let expect = expect.err().map(|failure| fault(Side::Upstream, failure));
    assert_eq!(faults[1], expect);
}

#[test]
fn server_certificates() {
    let other = Authority::new("Other Root");
    check_server(|_| {}, Ok(()));
    check_server(
        |config| config.server_name = Some("b.test"),
        Err(Failure::CertificateName),
    );
    check_server(
        |config| (config.server_name, config.checks_name) = (Some("b.test"), false),
        Ok(()),
    );
    let foreign = |config: &mut ConnectorConfig<'_>| {
        config.validation.trusted_ca = Some(Source {
            name: "ca.pem",
            bytes: other.pem.clone().leak().as_bytes(),
        });
    };
    check_server(foreign, Err(Failure::CertificateIssuer));
    check_server(
        |config| {
            foreign(config);
            config.validation.accept_untrusted = true;
        },
        Ok(()),
    );
    check_server(|config| config.validation.trusted_ca = None, Ok(()));
    let named = |name: &str| AltNameMatch {
        kind: Some(AltNameKind::Dns),
        test: text(Pattern::Exact(name.into())),
    };
    let names = |names: Vec<AltNameMatch>| {
        move |config: &mut ConnectorConfig<'_>| {
            config.checks_name = false;
            config.validation.alt_names = names;
        }
    };
    check_server(names(vec![named("b.test"), named("A.test")]), Ok(()));
    check_server(names(vec![named("b.test")]), Err(Failure::CertificateName));
}

#[test]
fn what_a_certificate_says() {
    let pair = authority().issue_with(&["a.test", "*.b.test"], Kind::Ecdsa, |params| {
        params
            .subject_alt_names
            .push(SanType::IpAddress([192, 0, 2, 9].into()));
        params
            .subject_alt_names
            .push(SanType::Rfc822Name("me@a.test".try_into().unwrap()));
    });
    let (chain, _) = their_key(&pair);
    let own = Certificate::parse(&chain[0]).unwrap();
    assert_eq!(own.subject(), "O=Water\\, Ltd,CN=a.test");
    let names: Vec<_> = own.alt_names().collect();
    let expect = [
        AltName::Dns("a.test"),
        AltName::Dns("*.b.test"),
        AltName::Uri("spiffe://test/a.test"),
        AltName::Ip([192, 0, 2, 9].into()),
        AltName::Email("me@a.test"),
    ];
    assert_eq!(names, expect);
    let mut pem = String::new();
    own.append_pem(&mut pem);
    assert_eq!(pem, pair.chain.replace("\r\n", "\n"));
    for end in 0..chain[0].len() {
        let _ = Certificate::parse(&chain[0][..end]).map(|cut| cut.alt_names().count());
    }
}
