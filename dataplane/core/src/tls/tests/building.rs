//! What cannot be built says which file, what is wrong with it, and what helps.

use rcgen::KeyPair as GeneratedKey;

use super::authority::Kind;
use super::world::*;
use crate::tls::*;

fn check(change: impl FnOnce(&mut AcceptorConfig<'_>), place: &str, words: &str) {
    let mut config = acceptor_config();
    change(&mut config);
    let error = Acceptor::new(&config, &clock()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("{place}: ")) && text.contains(words),
        "{text}"
    );
    assert!(!format!("{error:?}{text}").contains("PRIVATE KEY-----"));
}

fn chain(text: &'static str) -> impl FnOnce(&mut AcceptorConfig<'_>) {
    move |config| config.certificates[0].chain = source("server.crt", text)
}

fn key(text: &'static str) -> impl FnOnce(&mut AcceptorConfig<'_>) {
    move |config| config.certificates[0].key = source("server.key", text)
}

#[test]
fn certificates_and_keys() {
    let expired = authority().issue_with(&["a.test"], Kind::Ecdsa, |params| {
        params.not_after = rcgen::date_time_ymd(2026, 3, 1);
    });
    let future = authority().issue_with(&["a.test"], Kind::Ecdsa, |params| {
        params.not_before = rcgen::date_time_ymd(2031, 12, 31);
    });
    check(
        chain(expired.chain.leak()),
        "server.crt",
        "expired on 2026-03-01; renew it",
    );
    check(
        chain(future.chain.leak()),
        "server.crt",
        "not valid yet, but on 2031-12-31",
    );
    check(chain(""), "server.crt", "is empty");
    check(chain(" \n"), "server.crt", "is empty");
    check(chain("garbage"), "server.crt", "holds no certificate");
    check(
        chain(usual().key.clone().leak()),
        "server.crt",
        "holds no certificate",
    );
    let cut = &usual().chain[..300];
    check(chain(cut), "server.crt", "not sound PEM");
    let no_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    check(chain(no_der), "server.crt", "certificate 1 cannot be read");
    let other = GeneratedKey::generate().unwrap().serialize_pem().leak();
    check(
        key(other),
        "server.key",
        "does not belong to the first certificate of chain.pem",
    );
    check(key(&usual().chain), "server.key", "holds no private key");
    check(key(""), "server.key", "is empty");
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    check(key(no_key), "server.key", "cannot be read");
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    check(key(encrypted), "server.key", "is encrypted");
    check(
        |config| config.certificates.clear(),
        "tls_certificates",
        "holds no certificate",
    );
}

#[test]
fn bundles_and_lists() {
    let validation = |ca: &'static str, crl: Option<&'static str>| {
        move |config: &mut AcceptorConfig<'_>| {
            config.clients = Clients::Required(Validation {
                trusted_ca: Some(source("ca.crt", ca)),
                crl: crl.map(|text| source("list.crl", text)),
                ..Validation::default()
            });
        }
    };
    check(validation("", None), "ca.crt", "is empty");
    check(
        validation("# nothing yet", None),
        "ca.crt",
        "holds no certificate",
    );
    let ca = &authority().pem;
    check(
        validation(ca, Some("# nothing")),
        "list.crl",
        "holds no revocation list",
    );
    let no_list = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
    check(
        validation(ca, Some(no_list)),
        "list.crl",
        "revocation list cannot be used",
    );
}

#[test]
fn names_of_connectors() {
    let config = ConnectorConfig {
        server_name: Some("no name"),
        ..connector_config()
    };
    let error = Connector::new(&config, &clock()).unwrap_err().to_string();
    assert_eq!(error, "sni: \"no name\" is not served; take it out");
    let connector = Connector::new(&connector_config(), &clock()).unwrap();
    let refused = connector
        .stream(Some("no name"), [192, 0, 2, 1].into())
        .map(drop);
    assert_eq!(refused, Err(Failure::ServerName));
}

#[test]
fn nothing_shows_a_key() {
    let config = format!("{:?}", acceptor_config());
    let acceptor = format!("{:?}", Acceptor::new(&acceptor_config(), &clock()).unwrap());
    let secret = usual().key.lines().nth(1).unwrap();
    for shown in [config, acceptor] {
        assert!(
            !shown.contains(secret) && !shown.contains("PRIVATE"),
            "{shown}"
        );
    }
}
