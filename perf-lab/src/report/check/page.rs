//! A page must open where there is no network.

use super::{Faults, Rule};

/// Beginnings of what a browser would fetch or run.
const FETCHED: [&str; 7] = [
    "<script",
    "<link",
    "<iframe",
    "src=",
    "@import",
    "url(",
    "href=\"http",
];

pub(super) fn check(text: &str) -> Faults {
    let mut faults = Faults::new();
    if !text.trim_end().ends_with("</html>") {
        faults.push((Rule::Form, "the page has no end".to_owned()));
    }
    let found = FETCHED.iter().filter(|mark| text.contains(**mark));
    faults.extend(found.map(|mark| (Rule::Page, format!("it holds `{mark}`"))));
    faults
}
