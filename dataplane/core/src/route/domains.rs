//! Authority to virtual host: exact, then the longest suffix, then the longest prefix, then `*`.

use std::collections::BTreeMap;

use super::sorted::{Case, Sorted};
use super::{HostIndex, RouteError};
use crate::config::route::VirtualHost;
use crate::http::authority as parts;

/// Longest authority that is turned round without an allocation; names end at 253 bytes (RFC 1035).
const STACK_BYTES: usize = 272;

/// The domains of all virtual hosts.
#[derive(Debug, Default)]
pub(super) struct Domains {
    exact: Sorted<HostIndex>,
    /// Of `*suffix`, read from the end.
    suffixes: Sorted<HostIndex>,
    /// Of `prefix*`.
    prefixes: Sorted<HostIndex>,
    any: Option<HostIndex>,
}

impl Domains {
    /// Collects the domains; repeated and empty ones are errors.
    pub(super) fn compile(hosts: &[VirtualHost], errors: &mut Vec<RouteError>) -> Self {
        let mut seen = BTreeMap::new();
        for (host_index, host) in hosts.iter().enumerate() {
            for (domain_index, domain) in host.domains.iter().enumerate() {
                let path = format!("virtual_hosts[{host_index}].domains[{domain_index}]");
                if domain.is_empty() {
                    errors.push(RouteError::new(path, "a domain must not be empty"));
                    continue;
                }
                let key = domain.to_ascii_lowercase();
                if let Some(first) = seen.insert(key, (HostIndex(host_index as u32), path.clone()))
                {
                    let reason = format!("the domain {domain:?} already stands at {}", first.1);
                    errors.push(RouteError::new(path, &reason));
                }
            }
        }
        Self::sort(seen.into_iter().map(|(domain, (host, _))| (domain, host)))
    }

    fn sort(domains: impl Iterator<Item = (String, HostIndex)>) -> Self {
        let mut any = None;
        let (mut exact, mut suffixes, mut prefixes) =
            (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (domain, host) in domains {
            if domain == "*" {
                any = Some(host);
            } else if let Some(suffix) = domain.strip_prefix('*') {
                suffixes.insert(suffix.bytes().rev().collect(), host);
            } else if let Some(prefix) = domain.strip_suffix('*') {
                prefixes.insert(prefix.as_bytes().to_vec(), host);
            } else {
                exact.insert(domain.into_bytes(), host);
            }
        }
        Self {
            exact: Sorted::build(Case::Ignored, exact),
            suffixes: Sorted::build(Case::Ignored, suffixes),
            prefixes: Sorted::build(Case::Ignored, prefixes),
            any,
        }
    }

    /// The virtual host for an authority.
    pub(super) fn find(&self, authority: &[u8], ignore_port: bool) -> Option<HostIndex> {
        let host = if ignore_port {
            parts::host(authority)
        } else {
            authority
        };
        let exact = self.exact.value(host).copied();
        exact
            .or_else(|| self.by_suffix(host))
            .or_else(|| longest(&self.prefixes, host))
            .or(self.any)
    }

    fn by_suffix(&self, host: &[u8]) -> Option<HostIndex> {
        if self.suffixes.is_empty() {
            return None;
        }
        let mut stack = [0; STACK_BYTES];
        if let Some(reversed) = stack.get_mut(..host.len()) {
            reversed.copy_from_slice(host);
            reversed.reverse();
            return longest(&self.suffixes, reversed);
        }
        let reversed: Vec<u8> = host.iter().rev().copied().collect();
        longest(&self.suffixes, &reversed)
    }
}

/// The longest member; the `*` stands for at least one byte.
fn longest(members: &Sorted<HostIndex>, text: &[u8]) -> Option<HostIndex> {
    let mut found = members.prefixes_of(text);
    found
        .find(|(len, _)| *len < text.len())
        .map(|(_, host)| *host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domains(list: &[&str]) -> (Domains, Vec<RouteError>) {
        let hosts: Vec<_> = list
            .iter()
            .map(|domain| VirtualHost {
                domains: vec![(*domain).into()],
                ..VirtualHost::default()
            })
            .collect();
        let mut errors = Vec::new();
        (Domains::compile(&hosts, &mut errors), errors)
    }

    fn check(list: &[&str], authority: &str, ignore_port: bool, expect: Option<&str>) {
        let (domains, errors) = domains(list);
        assert_eq!(errors, []);
        let found = domains.find(authority.as_bytes(), ignore_port);
        assert_eq!(
            found.map(|host| list[host.0 as usize]),
            expect,
            "{authority}"
        );
    }

    #[test]
    fn exact_then_suffix_then_prefix_then_any() {
        let list = [
            "*",
            "a.com",
            "*.com",
            "*.b.com",
            "*-x.b.com",
            "a.*",
            "a.b.*",
            "a.com:8080",
            "[::1]",
        ];
        for (authority, expect) in [
            ("a.com", "a.com"),
            ("A.COM", "a.com"),
            ("b.com", "*.com"),
            ("c.b.com", "*.b.com"),
            ("C.B.com", "*.b.com"),
            ("c-x.b.com", "*-x.b.com"),
            ("-x.b.com", "*.b.com"),
            ("a.org", "a.*"),
            ("a.b.org", "a.b.*"),
            ("a.b.", "a.*"),
            ("a.", "*"),
            (".com", "*"),
            ("a.com:8080", "a.com:8080"),
            ("a.com:80", "a.*"),
            ("", "*"),
            ("[::1]", "[::1]"),
        ] {
            check(&list, authority, false, Some(expect));
        }
        let long = format!("{}.com", "x".repeat(400));
        check(&list, &long, false, Some("*.com"));
        check(&list[1..], "c.net", false, None);
        check(&list, "a.com:80", true, Some("a.com"));
        check(&list, "a.com:8080", true, Some("a.com"));
        check(&list, "[::1]:80", true, Some("[::1]"));
        check(&list, "[::1]", true, Some("[::1]"));
    }

    #[test]
    fn repeated_domains_name_both_places() {
        let (_, errors) = domains(&["a.com", "A.com", ""]);
        let text: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            text,
            [
                "virtual_hosts[1].domains[0]: the domain \"A.com\" already stands at \
                 virtual_hosts[0].domains[0]",
                "virtual_hosts[2].domains[0]: a domain must not be empty",
            ]
        );
    }
}
