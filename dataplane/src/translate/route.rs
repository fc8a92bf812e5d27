//! `RouteConfiguration` to the core's routes, element for element, so that errors which the core
//! finds when it compiles them have the file's paths.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use penstock_core::config::ClusterId;
use penstock_core::config::route::{
    Action, ClusterChoice, DirectResponse, Forward, HeaderChanges, HostRewrite, PathMatch,
    PathRewrite, Redirect, RedirectPath, RequireTls, Route as CoreRoute, RouteConfig,
    RouteMatch as CoreMatch, VirtualHost as CoreHost, WeightedCluster as CoreWeighted,
};
use penstock_core::route::RouteTable;
use penstock_core::stats::{PerWorker, RouteStats};
use penstock_proto::envoy::config::core::v3::RoutingPriority;
use penstock_proto::envoy::config::route::v3::redirect_action::{
    PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier,
};
use penstock_proto::envoy::config::route::v3::route::Action as ActionKind;
use penstock_proto::envoy::config::route::v3::route_action::{
    ClusterNotFoundResponseCode, ClusterSpecifier, HostRewriteSpecifier, UpgradeConfig,
};
use penstock_proto::envoy::config::route::v3::route_match::PathSpecifier;
use penstock_proto::envoy::config::route::v3::virtual_host::TlsRequirementType;
use penstock_proto::envoy::config::route::v3::weighted_cluster::{ClusterWeight, cluster_weight};
use penstock_proto::envoy::config::route::v3::{
    DirectResponseAction, RedirectAction, Route, RouteAction, RouteConfiguration, RouteMatch,
    VirtualHost, WeightedCluster,
};

use super::draft::Draft;
use super::headers::Lists;

/// `timeout` of a route unless set.
const ROUTE_TIMEOUT: Duration = Duration::from_secs(15);
/// `max_direct_response_body_size_bytes` unless set.
const DIRECT_BODY_MAX: u32 = 4096;

/// Counters of routes that were there before.
pub(super) type KnownStats = HashMap<(Box<str>, Box<str>, usize), Arc<PerWorker<RouteStats>>>;

/// What holds for all routes of a configuration.
struct Shared<'a> {
    known: &'a KnownStats,
    validate_clusters: bool,
    direct_body_max: u32,
}

impl Draft<'_> {
    /// Compiles a route configuration; with errors the table is an empty one.
    pub(super) fn routes(&mut self, config: &RouteConfiguration, known: &KnownStats) -> RouteTable {
        let shared = Shared {
            known,
            validate_clusters: config.validate_clusters.unwrap_or(true),
            direct_body_max: config
                .max_direct_response_body_size_bytes
                .unwrap_or(DIRECT_BODY_MAX),
        };
        let routes = RouteConfig {
            name: config.name.as_str().into(),
            virtual_hosts: self.each("virtual_hosts", &config.virtual_hosts, |draft, host| {
                draft.virtual_host(host, &shared)
            }),
            headers: self.header_changes(&Lists {
                request_add: &config.request_headers_to_add,
                request_remove: &config.request_headers_to_remove,
                response_add: &config.response_headers_to_add,
                response_remove: &config.response_headers_to_remove,
            }),
            ignore_port: config.ignore_port_in_host_matching,
            most_specific_wins: config.most_specific_header_mutations_wins,
        };
        RouteTable::compile(routes).unwrap_or_else(|errors| {
            for error in errors {
                self.error(&error.path, error.reason, "");
            }
            RouteTable::default()
        })
    }

    fn virtual_host(&mut self, host: &VirtualHost, shared: &Shared<'_>) -> CoreHost {
        self.required("name", &host.name, "write a name");
        let routes = host.routes.iter().enumerate();
        let routes = routes
            .map(|(index, route)| {
                let stats = self.route_stats(&host.name, route, index, shared);
                self.element("routes", index, |draft| draft.route(route, stats, shared))
            })
            .collect();
        CoreHost {
            name: host.name.as_str().into(),
            domains: host
                .domains
                .iter()
                .map(|domain| domain.as_str().into())
                .collect(),
            require_tls: match host.require_tls() {
                TlsRequirementType::None => RequireTls::None,
                TlsRequirementType::ExternalOnly => RequireTls::ExternalOnly,
                TlsRequirementType::All => RequireTls::All,
            },
            routes,
            headers: self.header_changes(&Lists {
                request_add: &host.request_headers_to_add,
                request_remove: &host.request_headers_to_remove,
                response_add: &host.response_headers_to_add,
                response_remove: &host.response_headers_to_remove,
            }),
            attempt_count: host.include_request_attempt_count,
        }
    }

    fn route_stats(
        &mut self,
        host: &str,
        route: &Route,
        index: usize,
        shared: &Shared<'_>,
    ) -> Arc<PerWorker<RouteStats>> {
        let known = shared.known.get(&stats_key(host, &route.name, index));
        known.map_or_else(|| Arc::new(PerWorker::new(self.workers)), Arc::clone)
    }

    fn route(
        &mut self,
        route: &Route,
        stats: Arc<PerWorker<RouteStats>>,
        shared: &Shared<'_>,
    ) -> CoreRoute {
        let unset = RouteMatch::default();
        if route.r#match.is_none() {
            self.error(
                "match",
                "is missing",
                "write match with prefix, path or safe_regex",
            );
        }
        let matcher = route.r#match.as_ref();
        let matched = matcher.is_some();
        CoreRoute {
            name: route.name.as_str().into(),
            matcher: self.field("match", |draft| {
                draft.route_match(matcher.unwrap_or(&unset), matched)
            }),
            action: self.action(route, shared),
            headers: self.header_changes(&Lists {
                request_add: &route.request_headers_to_add,
                request_remove: &route.request_headers_to_remove,
                response_add: &route.response_headers_to_add,
                response_remove: &route.response_headers_to_remove,
            }),
            stats,
        }
    }

    fn route_match(&mut self, matcher: &RouteMatch, complain: bool) -> CoreMatch {
        let path = match &matcher.path_specifier {
            Some(PathSpecifier::Prefix(prefix)) => PathMatch::Prefix(prefix.as_str().into()),
            Some(PathSpecifier::Path(path)) => PathMatch::Exact(path.as_str().into()),
            Some(PathSpecifier::PathSeparatedPrefix(prefix)) => {
                PathMatch::SegmentPrefix(prefix.as_str().into())
            }
            Some(PathSpecifier::SafeRegex(regex)) => {
                PathMatch::Regex(self.whole_regex("safe_regex", regex))
            }
            None => {
                if complain {
                    self.error(
                        "",
                        "no path is named",
                        "write prefix, path, path_separated_prefix or safe_regex",
                    );
                }
                PathMatch::Prefix("".into())
            }
        };
        let fraction = matcher.runtime_fraction.as_ref();
        CoreMatch {
            path,
            case_sensitive: matcher.case_sensitive.unwrap_or(true),
            headers: self.each("headers", &matcher.headers, Self::header_match),
            query: self.each(
                "query_parameters",
                &matcher.query_parameters,
                Self::query_match,
            ),
            fraction: fraction
                .map(|share| self.field("runtime_fraction", |draft| draft.fraction(share))),
        }
    }

    fn action(&mut self, route: &Route, shared: &Shared<'_>) -> Action {
        match &route.action {
            Some(ActionKind::Route(action)) => Action::Forward(Box::new(
                self.field("route", |draft| draft.forward(action, shared)),
            )),
            Some(ActionKind::Redirect(redirect)) => Action::Redirect(Box::new(
                self.field("redirect", |draft| draft.redirect(redirect)),
            )),
            Some(ActionKind::DirectResponse(direct)) => {
                let direct = self.field("direct_response", |draft| draft.direct(direct, shared));
                Action::Direct(Box::new(direct))
            }
            None => {
                self.error(
                    "",
                    "does nothing",
                    "write route, redirect or direct_response",
                );
                Action::Direct(Box::new(DirectResponse {
                    status: 500,
                    body: Box::default(),
                }))
            }
        }
    }

    fn forward(&mut self, action: &RouteAction, shared: &Shared<'_>) -> Forward {
        Forward {
            cluster: self.cluster_choice(action, shared),
            not_found_status: match action.cluster_not_found_response_code() {
                ClusterNotFoundResponseCode::ServiceUnavailable => 503,
                ClusterNotFoundResponseCode::NotFound => 404,
                ClusterNotFoundResponseCode::InternalServerError => 500,
            },
            path_rewrite: self.path_rewrite(action),
            host_rewrite: self.host_rewrite(action),
            append_forwarded_host: action.append_x_forwarded_host,
            timeout: self.timeout("timeout", action.timeout.as_ref(), Some(ROUTE_TIMEOUT)),
            idle_timeout: action
                .idle_timeout
                .as_ref()
                .map(|idle| self.timeout("idle_timeout", Some(idle), None)),
            stream_duration_max: self.stream_duration_max(action),
            upgrades: self.route_upgrades(&action.upgrade_configs),
            high_priority: action.priority() == RoutingPriority::High,
        }
    }

    fn stream_duration_max(&mut self, action: &RouteAction) -> Option<Option<Duration>> {
        let max = action.max_stream_duration?.max_stream_duration?;
        let field = "max_stream_duration.max_stream_duration";
        Some(self.timeout(field, Some(&max), None))
    }

    fn cluster_choice(&mut self, action: &RouteAction, shared: &Shared<'_>) -> ClusterChoice {
        match &action.cluster_specifier {
            Some(ClusterSpecifier::Cluster(name)) => {
                ClusterChoice::One(self.cluster_id("cluster", name, shared))
            }
            Some(ClusterSpecifier::ClusterHeader(name)) => {
                if name.is_empty() || name.starts_with(':') {
                    self.error(
                        "cluster_header",
                        "is no header field",
                        "write the name of a field that names the cluster",
                    );
                }
                ClusterChoice::Header(name.to_ascii_lowercase().into())
            }
            Some(ClusterSpecifier::WeightedClusters(weighted)) => self
                .field("weighted_clusters", |draft| {
                    draft.weighted(weighted, shared)
                }),
            None => {
                self.error(
                    "",
                    "no cluster is named",
                    "write cluster, cluster_header or weighted_clusters",
                );
                ClusterChoice::Header("".into())
            }
        }
    }

    fn weighted(&mut self, weighted: &WeightedCluster, shared: &Shared<'_>) -> ClusterChoice {
        let clusters = self.each("clusters", &weighted.clusters, |draft, choice| {
            draft.weighted_choice(choice, shared)
        });
        let sum: u64 = clusters.iter().map(|choice| u64::from(choice.weight)).sum();
        if let Some(total) = weighted.total_weight
            && u64::from(total) != sum
        {
            self.warn(
                "total_weight",
                format!("has no effect: the weights come to {sum}"),
                "remove it",
            );
        }
        let total = u32::try_from(sum).unwrap_or(u32::MAX);
        ClusterChoice::Weighted { clusters, total }
    }

    fn weighted_choice(&mut self, choice: &ClusterWeight, shared: &Shared<'_>) -> CoreWeighted {
        if choice.weight.is_none() {
            self.error("weight", "is missing", "write its share; 0 switches it off");
        }
        let rewrite = choice.host_rewrite_specifier.as_ref();
        CoreWeighted {
            cluster: self.cluster_id("name", &choice.name, shared),
            weight: choice.weight.unwrap_or(0),
            headers: self.weighted_changes(choice),
            host_rewrite: rewrite.and_then(
                |cluster_weight::HostRewriteSpecifier::HostRewriteLiteral(host)| {
                    (!host.is_empty()).then(|| host.as_str().into())
                },
            ),
        }
    }

    fn weighted_changes(&mut self, choice: &ClusterWeight) -> HeaderChanges {
        self.header_changes(&Lists {
            request_add: &choice.request_headers_to_add,
            request_remove: &choice.request_headers_to_remove,
            response_add: &choice.response_headers_to_add,
            response_remove: &choice.response_headers_to_remove,
        })
    }

    /// The id of a cluster that a route names.
    fn cluster_id(&mut self, field: &str, name: &str, shared: &Shared<'_>) -> ClusterId {
        self.required(field, name, "write the name of a cluster");
        if shared.validate_clusters && !name.is_empty() {
            if !self.configured.contains(name) {
                self.error(
                    field,
                    format!("no cluster is called `{name}`"),
                    "configure it, or set validate_clusters to false",
                );
            }
            self.referred.push(name.into());
        }
        ClusterId(self.cluster_ids.id(name))
    }

    fn path_rewrite(&mut self, action: &RouteAction) -> PathRewrite {
        match (&action.regex_rewrite, action.prefix_rewrite.as_str()) {
            (None, "") => PathRewrite::Keep,
            (None, prefix) => PathRewrite::Prefix(prefix.into()),
            (Some(rewrite), prefix) => {
                if !prefix.is_empty() {
                    self.error(
                        "prefix_rewrite",
                        "excludes regex_rewrite, which is set too",
                        "keep one of them",
                    );
                }
                let (pattern, substitution) = self.substitution("regex_rewrite", rewrite);
                PathRewrite::Regex {
                    pattern,
                    substitution,
                }
            }
        }
    }

    fn host_rewrite(&mut self, action: &RouteAction) -> HostRewrite {
        match &action.host_rewrite_specifier {
            Some(HostRewriteSpecifier::HostRewriteLiteral(host)) if !host.is_empty() => {
                HostRewrite::Literal(host.as_str().into())
            }
            Some(HostRewriteSpecifier::AutoHostRewrite(true)) => HostRewrite::Auto,
            Some(HostRewriteSpecifier::HostRewriteHeader(name)) if !name.is_empty() => {
                HostRewrite::Header(name.to_ascii_lowercase().into())
            }
            Some(HostRewriteSpecifier::HostRewritePathRegex(rewrite)) => {
                let (pattern, substitution) = self.substitution("host_rewrite_path_regex", rewrite);
                HostRewrite::PathRegex {
                    pattern,
                    substitution,
                }
            }
            _ => HostRewrite::Keep,
        }
    }

    fn route_upgrades(&mut self, configs: &[UpgradeConfig]) -> Vec<(Box<str>, bool)> {
        let all = self.each("upgrade_configs", configs, |draft, config| {
            let kind = draft.upgrade_type(&config.upgrade_type);
            (kind, config.enabled.unwrap_or(true))
        });
        for (index, (kind, _)) in all.iter().enumerate() {
            if all[..index].iter().any(|(before, _)| before == kind) {
                self.error(
                    "upgrade_configs",
                    format!("`{kind}` stands here twice"),
                    "remove one of them",
                );
            }
        }
        all
    }

    /// The name of a protocol, in lower case. CONNECT is no upgrade and not served.
    pub(super) fn upgrade_type(&mut self, name: &str) -> Box<str> {
        let name = name.to_ascii_lowercase();
        let is_protocol =
            |byte: u8| byte.is_ascii_graphic() && !b"\"(),:;<=>?@[\\]{}".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_protocol) {
            self.error(
                "upgrade_type",
                "is no protocol",
                "write one, for example websocket",
            );
        } else if matches!(name.as_str(), "connect" | "connect-udp" | "h2c") {
            self.error(
                "upgrade_type",
                format!("`{name}` is not served"),
                "use websocket",
            );
        }
        name.into()
    }

    fn redirect(&mut self, redirect: &RedirectAction) -> Redirect {
        let scheme = match &redirect.scheme_rewrite_specifier {
            Some(SchemeRewriteSpecifier::HttpsRedirect(true)) => Some("https".into()),
            Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) if !scheme.is_empty() => {
                Some(scheme.to_ascii_lowercase().into())
            }
            _ => None,
        };
        let port = u16::try_from(redirect.port_redirect).unwrap_or_else(|_| {
            self.error(
                "port_redirect",
                "is out of range",
                "write a port from 1 to 65535",
            );
            0
        });
        let host = redirect.host_redirect.as_str();
        Redirect {
            status: match redirect.response_code() {
                RedirectResponseCode::MovedPermanently => 301,
                RedirectResponseCode::Found => 302,
                RedirectResponseCode::SeeOther => 303,
                RedirectResponseCode::TemporaryRedirect => 307,
                RedirectResponseCode::PermanentRedirect => 308,
            },
            scheme,
            host: (!host.is_empty()).then(|| host.into()),
            port: (port > 0).then_some(port),
            path: self.redirect_path(redirect),
            strip_query: redirect.strip_query,
        }
    }

    fn redirect_path(&mut self, redirect: &RedirectAction) -> RedirectPath {
        match &redirect.path_rewrite_specifier {
            Some(PathRewriteSpecifier::PathRedirect(path)) if !path.is_empty() => {
                RedirectPath::Replace(path.as_str().into())
            }
            Some(PathRewriteSpecifier::PrefixRewrite(prefix)) => {
                RedirectPath::Rewrite(PathRewrite::Prefix(prefix.as_str().into()))
            }
            Some(PathRewriteSpecifier::RegexRewrite(rewrite)) => {
                let (pattern, substitution) = self.substitution("regex_rewrite", rewrite);
                RedirectPath::Rewrite(PathRewrite::Regex {
                    pattern,
                    substitution,
                })
            }
            _ => RedirectPath::Keep,
        }
    }

    fn direct(&mut self, direct: &DirectResponseAction, shared: &Shared<'_>) -> DirectResponse {
        let body = match &direct.body {
            Some(source) => self.field("body", |draft| draft.data(source)),
            None => Vec::new(),
        };
        if body.len() > shared.direct_body_max as usize {
            let reason = format!(
                "has {} bytes, over the {} allowed",
                body.len(),
                shared.direct_body_max
            );
            self.error(
                "body",
                reason,
                "shorten it, or raise max_direct_response_body_size_bytes of the configuration",
            );
        }
        // A wrong status is found when the routes are compiled.
        let status = u16::try_from(direct.status).unwrap_or(0);
        DirectResponse {
            status,
            body: body.into(),
        }
    }
}

/// Counters of all routes of a table.
pub(super) fn known_stats(table: &RouteTable) -> KnownStats {
    let hosts = table.config().virtual_hosts.iter();
    hosts
        .flat_map(|host| {
            host.routes.iter().enumerate().map(|(index, route)| {
                (
                    stats_key(&host.name, &route.name, index),
                    Arc::clone(&route.stats),
                )
            })
        })
        .collect()
}

/// A route with a name keeps its counters wherever it moves in its virtual host, one without at its
/// place only.
fn stats_key(host: &str, route: &str, index: usize) -> (Box<str>, Box<str>, usize) {
    let index = if route.is_empty() { index } else { 0 };
    (host.into(), route.into(), index)
}
