//! The server side of TLS for one filter chain: made off the path, shared by all workers, never
//! changed. A rotated certificate or ticket key is another acceptor in the next snapshot;
//! connections that are open keep what they have.

use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, UnbufferedServerConnection};

use super::choice::Choice;
use super::clock::Clock;
use super::failure::Failure;
use super::material::{Invalid, KeyPair, Problem};
use super::parameters::Parameters;
use super::stream::Stream;
use super::tickets::TicketKeys;
use super::verify::{ClientVerifier, Validation};

/// What rustls writes at once: fits any buffer of a worker, header included.
pub(super) const FRAGMENT_BYTES_MAX: usize = 8 * 1024;

/// `DownstreamTlsContext`.
#[derive(Clone, Debug)]
pub struct AcceptorConfig<'a> {
    /// What a ticket is bound to besides the rules below: names the listener and the filter chain.
    pub scope: &'a str,
    /// `tls_certificates`; the first one is for clients that ask for no name that is served.
    pub certificates: Vec<KeyPair<'a>>,
    /// `tls_params`.
    pub parameters: Parameters,
    /// `alpn_protocols`, the most preferred first.
    pub alpn: Vec<&'a [u8]>,
    /// Which clients are accepted.
    pub clients: Clients<'a>,
    /// `require_sni`.
    pub requires_name: bool,
    /// `session_ticket_keys`; no resumption without them.
    pub tickets: Option<TicketKeys>,
}

/// `require_client_certificate` and the validation context.
#[derive(Clone, Debug)]
pub enum Clients<'a> {
    /// They are not asked for a certificate.
    Anonymous,
    /// They may show one; if they do, it must be sound.
    Optional(Validation<'a>),
    /// They must show one.
    Required(Validation<'a>),
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
    requires_name: bool,
    /// What tickets are bound to.
    scope: [u8; 32],
}

impl Acceptor {
    /// Checks and compiles a configuration.
    pub fn new(config: &AcceptorConfig<'_>, clock: &Clock) -> Result<Self, Invalid> {
        let provider = Arc::new(config.parameters.provider()?);
        let versions = config.parameters.versions()?;
        let time = Arc::new(clock.clone());
        let builder = ServerConfig::builder_with_details(Arc::clone(&provider), time)
            .with_protocol_versions(&versions)
            .map_err(|_| Invalid::new("tls_params", Problem::Versions))?;
        let builder = match &config.clients {
            Clients::Anonymous => builder.with_no_client_auth(),
            Clients::Optional(validation) => builder.with_client_cert_verifier(Arc::new(
                ClientVerifier::new(validation, false, &provider)?,
            )),
            Clients::Required(validation) => builder.with_client_cert_verifier(Arc::new(
                ClientVerifier::new(validation, true, &provider)?,
            )),
        };
        let choice = choice(config, clock)?;
        let scope = scope(config, &choice);
        let mut compiled = builder.with_cert_resolver(Arc::new(choice));
        compiled.alpn_protocols = config.alpn.iter().map(|name| name.to_vec()).collect();
        // The keys are for our own record layer.
        compiled.enable_secret_extraction = true;
        compiled.max_fragment_size = Some(FRAGMENT_BYTES_MAX);
        // Sessions live in tickets alone: nothing is stored per client, and all workers know them.
        compiled.session_storage = Arc::new(NoServerSessionStorage {});
        compiled.max_early_data_size = 0;
        let acceptor = Self {
            config: Arc::new(compiled),
            requires_name: config.requires_name,
            scope,
        };
        match &config.tickets {
            Some(keys) => acceptor.with_ticket_keys(keys),
            None => Ok(acceptor.without_tickets()),
        }
    }

    /// The same with other ticket keys.
    pub fn with_ticket_keys(&self, keys: &TicketKeys) -> Result<Self, Invalid> {
        let ticketer = keys.ticketer(&self.scope);
        let ticketer =
            ticketer.ok_or_else(|| Invalid::new("session_ticket_keys", Problem::TicketKey))?;
        let mut config = ServerConfig::clone(&self.config);
        config.ticketer = Arc::new(ticketer);
        Ok(Self {
            config: Arc::new(config),
            ..self.clone()
        })
    }

    fn without_tickets(self) -> Self {
        let mut config = ServerConfig::clone(&self.config);
        config.send_tls13_tickets = 0;
        Self {
            config: Arc::new(config),
            ..self
        }
    }

    /// A stream for a client that has connected.
    pub fn stream(&self) -> Result<Stream, Failure> {
        let role = UnbufferedServerConnection::new(Arc::clone(&self.config))?;
        Ok(Stream::server(role, self.requires_name))
    }
}

fn choice(config: &AcceptorConfig<'_>, clock: &Clock) -> Result<Choice, Invalid> {
    if config.certificates.is_empty() {
        return Err(Invalid::new(
            "tls_certificates",
            Problem::Nothing("certificate"),
        ));
    }
    let pairs = config.certificates.iter();
    let certified = pairs.map(|pair| pair.certified(clock.seconds()));
    Ok(Choice::new(certified.collect::<Result<_, _>>()?))
}

/// I07: a ticket stands for a client that was accepted by these rules under these names. Renewing a
/// certificate changes none of them.
fn scope(config: &AcceptorConfig<'_>, choice: &Choice) -> [u8; 32] {
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut add = |part: &[u8]| {
        hash.update(&part.len().to_be_bytes());
        hash.update(part);
    };
    add(config.scope.as_bytes());
    choice.names().iter().for_each(|name| add(name.as_bytes()));
    let (kind, validation) = match &config.clients {
        Clients::Anonymous => (0, None),
        Clients::Optional(validation) => (1, Some(validation)),
        Clients::Required(validation) => (2, Some(validation)),
    };
    add(&[kind]);
    if let Some(validation) = validation {
        add(validation.trusted_ca.map_or(&[], |source| source.bytes));
        add(validation.crl.map_or(&[], |source| source.bytes));
        add(format!(
            "{:?}",
            (
                &validation.alt_names,
                &validation.hashes,
                &validation.spki_hashes,
                validation.crl_for_leaf_only,
                validation.accept_untrusted,
            )
        )
        .as_bytes());
    }
    let mut scope = [0; 32];
    scope.copy_from_slice(hash.finish().as_ref());
    scope
}
