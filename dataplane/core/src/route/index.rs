//! Which routes of a virtual host may match, in the order of the configuration.
//!
//! Every route stands at one text: its path, its prefix, or the literal beginning of its regular
//! expression. One binary search finds all texts that the request's path begins with. Routes at the
//! same text are split by the values of the fields or query parameters that most of them ask for.
//! What is left of a request is a few ascending lists of routes, which are merged; each candidate's
//! conditions are then checked, so that the index can only leave out what cannot match.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::literal;
use super::matching::{header_value, is_repeated, query_value, single_values};
use super::regexes::Regexes;
use super::sorted::{Case, Sorted};
use crate::config::route::{PathMatch, Pattern, Route, RouteMatch, StringMatch, ValueTest};
use crate::http::RequestHead;

/// From how many routes on a list is worth more than itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Worth {
    /// Routes at one text that ask for the same key: they are split by its value.
    pub(super) split: usize,
    /// Regular expressions with the same beginning: they are run as a set.
    pub(super) set: usize,
}

impl Default for Worth {
    fn default() -> Self {
        Self { split: 8, set: 16 }
    }
}

/// Splits of one list, and splits of a part of a split: each costs a look-up per request.
const SPLITS_MAX: usize = 4;
const SPLIT_DEPTH_MAX: usize = 3;

/// The candidates of one virtual host.
#[derive(Debug)]
pub(super) struct Index {
    sensitive: Sorted<Place>,
    ignoring_case: Sorted<Place>,
}

/// The routes at one text.
#[derive(Debug, Default)]
struct Place {
    /// The path is the text.
    exact: Bucket,
    /// The path is the text, or goes on with a slash.
    segment: Bucket,
    /// The path begins with the text; also holds regular expressions.
    prefix: Bucket,
}

/// Routes with the same path condition.
#[derive(Debug, Default)]
struct Bucket {
    splits: Vec<Split>,
    regexes: Option<Regexes>,
    /// Ascending; ends with the first route that has no condition but the path.
    rest: Vec<u32>,
}

/// Routes that ask one key for an exact value, by that value.
#[derive(Debug)]
struct Split {
    key: Key,
    values: Sorted<Bucket>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Key {
    Header(Box<str>),
    Query(Box<str>),
}

/// Lists of routes at one text while the index is built.
#[derive(Default)]
struct Lists {
    exact: Vec<u32>,
    segment: Vec<u32>,
    prefix: Vec<u32>,
}

impl Index {
    /// Indexes the routes of a virtual host.
    pub(super) fn compile(routes: &[Route], worth: Worth) -> Self {
        let (mut sensitive, mut ignoring_case) = (BTreeMap::new(), BTreeMap::new());
        for (index, route) in routes.iter().enumerate() {
            let matcher = &route.matcher;
            let is_regex = matches!(matcher.path, PathMatch::Regex(_));
            let texts = match matcher.case_sensitive || is_regex {
                true => &mut sensitive,
                false => &mut ignoring_case,
            };
            place(matcher, index as u32, texts);
        }
        Self {
            sensitive: sort(Case::Sensitive, sensitive, (routes, worth)),
            ignoring_case: sort(Case::Ignored, ignoring_case, (routes, worth)),
        }
    }

    /// The candidates for a request, in ascending order.
    pub(super) fn candidates(&self, request: &RequestHead) -> Candidates<'_> {
        let mut candidates = Candidates::default();
        for texts in [&self.sensitive, &self.ignoring_case] {
            collect(texts, request, &mut candidates);
        }
        candidates.matched.sort_unstable();
        candidates
    }
}

fn place(matcher: &RouteMatch, index: u32, texts: &mut BTreeMap<Vec<u8>, Lists>) {
    let text = match &matcher.path {
        PathMatch::Prefix(text) | PathMatch::SegmentPrefix(text) | PathMatch::Exact(text) => {
            text.as_bytes().to_vec()
        }
        PathMatch::Regex(regex) => literal::beginning(regex.pattern()).into_bytes(),
    };
    let text = match (matcher.case_sensitive, &matcher.path) {
        (true, _) | (_, PathMatch::Regex(_)) => text,
        (false, _) => text.to_ascii_lowercase(),
    };
    let lists = texts.entry(text).or_default();
    match &matcher.path {
        PathMatch::Exact(_) => lists.exact.push(index),
        PathMatch::SegmentPrefix(_) => lists.segment.push(index),
        PathMatch::Prefix(_) | PathMatch::Regex(_) => lists.prefix.push(index),
    }
}

/// What the lists of a virtual host are built from: its routes, and how eagerly they are split.
type Source<'a> = (&'a [Route], Worth);

fn sort(case: Case, texts: BTreeMap<Vec<u8>, Lists>, source: Source<'_>) -> Sorted<Place> {
    let place = |lists: Lists| Place {
        exact: Bucket::build(lists.exact, source, &[]),
        segment: Bucket::build(lists.segment, source, &[]),
        prefix: Bucket::build(lists.prefix, source, &[]),
    };
    let texts = texts.into_iter().map(|(text, lists)| (text, place(lists)));
    Sorted::build(case, texts.collect())
}

fn collect<'t>(texts: &'t Sorted<Place>, request: &RequestHead, candidates: &mut Candidates<'t>) {
    let path = request.path();
    for (len, place) in texts.prefixes_of(path) {
        if len == path.len() {
            place.exact.collect(request, candidates);
        }
        if matches!(path.get(len), None | Some(b'/')) {
            place.segment.collect(request, candidates);
        }
        place.prefix.collect(request, candidates);
    }
}

impl Bucket {
    /// `used` are the keys by which the list was split already.
    fn build(mut list: Vec<u32>, source: Source<'_>, used: &[Key]) -> Self {
        let (routes, worth) = source;
        let matcher = |index: u32| &routes[index as usize].matcher;
        // Nothing can get past a route without conditions.
        if let Some(last) = list
            .iter()
            .position(|&index| !is_conditional(matcher(index)))
        {
            list.truncate(last + 1);
        }
        let mut splits = Vec::new();
        while used.len() < SPLIT_DEPTH_MAX && splits.len() < SPLITS_MAX {
            let matchers = list.iter().map(|&index| matcher(index));
            let Some(key) = best_key(matchers, worth.split, used) else {
                break;
            };
            let (with, without) = list
                .into_iter()
                .partition(|&index| wanted(matcher(index), &key).is_some());
            list = without;
            splits.push(Split::build(key, with, source, used));
        }
        let regexes = Regexes::split_off(&mut list, routes, worth.set);
        Self {
            splits,
            regexes,
            rest: list,
        }
    }

    fn collect<'t>(&'t self, request: &RequestHead, candidates: &mut Candidates<'t>) {
        candidates.push(&self.rest);
        for split in &self.splits {
            split.collect(request, candidates);
        }
        if let Some(regexes) = &self.regexes {
            regexes.collect(request.path(), &mut candidates.matched);
        }
    }
}

impl Split {
    fn build(key: Key, list: Vec<u32>, source: Source<'_>, used: &[Key]) -> Self {
        let mut by_value: BTreeMap<Vec<u8>, Vec<u32>> = BTreeMap::new();
        for index in list {
            let value = wanted(&source.0[index as usize].matcher, &key).unwrap_or_default();
            by_value
                .entry(value.as_bytes().to_vec())
                .or_default()
                .push(index);
        }
        let used: Vec<Key> = used.iter().chain([&key]).cloned().collect();
        let values = by_value
            .into_iter()
            .map(|(value, list)| (value, Bucket::build(list, source, &used)));
        let values = Sorted::build(Case::Sensitive, values.collect());
        Self { key, values }
    }

    /// The parts for the value, and for each value of a repeated field (N06).
    fn collect<'t>(&'t self, request: &RequestHead, candidates: &mut Candidates<'t>) {
        let Some(value) = self.key.value(request) else {
            return;
        };
        let mut collect = |value: &[u8]| {
            if let Some(part) = self.values.value(value) {
                part.collect(request, candidates);
            }
        };
        collect(&value);
        if let Key::Header(name) = &self.key
            && is_repeated(&value)
        {
            single_values(request, name.as_bytes()).for_each(collect);
        }
    }
}

impl Key {
    fn value<'a>(&self, request: &'a RequestHead) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Header(name) => header_value(request, name.as_bytes()),
            Self::Query(name) => query_value(request, name.as_bytes()).map(Cow::Borrowed),
        }
    }
}

fn is_conditional(matcher: &RouteMatch) -> bool {
    matches!(matcher.path, PathMatch::Regex(_))
        || !matcher.headers.is_empty()
        || !matcher.query.is_empty()
        || matcher.fraction.is_some()
}

/// The keys that a route asks for an exact value which must be there, with that value.
fn keys(matcher: &RouteMatch) -> impl Iterator<Item = (Key, &str)> {
    let headers = matcher.headers.iter().filter(|header| {
        // A missing field is no value, so such a matcher has none to be found by.
        !header.invert && !header.missing_is_empty
    });
    let headers =
        headers.filter_map(|header| Some((Key::Header(header.name.clone()), exact(&header.test)?)));
    let query = matcher
        .query
        .iter()
        .filter_map(|query| Some((Key::Query(query.name.clone()), exact(&query.test)?)));
    headers.chain(query)
}

fn exact(test: &ValueTest) -> Option<&str> {
    match test {
        ValueTest::Text(StringMatch {
            pattern: Pattern::Exact(text),
            ignore_case: false,
        }) => Some(text),
        _ => None,
    }
}

/// The value that the route wants for a key.
fn wanted<'a>(matcher: &'a RouteMatch, key: &Key) -> Option<&'a str> {
    keys(matcher)
        .find(|(found, _)| found == key)
        .map(|(_, value)| value)
}

/// The key with the most different values among those that enough routes ask for.
fn best_key<'a>(
    matchers: impl Iterator<Item = &'a RouteMatch>,
    uses_min: usize,
    used: &[Key],
) -> Option<Key> {
    let mut uses: BTreeMap<Key, Vec<&str>> = BTreeMap::new();
    for (key, value) in matchers.flat_map(keys) {
        if !used.contains(&key) {
            uses.entry(key).or_default().push(value);
        }
    }
    uses.retain(|_, values| values.len() >= uses_min);
    let different = |(_, values): &(Key, Vec<&str>)| {
        let mut values = values.clone();
        values.sort_unstable();
        values.dedup();
        values.len()
    };
    uses.into_iter().max_by_key(different).map(|(key, _)| key)
}

/// Lists that are merged without an allocation; more are unusual.
const NEAR_MAX: usize = 16;

/// Several ascending lists of routes, merged.
#[derive(Default)]
pub(super) struct Candidates<'t> {
    near: [&'t [u32]; NEAR_MAX],
    near_len: usize,
    far: Vec<&'t [u32]>,
    /// From sets of regular expressions; ascending once all are there.
    matched: Vec<u32>,
    matched_taken: usize,
}

impl<'t> Candidates<'t> {
    fn push(&mut self, list: &'t [u32]) {
        if list.is_empty() {
            return;
        }
        match self.near.get_mut(self.near_len) {
            Some(free) => {
                *free = list;
                self.near_len += 1;
            }
            None => self.far.push(list),
        }
    }
}

impl Iterator for Candidates<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let near = self.near[..self.near_len].iter();
        let heads = near.chain(&self.far).filter_map(|list| list.first());
        let matched = self.matched.get(self.matched_taken);
        let next = heads.chain(matched).copied().min()?;
        let lists = self.near[..self.near_len].iter_mut().chain(&mut self.far);
        for list in lists {
            if let [first, rest @ ..] = *list
                && *first == next
            {
                *list = rest;
                return Some(next);
            }
        }
        self.matched_taken += 1;
        Some(next)
    }
}
