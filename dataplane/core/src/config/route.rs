//! Routes as configured (`envoy.config.route.v3.RouteConfiguration`); `route.rs` compiles them.

use std::sync::Arc;
use std::time::Duration;

use regex::bytes::Regex;

use super::ClusterId;
use super::expression::WholeRegex;
use crate::format::Format;
use crate::stats::{PerWorker, RouteStats};

/// A route configuration.
#[derive(Debug, Default)]
pub struct RouteConfig {
    /// Name.
    pub name: Box<str>,
    /// Virtual hosts; every domain occurs once.
    pub virtual_hosts: Vec<VirtualHost>,
    /// Header changes of this level.
    pub headers: HeaderChanges,
    /// `ignore_port_in_host_matching`.
    pub ignore_port: bool,
    /// `most_specific_header_mutations_wins`: apply configuration, host, route instead of route,
    /// host, configuration.
    pub most_specific_wins: bool,
}

/// A virtual host.
#[derive(Debug, Default)]
pub struct VirtualHost {
    /// Name.
    pub name: Box<str>,
    /// `domains`: exact, `*.suffix`, `prefix.*` or `*`, with or without port.
    pub domains: Vec<Box<str>>,
    /// `require_tls`.
    pub require_tls: RequireTls,
    /// Routes; the first match wins.
    pub routes: Vec<Route>,
    /// Header changes of this level.
    pub headers: HeaderChanges,
    /// `include_request_attempt_count`.
    pub attempt_count: bool,
}

/// `require_tls`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RequireTls {
    /// Plain requests are served.
    #[default]
    None,
    /// Plain requests from outside are redirected. Nobody is inside without
    /// `internal_address_config`, which is not served.
    ExternalOnly,
    /// Plain requests are redirected.
    All,
}

/// One route.
#[derive(Debug)]
pub struct Route {
    /// Name; may be empty.
    pub name: Box<str>,
    /// When it applies.
    pub matcher: RouteMatch,
    /// What it does.
    pub action: Action,
    /// Header changes of this level.
    pub headers: HeaderChanges,
    /// Counters.
    pub stats: Arc<PerWorker<RouteStats>>,
}

/// `RouteMatch`: all parts must hold.
#[derive(Debug)]
pub struct RouteMatch {
    /// Path specifier.
    pub path: PathMatch,
    /// `case_sensitive` (true); not for regular expressions.
    pub case_sensitive: bool,
    /// `headers` (pseudo-headers `:method`, `:authority`, `:scheme`, `:path` included).
    pub headers: Vec<HeaderMatch>,
    /// `query_parameters`.
    pub query: Vec<QueryMatch>,
    /// `runtime_fraction`.
    pub fraction: Option<Fraction>,
}

/// Path specifier. All match the path without the query.
#[derive(Clone, Debug)]
pub enum PathMatch {
    /// `prefix`: plain bytes.
    Prefix(Box<str>),
    /// `path_separated_prefix`: whole segments.
    SegmentPrefix(Box<str>),
    /// `path`: the whole path.
    Exact(Box<str>),
    /// `safe_regex`: the whole path.
    Regex(WholeRegex),
}

/// `HeaderMatcher`.
#[derive(Debug)]
pub struct HeaderMatch {
    /// Lower case; may be a pseudo-header.
    pub name: Box<str>,
    /// Test of the value.
    pub test: ValueTest,
    /// `invert_match`.
    pub invert: bool,
    /// `treat_missing_header_as_empty`.
    pub missing_is_empty: bool,
}

/// `QueryParameterMatcher`.
#[derive(Debug)]
pub struct QueryMatch {
    /// Name, compared by case.
    pub name: Box<str>,
    /// Test of the value; [`ValueTest::Range`] does not occur.
    pub test: ValueTest,
}

/// What is asked of a value. A repeated field is tested as Envoy does: its values joined with `,`.
#[derive(Clone, Debug)]
pub enum ValueTest {
    /// `present_match`: true means must be there, false must not.
    Present(bool),
    /// `range_match`: an integer in `start..end`.
    Range {
        /// First value.
        start: i64,
        /// One past the last.
        end: i64,
    },
    /// `string_match` and its older forms.
    Text(StringMatch),
}

/// `StringMatcher`.
#[derive(Clone, Debug)]
pub struct StringMatch {
    /// The pattern; in lower case if `ignore_case`.
    pub pattern: Pattern,
    /// `ignore_case`; not for regular expressions.
    pub ignore_case: bool,
}

/// Pattern of a [`StringMatch`].
#[derive(Clone, Debug)]
pub enum Pattern {
    /// Equal.
    Exact(Box<str>),
    /// Begins with.
    Prefix(Box<str>),
    /// Ends with.
    Suffix(Box<str>),
    /// Contains.
    Contains(Box<str>),
    /// Matches as a whole.
    Regex(WholeRegex),
}

/// `FractionalPercent`: `numerator` out of `denominator`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fraction {
    /// Numerator.
    pub numerator: u32,
    /// 100, 10 000 or 1 000 000.
    pub denominator: u32,
}

/// What a route does.
#[derive(Debug)]
pub enum Action {
    /// `route`.
    Forward(Box<Forward>),
    /// `redirect`.
    Redirect(Box<Redirect>),
    /// `direct_response`.
    Direct(Box<DirectResponse>),
}

/// `RouteAction`.
#[derive(Debug)]
pub struct Forward {
    /// Where to.
    pub cluster: ClusterChoice,
    /// `cluster_not_found_response_code` (503).
    pub not_found_status: u16,
    /// `prefix_rewrite`, `regex_rewrite`.
    pub path_rewrite: PathRewrite,
    /// `host_rewrite_*`, `auto_host_rewrite`.
    pub host_rewrite: HostRewrite,
    /// `append_x_forwarded_host`: keep the old authority when it is rewritten.
    pub append_forwarded_host: bool,
    /// `timeout` (15 s), from request complete to response complete; `None` if off.
    pub timeout: Option<Duration>,
    /// `idle_timeout`; overrides `stream_idle_timeout` where set (`Some(None)` switches it off).
    pub idle_timeout: Option<Option<Duration>>,
    /// `max_stream_duration`; overrides that of the connection manager where set.
    pub stream_duration_max: Option<Option<Duration>>,
    /// `upgrade_configs` of the route: lower-case type and whether it is allowed here.
    pub upgrades: Vec<(Box<str>, bool)>,
    /// `priority`: HIGH uses the thresholds of that name.
    pub high_priority: bool,
}

/// Which cluster.
#[derive(Debug)]
pub enum ClusterChoice {
    /// `cluster`.
    One(ClusterId),
    /// `cluster_header`: the field that names it (lower case).
    Header(Box<str>),
    /// `weighted_clusters`.
    Weighted {
        /// The choices.
        clusters: Vec<WeightedCluster>,
        /// Sum of the weights, above 0.
        total: u32,
    },
}

/// One choice of a weighted split.
#[derive(Debug)]
pub struct WeightedCluster {
    /// Which.
    pub cluster: ClusterId,
    /// Its share of the total.
    pub weight: u32,
    /// Header changes of this level.
    pub headers: HeaderChanges,
    /// `host_rewrite_literal` of the choice.
    pub host_rewrite: Option<Box<str>>,
}

/// Change of the path on the way to the origin.
#[derive(Debug)]
pub enum PathRewrite {
    /// None.
    Keep,
    /// `prefix_rewrite`: replaces what the path match matched.
    Prefix(Box<str>),
    /// `regex_rewrite`: pattern and substitution (`\0` to `\9`), on the path without the query.
    Regex {
        /// Pattern; matched anywhere, every match replaced.
        pattern: Regex,
        /// Substitution in RE2 syntax.
        substitution: Box<str>,
    },
}

/// Change of the authority on the way to the origin.
#[derive(Debug)]
pub enum HostRewrite {
    /// None.
    Keep,
    /// `host_rewrite_literal`.
    Literal(Box<str>),
    /// `auto_host_rewrite`: the endpoint's hostname.
    Auto,
    /// `host_rewrite_header`: value of this field (lower case).
    Header(Box<str>),
    /// `host_rewrite_path_regex`.
    PathRegex {
        /// Pattern, matched on the path without the query.
        pattern: Regex,
        /// Substitution in RE2 syntax.
        substitution: Box<str>,
    },
}

/// `RedirectAction`.
#[derive(Debug)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// `https_redirect`, `scheme_redirect`.
    pub scheme: Option<Box<str>>,
    /// `host_redirect`.
    pub host: Option<Box<str>>,
    /// `port_redirect`.
    pub port: Option<u16>,
    /// `path_redirect`, `prefix_rewrite`, `regex_rewrite`.
    pub path: RedirectPath,
    /// `strip_query`.
    pub strip_query: bool,
}

/// Path of a redirect.
#[derive(Debug)]
pub enum RedirectPath {
    /// As it was.
    Keep,
    /// `path_redirect`: the whole path; a query in it replaces the request's.
    Replace(Box<str>),
    /// `prefix_rewrite`, `regex_rewrite`.
    Rewrite(PathRewrite),
}

/// `DirectResponseAction`.
#[derive(Debug)]
pub struct DirectResponse {
    /// 200 to 599.
    pub status: u16,
    /// Body; empty if none.
    pub body: Box<[u8]>,
}

/// Header changes of one level, requests and responses.
#[derive(Debug, Default)]
pub struct HeaderChanges {
    /// Towards the origin.
    pub request: HeaderEdits,
    /// Towards the client.
    pub response: HeaderEdits,
}

/// Removals first, then additions, as in Envoy.
#[derive(Debug, Default)]
pub struct HeaderEdits {
    /// Names in lower case.
    pub remove: Vec<Box<str>>,
    /// Additions in order.
    pub add: Vec<HeaderAddition>,
}

/// `HeaderValueOption`.
#[derive(Debug)]
pub struct HeaderAddition {
    /// Name in lower case.
    pub name: Box<str>,
    /// Value with its operators.
    pub value: Format,
    /// `append_action`.
    pub action: AppendAction,
    /// `keep_empty_value`.
    pub keep_empty: bool,
}

/// `append_action`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AppendAction {
    /// APPEND_IF_EXISTS_OR_ADD
    AppendOrAdd,
    /// ADD_IF_ABSENT
    AddIfAbsent,
    /// OVERWRITE_IF_EXISTS_OR_ADD
    OverwriteOrAdd,
    /// OVERWRITE_IF_EXISTS
    OverwriteIfExists,
}
