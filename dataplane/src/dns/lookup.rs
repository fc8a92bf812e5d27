//! One lookup: literal, hosts file, servers; families as `dns_lookup_family` wants them.

use std::fs::{self, File};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
    ServerOrderingStrategy,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::ProtoError;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, Record, RecordType};
use hickory_resolver::{Hosts, TokioResolver, system_conf};
use tracing::warn;

use crate::translate::names::Family;

use super::DnsOptions;

/// A lookup takes no longer, whatever servers, search lists and retries add up to.
const LOOKUP_TIME_MAX: Duration = Duration::from_secs(30);

/// Addresses of a name and for how long they are good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    /// Without duplicates, at least one.
    pub(super) addresses: Vec<IpAddr>,
    pub(super) lifetime: Lifetime,
}

/// For how long an answer is good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lifetime {
    /// An address is an address.
    Eternal,
    /// The source does not say: the hosts file.
    Unknown,
    /// The shortest time to live of its records.
    Seconds(u32),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookupError {
    #[error("not a valid name")]
    Name(#[source] ProtoError),
    #[error("no answer from the servers")]
    Servers(#[source] NetError),
    #[error("no address of the family that dns_lookup_family asks for")]
    Empty,
    #[error("no answer within {} s", LOOKUP_TIME_MAX.as_secs())]
    Timeout,
}

/// Looks names up.
#[derive(Debug)]
pub(super) struct Lookup {
    options: DnsOptions,
    resolver: Mutex<Option<TokioResolver>>,
    hosts: Mutex<HostsFile>,
}

/// The hosts file as it was read last.
#[derive(Debug, Default)]
struct HostsFile {
    path: PathBuf,
    modified: Option<SystemTime>,
    hosts: Hosts,
}

impl Lookup {
    pub(super) fn new(options: DnsOptions) -> Self {
        let hosts = HostsFile {
            path: options.hosts_file.clone(),
            ..HostsFile::default()
        };
        Self {
            options,
            resolver: Mutex::new(None),
            hosts: Mutex::new(hosts),
        }
    }

    /// Reads the system's resolver configuration again.
    pub(super) fn reload(&self) {
        match resolver(&self.options) {
            Ok(resolver) => *lock(&self.resolver) = Some(resolver),
            Err(error) => warn!(
                error = &error as &(dyn std::error::Error + 'static),
                "DNS servers cannot be used as configured, so those known before stay in use \
                 (at the start: none, only addresses and the hosts file); check /etc/resolv.conf"
            ),
        }
    }

    /// Looks a name up in the families asked for.
    pub(super) async fn resolve(&self, host: &str, family: Family) -> Result<Answer, LookupError> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(Answer {
                addresses: vec![address],
                lifetime: Lifetime::Eternal,
            });
        }
        let name = Name::from_utf8(host).map_err(LookupError::Name)?;
        if let Some(found) = self.in_hosts_file(&name, family) {
            return found;
        }
        tokio::time::timeout(LOOKUP_TIME_MAX, self.ask(&name, family))
            .await
            .unwrap_or(Err(LookupError::Timeout))
    }

    async fn ask(&self, name: &Name, family: Family) -> Result<Answer, LookupError> {
        let (v4, v6) = (RecordType::A, RecordType::AAAA);
        match family {
            Family::V4Only => self.records(name, v4).await,
            Family::V6Only => self.records(name, v6).await,
            Family::Auto => self.first(name, [v6, v4]).await,
            Family::V4Preferred => self.first(name, [v4, v6]).await,
            Family::All => {
                let one = self.records(name, v4).await;
                let other = self.records(name, v6).await;
                both(one, other)
            }
        }
    }

    /// The first family that has addresses.
    async fn first(&self, name: &Name, kinds: [RecordType; 2]) -> Result<Answer, LookupError> {
        match self.records(name, kinds[0]).await {
            Ok(answer) => Ok(answer),
            Err(_) => self.records(name, kinds[1]).await,
        }
    }

    async fn records(&self, name: &Name, kind: RecordType) -> Result<Answer, LookupError> {
        let resolver = lock(&self.resolver).clone();
        let resolver = resolver.ok_or(LookupError::Servers(NetError::NoConnections))?;
        let found = resolver.lookup(name.clone(), kind).await;
        answer(found.map_err(LookupError::Servers)?.answers())
    }

    /// A name that stands in the hosts file, in whatever family, is answered by it alone.
    fn in_hosts_file(&self, name: &Name, family: Family) -> Option<Result<Answer, LookupError>> {
        let mut file = lock(&self.hosts);
        file.refresh();
        let v4 = file.addresses(name, RecordType::A);
        let v6 = file.addresses(name, RecordType::AAAA);
        if v4.is_empty() && v6.is_empty() {
            return None;
        }
        let addresses = match family {
            Family::V4Only => v4,
            Family::V6Only => v6,
            Family::Auto if v6.is_empty() => v4,
            Family::Auto => v6,
            Family::V4Preferred if v4.is_empty() => v6,
            Family::V4Preferred => v4,
            Family::All => [v4, v6].concat(),
        };
        let lifetime = Lifetime::Unknown;
        Some(match addresses.is_empty() {
            true => Err(LookupError::Empty),
            false => Ok(Answer {
                addresses,
                lifetime,
            }),
        })
    }
}

impl HostsFile {
    /// Reads the file again if it changed. One that cannot be read has no names.
    fn refresh(&mut self) {
        let modified = fs::metadata(&self.path)
            .and_then(|file| file.modified())
            .ok();
        if modified == self.modified {
            return;
        }
        let mut hosts = Hosts::default();
        let read = File::open(&self.path).and_then(|file| hosts.read_hosts_conf(file));
        if let Err(error) = read {
            warn!(
                path = %self.path.display(),
                error = &error as &(dyn std::error::Error + 'static),
                "the hosts file cannot be read; names are asked of the DNS servers alone"
            );
        }
        self.hosts = hosts;
        self.modified = modified;
    }

    fn addresses(&self, name: &Name, kind: RecordType) -> Vec<IpAddr> {
        let found = self
            .hosts
            .lookup_static_host(&Query::query(name.clone(), kind));
        found.map_or_else(Vec::new, |found| addresses(found.answers()))
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// IPv4 first: connections are made to the first address, and IPv4 is what every host can reach.
fn both(
    v4: Result<Answer, LookupError>,
    v6: Result<Answer, LookupError>,
) -> Result<Answer, LookupError> {
    match (v4, v6) {
        (Ok(v4), Ok(v6)) => Ok(Answer {
            addresses: [v4.addresses, v6.addresses].concat(),
            lifetime: shorter(v4.lifetime, v6.lifetime),
        }),
        (Ok(answer), Err(_)) | (Err(_), Ok(answer)) => Ok(answer),
        (Err(error), Err(_)) => Err(error),
    }
}

fn shorter(one: Lifetime, other: Lifetime) -> Lifetime {
    match (one, other) {
        (Lifetime::Seconds(one), Lifetime::Seconds(other)) => Lifetime::Seconds(one.min(other)),
        (Lifetime::Seconds(only), _) | (_, Lifetime::Seconds(only)) => Lifetime::Seconds(only),
        _ => Lifetime::Unknown,
    }
}

/// The records on the way (CNAME) limit the lifetime as well.
fn answer(records: &[Record]) -> Result<Answer, LookupError> {
    let addresses = addresses(records);
    match records.iter().map(|record| record.ttl).min() {
        Some(seconds) if !addresses.is_empty() => Ok(Answer {
            addresses,
            lifetime: Lifetime::Seconds(seconds),
        }),
        _ => Err(LookupError::Empty),
    }
}

fn addresses(records: &[Record]) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = Vec::new();
    for address in records.iter().filter_map(|record| record.data.ip_addr()) {
        if !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

/// Without a cache: how old an answer may be is decided by the refresh rate.
fn resolver(options: &DnsOptions) -> Result<TokioResolver, NetError> {
    let (config, mut settings) = match &options.servers {
        Some(servers) => (
            ResolverConfig::from_name_servers(servers.iter().copied().map(server).collect()),
            ResolverOpts::default(),
        ),
        None => system_conf::read_system_conf()?,
    };
    settings.cache_size = 0;
    settings.use_hosts_file = ResolveHosts::Never;
    if options.servers.is_some() {
        settings.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
    }
    settings.timeout = options.timeout.unwrap_or(settings.timeout);
    settings.attempts = options.retries.unwrap_or(settings.attempts);
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(settings)
        .build()
}

fn server(address: std::net::SocketAddr) -> NameServerConfig {
    let with_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let connections = vec![
        with_port(ConnectionConfig::udp()),
        with_port(ConnectionConfig::tcp()),
    ];
    NameServerConfig::new(address.ip(), true, connections)
}
