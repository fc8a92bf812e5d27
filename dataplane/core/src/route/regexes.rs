//! Many regular expressions with the same literal beginning, run over a path in one pass.

use regex::bytes::{RegexSet, RegexSetBuilder};

use crate::config::route::{PathMatch, Route};
use crate::limits::REGEX_SET_BYTES_MAX;

/// Expressions that are not put in a set when a larger one was above the limit.
const HALVED_MIN: usize = 16;

/// The expressions and the routes they belong to.
#[derive(Debug)]
pub(super) struct Regexes {
    sets: Vec<(RegexSet, Vec<u32>)>,
}

impl Regexes {
    /// Takes the routes with regular expressions out of `list`, if there are `set_min` or more.
    pub(super) fn split_off(list: &mut Vec<u32>, routes: &[Route], set_min: usize) -> Option<Self> {
        let is_regex = |index: u32| pattern(&routes[index as usize]).is_some();
        if list.iter().filter(|&&index| is_regex(index)).count() < set_min {
            return None;
        }
        let (with, without): (Vec<u32>, _) = list.iter().partition(|&&index| is_regex(index));
        let mut sets = Vec::new();
        let left = build(&with, routes, &mut sets);
        *list = without;
        list.extend(left);
        list.sort_unstable();
        Some(Self { sets })
    }

    /// Appends the routes whose expression matches. This allocates, as does every set of
    /// expressions.
    pub(super) fn collect(&self, path: &[u8], matched: &mut Vec<u32>) {
        for (set, routes) in &self.sets {
            matched.extend(set.matches(path).into_iter().map(|index| routes[index]));
        }
    }
}

/// Builds sets that stay below the limit, by halving; returns the routes that no set could take.
fn build(list: &[u32], routes: &[Route], sets: &mut Vec<(RegexSet, Vec<u32>)>) -> Vec<u32> {
    let patterns = list
        .iter()
        .filter_map(|&index| pattern(&routes[index as usize]));
    let set = RegexSetBuilder::new(patterns)
        .size_limit(REGEX_SET_BYTES_MAX)
        .dfa_size_limit(REGEX_SET_BYTES_MAX)
        .build();
    match set {
        Ok(set) => {
            sets.push((set, list.to_vec()));
            Vec::new()
        }
        Err(_) if list.len() < HALVED_MIN => list.to_vec(),
        Err(_) => {
            let (first, second) = list.split_at(list.len() / 2);
            let mut left = build(first, routes, sets);
            left.extend(build(second, routes, sets));
            left
        }
    }
}

fn pattern(route: &Route) -> Option<&str> {
    match &route.matcher.path {
        PathMatch::Regex(regex) => Some(regex.anchored()),
        _ => None,
    }
}
