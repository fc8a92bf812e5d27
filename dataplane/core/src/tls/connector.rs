//! The client side of TLS for one cluster: made off the path, never changed.

use core::net::IpAddr;
use std::sync::Arc;

use rustls::client::{ResolvesClientCert, Resumption, Tls12Resumption, UnbufferedClientConnection};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use rustls_pki_types::ServerName;

use super::acceptor::FRAGMENT_BYTES_MAX;
use super::clock::Clock;
use super::failure::Failure;
use super::material::{Invalid, KeyPair, Problem};
use super::parameters::Parameters;
use super::stream::Stream;
use super::verify::{ServerVerifier, Validation};
use crate::limits::TLS_SESSIONS_MAX;

/// `UpstreamTlsContext`.
#[derive(Clone, Debug)]
pub struct ConnectorConfig<'a> {
    /// `validation_context`. Without roots any certificate is accepted, as in Envoy.
    pub validation: Validation<'a>,
    /// `auto_sni_san_validation`: the certificate must be for the name that is asked for.
    pub checks_name: bool,
    /// `tls_certificates`: the certificate to show when asked for one.
    pub certificate: Option<KeyPair<'a>>,
    /// `tls_params`.
    pub parameters: Parameters,
    /// `alpn_protocols`, the most preferred first.
    pub alpn: Vec<&'a [u8]>,
    /// `sni`; a name given per connection (`auto_host_sni`, `auto_sni`) goes before it.
    pub server_name: Option<&'a str>,
    /// `max_session_keys` is not 0.
    pub resumes: bool,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Connector {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl Connector {
    /// Checks and compiles a configuration.
    pub fn new(config: &ConnectorConfig<'_>, clock: &Clock) -> Result<Self, Invalid> {
        let provider = Arc::new(config.parameters.provider()?);
        let versions = config.parameters.versions()?;
        let verifier = ServerVerifier::new(&config.validation, config.checks_name, &provider)?;
        let time = Arc::new(clock.clone());
        let builder = ClientConfig::builder_with_details(provider, time)
            .with_protocol_versions(&versions)
            .map_err(|_| Invalid::new("tls_params", Problem::Versions))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut compiled = match &config.certificate {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let certified = pair.certified(clock.seconds())?;
                builder.with_client_cert_resolver(Arc::new(Own(certified)))
            }
        };
        compiled.alpn_protocols = config.alpn.iter().map(|name| name.to_vec()).collect();
        // The keys are for our own record layer.
        compiled.enable_secret_extraction = true;
        compiled.max_fragment_size = Some(FRAGMENT_BYTES_MAX);
        compiled.enable_early_data = false;
        compiled.resumption = resumption(config.resumes);
        let unknown = |name: &str| Invalid::new("sni", Problem::Unknown(name.into()));
        let parse = |name: &str| host_name(name).ok_or_else(|| unknown(name));
        Ok(Self {
            config: Arc::new(compiled),
            server_name: config.server_name.map(parse).transpose()?,
        })
    }

    /// The same with a memory of sessions of its own: one for each worker, so that they never meet
    /// at it.
    pub fn own(&self, resumes: bool) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = resumption(resumes);
        Self {
            config: Arc::new(config),
            server_name: self.server_name.clone(),
        }
    }

    /// A stream to an origin. It asks for `name`, or for the configured one, or for none; `address`
    /// then stands for it. Begin it with [`Stream::start`].
    pub fn stream(&self, name: Option<&str>, address: IpAddr) -> Result<Stream, Failure> {
        let given = name.map(|name| host_name(name).ok_or(Failure::ServerName));
        let name = given.transpose()?.or_else(|| self.server_name.clone());
        let name = name.unwrap_or_else(|| ServerName::IpAddress(address.into()));
        let role = UnbufferedClientConnection::new(Arc::clone(&self.config), name)?;
        Ok(Stream::client(role))
    }
}

/// An address is a name too: it is checked, but never sent (RFC 6066 section 3).
fn host_name(name: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(name.to_owned()).ok()
}

fn resumption(resumes: bool) -> Resumption {
    match resumes {
        true => Resumption::in_memory_sessions(TLS_SESSIONS_MAX)
            .tls12_resumption(Tls12Resumption::SessionIdOrTickets),
        false => Resumption::disabled(),
    }
}

/// The one certificate that is shown.
#[derive(Debug)]
struct Own(Arc<CertifiedKey>);

impl ResolvesClientCert for Own {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let can_sign = self.0.key.choose_scheme(schemes).is_some();
        can_sign.then(|| Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
