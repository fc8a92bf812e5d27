//! What a table must find, written as the configuration reads: route by route, and for texts by way
//! of owned strings. Shares nothing with the code under test but the configuration.

use crate::chance::Chance;
use crate::config::route::*;
use crate::http::RequestHead;

/// Index of the first route that matches.
pub(super) fn first(routes: &[Route], request: &RequestHead, chance: &mut Chance) -> Option<u32> {
    let mut drawn = None;
    let found = routes.iter().position(|route| {
        let matcher = &route.matcher;
        path_matches(matcher, request)
            && matcher
                .headers
                .iter()
                .all(|header| header_matches(header, request))
            && matcher
                .query
                .iter()
                .all(|query| query_matches(query, request))
            && matcher.fraction.is_none_or(|fraction| {
                let value = *drawn.get_or_insert_with(|| chance.bits());
                value % u64::from(fraction.denominator) < u64::from(fraction.numerator)
            })
    });
    found.map(|index| index as u32)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn path_matches(matcher: &RouteMatch, request: &RequestHead) -> bool {
    let target = text(request.target());
    let path = target.split('?').next().unwrap();
    let fold = |text: &str| match matcher.case_sensitive {
        true => text.to_owned(),
        false => text.to_ascii_lowercase(),
    };
    match &matcher.path {
        PathMatch::Prefix(prefix) => fold(path).starts_with(&fold(prefix)),
        PathMatch::Exact(exact) => fold(path) == fold(exact),
        PathMatch::SegmentPrefix(prefix) => {
            fold(path) == fold(prefix) || fold(path).starts_with(&(fold(prefix) + "/"))
        }
        PathMatch::Regex(regex) => regex.is_match(path.as_bytes()),
    }
}

fn header_matches(header: &HeaderMatch, request: &RequestHead) -> bool {
    let mut values = match &*header.name {
        ":method" => vec![text(request.method_text())],
        ":path" => vec![text(request.target())],
        ":scheme" => vec![request.scheme().to_owned()],
        ":authority" | "host" => Some(text(request.authority()))
            .filter(|host| !host.is_empty())
            .into_iter()
            .collect(),
        name => {
            let fields = request
                .fields
                .iter()
                .filter(|(found, _)| *found == name.as_bytes());
            let mut values: Vec<_> = fields.map(|(_, value)| text(value)).collect();
            if values.len() > 1 {
                values.push(values.join(if name == "cookie" { "; " } else { "," }));
            }
            values
        }
    };
    if values.is_empty() && header.missing_is_empty {
        values.push(String::new());
    }
    match &header.test {
        ValueTest::Present(wanted) if values.is_empty() => *wanted == header.invert,
        _ if values.is_empty() => false,
        test => values.iter().any(|value| value_matches(test, value)) != header.invert,
    }
}

fn query_matches(query: &QueryMatch, request: &RequestHead) -> bool {
    let target = text(request.target());
    let pairs = target.split_once('?').map_or("", |(_, query)| query);
    let value = pairs.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (target.contains('?') && name == &*query.name).then_some(value)
    });
    match (&query.test, value) {
        (ValueTest::Present(wanted), value) => *wanted == value.is_some(),
        (_, None) => false,
        (test, Some(value)) => value_matches(test, value),
    }
}

fn value_matches(test: &ValueTest, value: &str) -> bool {
    let StringMatch {
        pattern,
        ignore_case,
    } = match test {
        ValueTest::Present(wanted) => return *wanted,
        ValueTest::Range { start, end } => {
            return value
                .trim()
                .parse::<i64>()
                .is_ok_and(|value| value >= *start && value < *end);
        }
        ValueTest::Text(text) => text,
    };
    let fold = |text: &str| match ignore_case {
        true => text.to_ascii_lowercase(),
        false => text.to_owned(),
    };
    let value_folded = fold(value);
    match pattern {
        Pattern::Exact(text) => value_folded == fold(text),
        Pattern::Prefix(text) => value_folded.starts_with(&fold(text)),
        Pattern::Suffix(text) => value_folded.ends_with(&fold(text)),
        Pattern::Contains(text) => value_folded.contains(&fold(text)),
        Pattern::Regex(regex) => regex.is_match(value.as_bytes()),
    }
}

/// Index of the virtual host, by trying every domain.
pub(super) fn host(domains: &[String], authority: &str) -> Option<usize> {
    let host = authority.to_ascii_lowercase();
    let longest = |fits: &dyn Fn(&str) -> bool| {
        let fitting = domains
            .iter()
            .enumerate()
            .filter(|(_, domain)| fits(&domain.to_lowercase()));
        fitting
            .max_by_key(|(_, domain)| domain.len())
            .map(|(index, _)| index)
    };
    let rest = |text: &str| !text.is_empty();
    longest(&|domain| domain == host && domain != "*" && !is_wild(domain))
        .or_else(|| {
            longest(&|domain| match domain.strip_prefix('*') {
                Some(suffix) if domain != "*" => host.strip_suffix(suffix).is_some_and(rest),
                _ => false,
            })
        })
        .or_else(|| {
            longest(&|domain| match domain.strip_suffix('*') {
                Some(prefix) if !domain.starts_with('*') => {
                    host.strip_prefix(prefix).is_some_and(rest)
                }
                _ => false,
            })
        })
        .or_else(|| longest(&|domain| domain == "*"))
}

fn is_wild(domain: &str) -> bool {
    domain.starts_with('*') || domain.ends_with('*')
}
