//! Names that clusters need resolved, and what was found for them: the border between `translate`,
//! which knows clusters, and DNS, which knows none.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

/// `dns_lookup_family`: which addresses of a name are used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Family {
    /// IPv6, or IPv4 if there are none.
    #[default]
    Auto,
    /// IPv4 only.
    V4Only,
    /// IPv6 only.
    V6Only,
    /// IPv4, or IPv6 if there are none.
    V4Preferred,
    /// Both.
    All,
}

/// What is resolved. Clusters that ask for the same share the answer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NameKey {
    /// The name, without a port.
    pub name: Box<str>,
    /// The port that its addresses get.
    pub port: u16,
    /// Which addresses are used.
    pub family: Family,
}

/// A name and how often it is looked up. Where several clusters ask for the same key, the shortest
/// times hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name {
    /// What is resolved.
    pub key: NameKey,
    /// `dns_refresh_rate` (5 s): time between lookups.
    pub refresh: Duration,
    /// `respect_dns_ttl`: look up again when the answer's lifetime ends, instead of `refresh`.
    pub respect_ttl: bool,
    /// `dns_failure_refresh_rate.base_interval` (`refresh` unless set): first wait after a failure.
    pub retry_first: Duration,
    /// `dns_failure_refresh_rate.max_interval` (ten times `retry_first` unless set; `refresh` if
    /// neither is): longest wait after failures.
    pub retry_max: Duration,
}

/// Addresses by name, in the order of the answer. A name that is missing has not been answered yet;
/// one with no addresses has none. After a failed lookup the last answer stays.
pub type Resolved = HashMap<NameKey, Vec<SocketAddr>>;
