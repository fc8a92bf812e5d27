//! What a configuration must keep to, so that nothing on the path can fail for its sake.

use std::fmt;

use regex::bytes::Regex;

use crate::config::route::{
    Action, ClusterChoice, Forward, HeaderChanges, HeaderEdits, HostRewrite, PathMatch,
    PathRewrite, Pattern, Redirect, RedirectPath, Route, RouteConfig, RouteMatch, ValueTest,
    VirtualHost, WeightedCluster,
};
use crate::http::authority;
use crate::http::h1::is_token_byte;
use crate::limits::{EDITS_PER_LEVEL_MAX, MATCH_TEXT_BYTES_MAX};

/// Something that is wrong with a route configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteError {
    /// The place, for example `virtual_hosts[0].routes[3].match`.
    pub path: String,
    /// What is wrong there, and what would be right.
    pub reason: String,
}

impl RouteError {
    pub(super) fn new(path: String, reason: &str) -> Self {
        Self {
            path,
            reason: reason.into(),
        }
    }
}

impl fmt::Display for RouteError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.path, self.reason)
    }
}

impl std::error::Error for RouteError {}

/// Collects all errors of a configuration but those of its domains.
pub(super) fn check(config: &RouteConfig, errors: &mut Vec<RouteError>) {
    let mut check = Check {
        path: String::new(),
        errors,
    };
    check.changes(&config.headers);
    for (index, host) in config.virtual_hosts.iter().enumerate() {
        check.within(format_args!("virtual_hosts[{index}]"), |check| {
            check.host(host);
        });
    }
}

struct Check<'a> {
    path: String,
    errors: &'a mut Vec<RouteError>,
}

impl Check<'_> {
    fn within(&mut self, step: fmt::Arguments<'_>, run: impl FnOnce(&mut Self)) {
        let len = self.path.len();
        if len > 0 {
            self.path.push('.');
        }
        self.path.push_str(&step.to_string());
        run(self);
        self.path.truncate(len);
    }

    fn field(&mut self, name: &str, is_right: bool, reason: &str) {
        if !is_right {
            self.within(format_args!("{name}"), |check| {
                let path = check.path.clone();
                check.errors.push(RouteError::new(path, reason));
            });
        }
    }

    fn host(&mut self, host: &VirtualHost) {
        self.field(
            "domains",
            !host.domains.is_empty(),
            "at least one domain is needed",
        );
        self.changes(&host.headers);
        for (index, route) in host.routes.iter().enumerate() {
            self.within(format_args!("routes[{index}]"), |check| check.route(route));
        }
    }

    fn route(&mut self, route: &Route) {
        self.within(format_args!("match"), |check| check.matcher(&route.matcher));
        self.changes(&route.headers);
        match &route.action {
            Action::Forward(forward) => {
                self.within(format_args!("route"), |check| check.forward(forward));
            }
            Action::Redirect(redirect) => {
                self.within(format_args!("redirect"), |check| check.redirect(redirect));
            }
            Action::Direct(direct) => self.field(
                "direct_response.status",
                (200..600).contains(&direct.status),
                "the status must be from 200 to 599",
            ),
        }
    }

    fn matcher(&mut self, matcher: &RouteMatch) {
        if let PathMatch::SegmentPrefix(prefix) = &matcher.path {
            let is_right = prefix.len() > 1
                && prefix.starts_with('/')
                && !prefix.ends_with('/')
                && !prefix.contains(['?', '#']);
            self.field(
                "path_separated_prefix",
                is_right,
                "it must begin with a slash, not end with one, and hold no ? or #",
            );
        }
        for (index, header) in matcher.headers.iter().enumerate() {
            self.within(format_args!("headers[{index}]"), |check| {
                check.test(&header.test);
                check.field("name", !header.name.is_empty(), "a name is needed");
            });
        }
        for (index, query) in matcher.query.iter().enumerate() {
            self.within(format_args!("query_parameters[{index}]"), |check| {
                check.test(&query.test);
                check.field("name", !query.name.is_empty(), "a name is needed");
            });
        }
        if let Some(fraction) = matcher.fraction {
            let is_right = matches!(fraction.denominator, 100 | 10_000 | 1_000_000);
            self.field(
                "runtime_fraction",
                is_right,
                "the denominator must be 100, 10000 or 1000000",
            );
        }
    }

    /// `contains` is compared at every place of a value, so its length is bounded.
    fn test(&mut self, test: &ValueTest) {
        let ValueTest::Text(text) = test else {
            return;
        };
        let (Pattern::Prefix(part) | Pattern::Suffix(part) | Pattern::Contains(part)) =
            &text.pattern
        else {
            return;
        };
        let reason = format!("the text must be 1 to {MATCH_TEXT_BYTES_MAX} bytes long");
        let is_right = (1..=MATCH_TEXT_BYTES_MAX).contains(&part.len());
        self.field("string_match", is_right, &reason);
    }

    fn forward(&mut self, forward: &Forward) {
        if let ClusterChoice::Weighted { clusters, total } = &forward.cluster {
            self.weighted(clusters, *total);
        }
        self.path_rewrite(&forward.path_rewrite);
        match &forward.host_rewrite {
            HostRewrite::Literal(host) => self.field(
                "host_rewrite_literal",
                is_authority(host),
                "this is no host and port (RFC 3986 section 3.2)",
            ),
            HostRewrite::PathRegex {
                pattern,
                substitution,
            } => self.substitution("host_rewrite_path_regex", pattern, substitution),
            HostRewrite::Keep | HostRewrite::Auto | HostRewrite::Header(_) => {}
        }
    }

    fn weighted(&mut self, clusters: &[WeightedCluster], total: u32) {
        let sum: u64 = clusters
            .iter()
            .map(|cluster| u64::from(cluster.weight))
            .sum();
        self.field(
            "weighted_clusters",
            sum > 0 && sum == u64::from(total),
            "the sum of the weights must be above 0 and below 2^32",
        );
        for (index, cluster) in clusters.iter().enumerate() {
            let step = format_args!("weighted_clusters.clusters[{index}]");
            self.within(step, |check| {
                check.changes(&cluster.headers);
                check.field(
                    "host_rewrite_literal",
                    cluster.host_rewrite.as_deref().is_none_or(is_authority),
                    "this is no host and port (RFC 3986 section 3.2)",
                );
            });
        }
    }

    fn redirect(&mut self, redirect: &Redirect) {
        self.field(
            "response_code",
            matches!(redirect.status, 301 | 302 | 303 | 307 | 308),
            "the status must be 301, 302, 303, 307 or 308",
        );
        self.field(
            "host_redirect",
            redirect.host.as_deref().is_none_or(is_authority),
            "this is no host and port (RFC 3986 section 3.2)",
        );
        self.field(
            "scheme_redirect",
            redirect.scheme.as_deref().is_none_or(is_scheme),
            "this is no scheme (RFC 3986 section 3.1)",
        );
        match &redirect.path {
            RedirectPath::Keep => {}
            RedirectPath::Replace(path) => self.field(
                "path_redirect",
                is_visible(path),
                "only visible ASCII bytes may be in a path; percent-encode the others",
            ),
            RedirectPath::Rewrite(rewrite) => self.path_rewrite(rewrite),
        }
    }

    fn path_rewrite(&mut self, rewrite: &PathRewrite) {
        match rewrite {
            PathRewrite::Keep => {}
            PathRewrite::Prefix(prefix) => self.field(
                "prefix_rewrite",
                is_visible(prefix),
                "only visible ASCII bytes may be in a path; percent-encode the others",
            ),
            PathRewrite::Regex {
                pattern,
                substitution,
            } => self.substitution("regex_rewrite", pattern, substitution),
        }
    }

    fn substitution(&mut self, name: &str, pattern: &Regex, substitution: &str) {
        self.within(format_args!("{name}.substitution"), |check| {
            if let Err(reason) = check_substitution(pattern, substitution) {
                let path = check.path.clone();
                check.errors.push(RouteError::new(path, &reason));
            }
        });
    }

    fn changes(&mut self, changes: &HeaderChanges) {
        self.edits("request", &changes.request);
        self.edits("response", &changes.response);
    }

    fn edits(&mut self, side: &str, edits: &HeaderEdits) {
        let to_add = format!("{side}_headers_to_add");
        let to_remove = format!("{side}_headers_to_remove");
        let reason = format!("at most {EDITS_PER_LEVEL_MAX} changes are allowed here");
        self.field(&to_add, edits.add.len() <= EDITS_PER_LEVEL_MAX, &reason);
        self.field(
            &to_remove,
            edits.remove.len() <= EDITS_PER_LEVEL_MAX,
            &reason,
        );
        let added = edits.add.iter().map(|addition| &addition.name);
        for (list, index, name) in added
            .enumerate()
            .map(|(index, name)| (&to_add, index, name))
            .chain(
                edits
                    .remove
                    .iter()
                    .enumerate()
                    .map(|(index, name)| (&to_remove, index, name)),
            )
        {
            if let Err(reason) = check_name(name) {
                self.field(&format!("{list}[{index}]"), false, reason);
            }
        }
    }
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_authority(text: &str) -> bool {
    text.is_empty() || authority::check(text.as_bytes()).is_ok()
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// RFC 9110 section 5.1: a field name is a token.
fn check_name(name: &str) -> Result<(), &'static str> {
    if name.starts_with(':') || name == "host" {
        Err("pseudo-headers and host cannot be changed here; use host_rewrite_literal")
    } else if name.is_empty() || !name.bytes().all(is_token_byte) {
        Err("this is no header name (RFC 9110 section 5.1)")
    } else if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Err("the name must be in lower case")
    } else {
        Ok(())
    }
}

/// RE2 substitution: only `\0` to `\9` and `\\`, no group that the pattern does not have.
fn check_substitution(pattern: &Regex, substitution: &str) -> Result<(), String> {
    if !is_visible(substitution) {
        return Err("only visible ASCII bytes may be in it; percent-encode the others".into());
    }
    let mut bytes = substitution.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            continue;
        }
        match bytes.next() {
            Some(digit @ b'0'..=b'9') if usize::from(digit - b'0') >= pattern.captures_len() => {
                let (group, last) = (digit - b'0', pattern.captures_len() - 1);
                return Err(format!(
                    "\\{group} names a group that the pattern does not have (it has {last})"
                ));
            }
            Some(b'0'..=b'9' | b'\\') => {}
            _ => return Err("a backslash must be followed by a digit or a backslash".into()),
        }
    }
    Ok(())
}
