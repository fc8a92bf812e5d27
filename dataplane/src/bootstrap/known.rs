//! What Envoy's API has beyond what is served, and which name a misspelt one may have meant.

use std::collections::HashMap;
use std::sync::LazyLock;

use penstock_proto::prost_reflect::{EnumDescriptor, MessageDescriptor};

use super::node::camel_case;

/// Names by message, enum or `package …`.
static NAMES: LazyLock<HashMap<&str, Vec<&str>>> = LazyLock::new(|| {
    let lines = penstock_proto::ENVOY_NAMES.lines();
    lines
        .filter_map(|line| line.split_once(':'))
        .map(|(whole, names)| (whole, names.split_ascii_whitespace().collect()))
        .collect()
});

/// Whether Envoy has the field, given in either spelling.
pub(super) fn is_envoy_field(message: &MessageDescriptor, key: &str) -> bool {
    names(message.full_name())
        .iter()
        .any(|name| *name == key || camel_case(name) == key)
}

/// Whether Envoy has the enum value.
pub(super) fn is_envoy_value(kind: &EnumDescriptor, name: &str) -> bool {
    names(kind.full_name()).contains(&name)
}

/// Whether Envoy has an extension with options of this full name.
pub(super) fn is_envoy_extension(full_name: &str) -> bool {
    let Some((package, name)) = full_name.rsplit_once('.') else {
        return false;
    };
    names(&format!("package {package}")).contains(&name)
}

/// Whether leaving the field out would match more than was meant, or take protection away. Such a
/// field is an error even where unserved fields are allowed.
pub(super) fn guards(message: &MessageDescriptor, key: &str) -> bool {
    const MATCHERS: &[&str] = &[
        "FilterChainMatch",
        "HeaderMatcher",
        "QueryParameterMatcher",
        "RegexMatcher",
        "RouteMatch",
        "StringMatcher",
    ];
    const FIELDS: &[&str] = &[
        "filter_chain_matcher",
        "listener_filters",
        "matcher",
        "transport_socket",
        "transport_socket_matcher",
        "transport_socket_matches",
        "typed_per_filter_config",
    ];
    MATCHERS.contains(&message.name())
        || FIELDS
            .iter()
            .any(|name| *name == key || camel_case(name) == key)
}

fn names(whole: &str) -> &'static [&'static str] {
    NAMES.get(whole).map_or(&[], Vec::as_slice)
}

/// The candidate that a misspelt name is nearest to, if any is near.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    const CHARS_MAX: usize = 120;
    if name.len() > CHARS_MAX {
        return None;
    }
    let allowed = (name.len() / 4).clamp(1, 3);
    candidates
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(far, _)| *far <= allowed)
        .min_by_key(|(far, _)| *far)
        .map(|(_, candidate)| candidate)
}

/// Letters to add, drop, change or swap with their neighbour (optimal string alignment); bytes are
/// compared, which is exact for names.
fn distance(left: &str, right: &str) -> usize {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for i in 1..=left.len() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i);
        for j in 1..=right.len() {
            let changed = row[j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut least = changed.min(row[j] + 1).min(next[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        let check = |name: &str, expected: Option<&str>| {
            let candidates = ["clusters", "listeners", "name", "address"];
            assert_eq!(nearest(name, candidates.into_iter()), expected, "{name}");
        };
        check("cluster", Some("clusters"));
        check("listneers", Some("listeners"));
        check("nmae", Some("name"));
        check("adress", Some("address"));
        check("routes", None);
        check("x", None);
    }
}
