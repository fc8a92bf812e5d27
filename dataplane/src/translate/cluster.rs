//! `Cluster`: how an endpoint is picked and what may be used. Its endpoints are in `endpoints.rs`.

use std::time::Duration;

use penstock_core::cluster::Thresholds;
use penstock_core::config::cluster::Policy;
use penstock_proto::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, CommonLbConfig, DiscoveryType, DnsLookupFamily, LbConfig, LbPolicy,
};
use penstock_proto::envoy::config::cluster::v3::{CircuitBreakers, Cluster, circuit_breakers};
use penstock_proto::envoy::config::core::v3::{
    Http1ProtocolOptions, HttpProtocolOptions as Common, RoutingPriority,
};
use penstock_proto::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use penstock_proto::envoy::extensions::upstreams::http::v3::http_protocol_options::{
    UpstreamProtocolOptions, explicit_http_config::ProtocolConfig,
};

use super::draft::Draft;
use super::endpoints::Plan;
use super::names::{Family, Name, NameKey};

/// Key of `typed_extension_protocol_options`.
const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
/// `per_connection_buffer_limit_bytes` unless set.
pub(super) const BUFFER_LIMIT: u32 = 32 * 1024;
/// `connect_timeout` unless set.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// `idle_timeout` unless set.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
/// `dns_refresh_rate` unless set.
const DNS_REFRESH: Duration = Duration::from_secs(5);

/// Shortest `dns_refresh_rate`.
const DNS_REFRESH_MIN: Duration = Duration::from_millis(1);

/// A cluster without its ids, counters and resolved addresses.
#[derive(Debug)]
pub(super) struct ClusterDraft {
    pub(super) policy: Policy,
    pub(super) overprovisioning_percent: u32,
    pub(super) panic_percent: u32,
    pub(super) connect_timeout: Duration,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) requests_per_connection_max: Option<u32>,
    pub(super) buffer_limit: u32,
    pub(super) thresholds: (Thresholds, Thresholds),
    pub(super) plan: Plan,
}

/// How the names of a cluster are resolved.
pub(super) struct Dns {
    pub(super) family: Family,
    refresh: Duration,
    respect_ttl: bool,
    retry_first: Duration,
    retry_max: Duration,
}

impl Dns {
    pub(super) fn name(&self, name: &str, port: u16) -> Name {
        Name {
            key: NameKey {
                name: name.into(),
                port,
                family: self.family,
            },
            refresh: self.refresh,
            respect_ttl: self.respect_ttl,
            retry_first: self.retry_first,
            retry_max: self.retry_max,
        }
    }
}

impl Draft<'_> {
    pub(super) fn cluster(&mut self, cluster: &Cluster) -> ClusterDraft {
        let policy = self.policy(cluster);
        let (idle_timeout, requests_per_connection_max) = self.pooling(cluster);
        let kind = discovery(cluster);
        let dns = self.dns(cluster);
        let assignment = cluster.load_assignment.as_ref();
        let plan = match assignment {
            Some(assignment) => self.field("load_assignment", |draft| {
                draft.plan(assignment, kind, &dns)
            }),
            None => {
                self.warn(
                    "load_assignment",
                    "is missing: the cluster has no endpoints",
                    "write the endpoints",
                );
                Plan::default()
            }
        };
        ClusterDraft {
            policy,
            overprovisioning_percent: assignment.map_or(140, |it| self.overprovisioning(it)),
            panic_percent: self.panic_percent(cluster.common_lb_config.as_ref()),
            connect_timeout: self.positive(
                "connect_timeout",
                cluster.connect_timeout.as_ref(),
                CONNECT_TIMEOUT,
            ),
            idle_timeout,
            requests_per_connection_max,
            buffer_limit: self.buffer_limit(cluster.per_connection_buffer_limit_bytes),
            thresholds: self.thresholds(cluster.circuit_breakers.as_ref()),
            plan,
        }
    }

    /// `per_connection_buffer_limit_bytes` of a cluster or a listener.
    pub(super) fn buffer_limit(&mut self, limit: Option<u32>) -> u32 {
        let field = "per_connection_buffer_limit_bytes";
        self.note_absent(field, "32 KiB (Envoy: 1 MiB)");
        if limit == Some(0) {
            self.error(
                field,
                "a bound is needed",
                "write the bytes, for example 32768",
            );
        }
        limit.unwrap_or(BUFFER_LIMIT)
    }

    fn policy(&mut self, cluster: &Cluster) -> Policy {
        let LbConfig::LeastRequestLbConfig(options) = cluster
            .lb_config
            .unwrap_or(LbConfig::LeastRequestLbConfig(Default::default()));
        let choices = options.choice_count.unwrap_or(2);
        if choices < 2 {
            self.error(
                "least_request_lb_config.choice_count",
                "must be 2 or more",
                "write 2, or use RANDOM",
            );
        }
        match cluster.lb_policy() {
            LbPolicy::LeastRequest => return Policy::LeastRequest { choices },
            _ if cluster.lb_config.is_some() => self.warn(
                "least_request_lb_config",
                "has no effect with another policy",
                "set lb_policy to LEAST_REQUEST",
            ),
            _ => {}
        }
        match cluster.lb_policy() {
            LbPolicy::Random => Policy::Random,
            _ => Policy::RoundRobin,
        }
    }

    /// Idle timeout and requests per connection: `HttpProtocolOptions` where it is set, else the
    /// older fields of the cluster, as in Envoy.
    fn pooling(&mut self, cluster: &Cluster) -> (Option<Duration>, Option<u32>) {
        if let Some(options) = self.http_options(cluster) {
            let common = options.common_http_protocol_options.unwrap_or_default();
            return self.key("typed_extension_protocol_options", HTTP_OPTIONS, |draft| {
                draft.field("common_http_protocol_options", |draft| {
                    draft.common(&common)
                })
            });
        }
        if let Some(options) = &cluster.http_protocol_options {
            self.field("http_protocol_options", |draft| {
                draft.upstream_http1(options)
            });
        }
        let common = cluster.common_http_protocol_options.unwrap_or_default();
        let (idle, requests) = self.field("common_http_protocol_options", |draft| {
            draft.common(&common)
        });
        let older = cluster
            .max_requests_per_connection
            .filter(|count| *count > 0);
        (idle, requests.or(older))
    }

    fn http_options(&mut self, cluster: &Cluster) -> Option<HttpProtocolOptions> {
        let mut found = None;
        for (key, any) in &cluster.typed_extension_protocol_options {
            self.key("typed_extension_protocol_options", key, |draft| {
                if key == HTTP_OPTIONS {
                    found = draft.options::<HttpProtocolOptions>(any);
                } else {
                    draft.error(
                        "",
                        "no such extension is served",
                        format!("use `{HTTP_OPTIONS}`, or remove it"),
                    );
                }
            });
        }
        let explicit = match found.as_ref()?.upstream_protocol_options.as_ref() {
            Some(UpstreamProtocolOptions::ExplicitHttpConfig(explicit)) => explicit,
            None => return found,
        };
        if let Some(ProtocolConfig::HttpProtocolOptions(options)) = &explicit.protocol_config {
            self.key("typed_extension_protocol_options", HTTP_OPTIONS, |draft| {
                let field = "explicit_http_config.http_protocol_options";
                draft.field(field, |draft| draft.upstream_http1(options));
            });
        }
        found
    }

    fn upstream_http1(&mut self, options: &Http1ProtocolOptions) {
        self.refuse_chunked_length(options);
    }

    /// Both framings in one message are how requests are smuggled (F01).
    pub(super) fn refuse_chunked_length(&mut self, options: &Http1ProtocolOptions) {
        if options.allow_chunked_length {
            self.error(
                "allow_chunked_length",
                "a message with Content-Length and Transfer-Encoding is always refused",
                "remove it",
            );
        }
    }

    fn common(&mut self, common: &Common) -> (Option<Duration>, Option<u32>) {
        for (name, is_set) in [
            ("max_headers_count", common.max_headers_count.is_some()),
            (
                "max_connection_duration",
                common.max_connection_duration.is_some(),
            ),
            ("max_stream_duration", common.max_stream_duration.is_some()),
            (
                "headers_with_underscores_action",
                common.headers_with_underscores_action != 0,
            ),
        ] {
            if is_set {
                self.error(
                    name,
                    "is served for listeners, not for clusters",
                    "remove it",
                );
            }
        }
        let idle = self.timeout(
            "idle_timeout",
            common.idle_timeout.as_ref(),
            Some(IDLE_TIMEOUT),
        );
        (
            idle,
            common
                .max_requests_per_connection
                .filter(|count| *count > 0),
        )
    }

    fn panic_percent(&mut self, common: Option<&CommonLbConfig>) -> u32 {
        let Some(share) = common.and_then(|common| common.healthy_panic_threshold) else {
            return 50;
        };
        if !(0.0..=100.0).contains(&share.value) {
            self.error(
                "common_lb_config.healthy_panic_threshold.value",
                "is no share in percent",
                "write 0 to 100",
            );
        }
        share.value.round().clamp(0.0, 100.0) as u32
    }

    fn thresholds(&mut self, breakers: Option<&CircuitBreakers>) -> (Thresholds, Thresholds) {
        let (mut default, mut high) = (None, None);
        let list = breakers.map_or(&[][..], |breakers| &breakers.thresholds);
        self.field("circuit_breakers", |draft| {
            draft.each("thresholds", list, |draft, bounds| {
                let side = match bounds.priority() {
                    RoutingPriority::Default => &mut default,
                    RoutingPriority::High => &mut high,
                };
                if side.is_some() {
                    draft.warn(
                        "priority",
                        "has its thresholds already: these have no effect",
                        "remove them",
                    );
                }
                side.get_or_insert(thresholds(bounds));
            });
        });
        (default.unwrap_or_default(), high.unwrap_or_default())
    }

    fn dns(&mut self, cluster: &Cluster) -> Dns {
        let refresh = self.duration("dns_refresh_rate", cluster.dns_refresh_rate.as_ref());
        let refresh = refresh.unwrap_or(DNS_REFRESH);
        let failure = cluster.dns_failure_refresh_rate.as_ref();
        let (retry_first, retry_max) = self.field("dns_failure_refresh_rate", |draft| {
            let Some(failure) = failure else {
                return (refresh, refresh);
            };
            if failure.base_interval.is_none() {
                draft.error("base_interval", "is missing", "write the first wait");
            }
            let first = draft.positive("base_interval", failure.base_interval.as_ref(), refresh);
            let longest = first.saturating_mul(10);
            (
                first,
                draft.positive("max_interval", failure.max_interval.as_ref(), longest),
            )
        });
        if retry_max < retry_first {
            self.warn(
                "dns_failure_refresh_rate.max_interval",
                "is below base_interval, which holds",
                "write at least base_interval",
            );
        }
        if refresh < DNS_REFRESH_MIN {
            self.error("dns_refresh_rate", "is too often", "write at least 0.001s");
        }
        Dns {
            family: match cluster.dns_lookup_family() {
                DnsLookupFamily::Auto => Family::Auto,
                DnsLookupFamily::V4Only => Family::V4Only,
                DnsLookupFamily::V6Only => Family::V6Only,
                DnsLookupFamily::V4Preferred => Family::V4Preferred,
                DnsLookupFamily::All => Family::All,
            },
            refresh,
            respect_ttl: cluster.respect_dns_ttl,
            retry_first,
            retry_max: retry_max.max(retry_first),
        }
    }
}

fn discovery(cluster: &Cluster) -> DiscoveryType {
    match cluster.cluster_discovery_type {
        Some(ClusterDiscoveryType::Type(kind)) => {
            DiscoveryType::try_from(kind).unwrap_or(DiscoveryType::Static)
        }
        None => DiscoveryType::Static,
    }
}

fn thresholds(bounds: &circuit_breakers::Thresholds) -> Thresholds {
    let unset = Thresholds::default();
    Thresholds {
        connections: bounds.max_connections.unwrap_or(unset.connections),
        pending: bounds.max_pending_requests.unwrap_or(unset.pending),
        requests: bounds.max_requests.unwrap_or(unset.requests),
        retries: bounds.max_retries.unwrap_or(unset.retries),
    }
}
