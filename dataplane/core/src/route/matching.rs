//! Whether one route takes a request: the meaning of every matcher, without any index.

use std::borrow::Cow;

use crate::chance::Chance;
use crate::config::route::{
    Fraction, HeaderMatch, PathMatch, Pattern, QueryMatch, RouteMatch, StringMatch, ValueTest,
};
use crate::http::RequestHead;

/// One random number per request, drawn when the first fraction is asked. All fractions of a
/// request see the same number, as in Envoy: two routes of 50 % with the same conditions never
/// share the traffic.
pub(super) struct Dice<'a> {
    chance: &'a mut Chance,
    value: Option<u64>,
}

impl<'a> Dice<'a> {
    pub(super) fn new(chance: &'a mut Chance) -> Self {
        Self {
            chance,
            value: None,
        }
    }

    fn falls_into(&mut self, fraction: Fraction) -> bool {
        let value = *self.value.get_or_insert_with(|| self.chance.bits());
        value % u64::from(fraction.denominator.max(1)) < u64::from(fraction.numerator)
    }
}

/// Does a route that the index offers match? Only regular expressions still have to look at the
/// path. The fraction is asked last.
pub(super) fn candidate(matcher: &RouteMatch, request: &RequestHead, dice: &mut Dice<'_>) -> bool {
    let path_matches = match &matcher.path {
        PathMatch::Regex(regex) => regex.is_match(request.path()),
        PathMatch::Prefix(_) | PathMatch::SegmentPrefix(_) | PathMatch::Exact(_) => true,
    };
    path_matches
        && matcher.headers.iter().all(|header| field(header, request))
        && matcher
            .query
            .iter()
            .all(|parameter| query(parameter, request))
        && matcher.fraction.is_none_or(|part| dice.falls_into(part))
}

/// `HeaderMatcher`. A missing field fails every test but [`ValueTest::Present`], inverted or not.
///
/// N06: a repeated field holds if the list or any one of its values does, so that nobody gets past
/// a matcher, or past an inverted one, by a second field of that name.
fn field(header: &HeaderMatch, request: &RequestHead) -> bool {
    let value = match header_value(request, header.name.as_bytes()) {
        Some(value) => value,
        None if header.missing_is_empty => Cow::Borrowed(&b""[..]),
        None => return matches!(header.test, ValueTest::Present(wanted) if wanted == header.invert),
    };
    let held = holds(&header.test, &value)
        || is_repeated(&value)
            && single_values(request, header.name.as_bytes())
                .any(|value| holds(&header.test, value));
    held != header.invert
}

/// `QueryParameterMatcher`. The first parameter of that name counts, without percent-decoding.
fn query(matcher: &QueryMatch, request: &RequestHead) -> bool {
    let value = query_value(request, matcher.name.as_bytes());
    match (&matcher.test, value) {
        (ValueTest::Present(wanted), value) => value.is_some() == *wanted,
        (test, Some(value)) => holds(test, value),
        (_, None) => false,
    }
}

/// The value that a header matcher of this name sees: pseudo-headers, or all fields of that name
/// joined with commas (RFC 9110 section 5.3; cookies with semicolons, RFC 9113 section 8.2.3).
pub(super) fn header_value<'a>(request: &'a RequestHead, name: &[u8]) -> Option<Cow<'a, [u8]>> {
    match name {
        b":method" => Some(request.method_text().into()),
        b":path" => Some(request.target().into()),
        b":scheme" => Some(request.scheme().as_bytes().into()),
        b":authority" | b"host" => {
            let authority = request.authority();
            (!authority.is_empty()).then(|| authority.into())
        }
        _ => joined(request.fields.values_by_name(name), separator(name)),
    }
}

/// Whether a [`header_value`] stands for several fields: only what had to be joined is not
/// borrowed.
#[allow(clippy::ptr_arg, reason = "whether it is borrowed is the question")]
pub(super) fn is_repeated(value: &Cow<'_, [u8]>) -> bool {
    matches!(value, Cow::Owned(_))
}

/// Each value of a field by itself, once.
pub(super) fn single_values<'a>(
    request: &'a RequestHead,
    name: &'a [u8],
) -> impl Iterator<Item = &'a [u8]> {
    let values = move || request.fields.values_by_name(name);
    values()
        .enumerate()
        .filter(move |(index, value)| !values().take(*index).any(|earlier| earlier == *value))
        .map(|(_, value)| value)
}

fn separator(name: &[u8]) -> &'static [u8] {
    if name == b"cookie" { b"; " } else { b"," }
}

fn joined<'a>(
    mut values: impl Iterator<Item = &'a [u8]>,
    separator: &[u8],
) -> Option<Cow<'a, [u8]>> {
    let mut all = Cow::Borrowed(values.next()?);
    for value in values {
        let all = all.to_mut();
        all.extend_from_slice(separator);
        all.extend_from_slice(value);
    }
    Some(all)
}

/// The first query parameter of this name; without `=` its value is empty.
pub(super) fn query_value<'a>(request: &'a RequestHead, name: &[u8]) -> Option<&'a [u8]> {
    request
        .query()?
        .split(|&byte| byte == b'&')
        .find_map(|part| {
            let end = part.iter().position(|&byte| byte == b'=');
            let (key, value) = part.split_at(end.unwrap_or(part.len()));
            (key == name).then(|| value.get(1..).unwrap_or_default())
        })
}

fn holds(test: &ValueTest, value: &[u8]) -> bool {
    match test {
        ValueTest::Present(wanted) => *wanted,
        ValueTest::Range { start, end } => {
            integer(value).is_some_and(|number| (*start..*end).contains(&number))
        }
        ValueTest::Text(text) => text_matches(text, value),
    }
}

fn integer(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value.trim_ascii()).ok()?.parse().ok()
}

/// `StringMatcher`.
pub(crate) fn text_matches(text: &StringMatch, value: &[u8]) -> bool {
    let ignore_case = text.ignore_case;
    match &text.pattern {
        Pattern::Exact(exact) => equal(value, exact.as_bytes(), ignore_case),
        Pattern::Prefix(prefix) => starts_with(value, prefix.as_bytes(), ignore_case),
        Pattern::Suffix(suffix) => ends_with(value, suffix.as_bytes(), ignore_case),
        Pattern::Contains(part) => contains(value, part.as_bytes(), ignore_case),
        Pattern::Regex(regex) => regex.is_match(value),
    }
}

fn equal(value: &[u8], wanted: &[u8], ignore_case: bool) -> bool {
    if ignore_case {
        value.eq_ignore_ascii_case(wanted)
    } else {
        value == wanted
    }
}

fn starts_with(value: &[u8], prefix: &[u8], ignore_case: bool) -> bool {
    let start = value.get(..prefix.len());
    start.is_some_and(|start| equal(start, prefix, ignore_case))
}

fn ends_with(value: &[u8], suffix: &[u8], ignore_case: bool) -> bool {
    let start = value.len().checked_sub(suffix.len());
    start.is_some_and(|start| equal(&value[start..], suffix, ignore_case))
}

fn contains(value: &[u8], part: &[u8], ignore_case: bool) -> bool {
    part.is_empty()
        || value
            .windows(part.len())
            .any(|window| equal(window, part, ignore_case))
}
