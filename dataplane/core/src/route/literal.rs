//! The literal text that every match of an anchored regular expression begins with.
//!
//! It only narrows the search, so it may always be shorter than it could be: whatever is not
//! understood here ends it.

use regex::bytes::Regex;

/// The literal beginning of a pattern; empty if there is none or if it is hard to tell.
pub(super) fn beginning(pattern: &str) -> String {
    // An alternative may have another beginning.
    if pattern.contains('|') {
        return String::new();
    }
    match without_anchor(pattern) {
        Some(pattern) => leading_literal(pattern),
        None => String::new(),
    }
}

/// Without `^`, or without `^(?:` and `)$` if these belong together: what is between is then a
/// pattern of its own.
fn without_anchor(pattern: &str) -> Option<&str> {
    let pattern = pattern.strip_prefix('^')?;
    let inside = pattern
        .strip_prefix("(?:")
        .and_then(|inside| inside.strip_suffix(")$"));
    match inside {
        Some(inside) => Regex::new(inside).is_ok().then_some(inside),
        None => Some(pattern),
    }
}

fn leading_literal(pattern: &str) -> String {
    let mut literal = String::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '*' | '+' | '?' | '{' => {
                // It is about the character before, which may then be missing.
                literal.pop();
                break;
            }
            '\\' => match characters.next() {
                Some(escaped) if escaped.is_ascii_punctuation() => literal.push(escaped),
                _ => break,
            },
            '.' | '(' | ')' | '[' | ']' | '}' | '^' | '$' => break,
            plain => literal.push(plain),
        }
    }
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings() {
        for (pattern, expect) in [
            ("^(?:/api/v[0-9]+/x)$", "/api/v"),
            ("^(?:/a\\.b\\-c/.*)$", "/a.b-c/"),
            ("^(?:/ab?c)$", "/a"),
            ("^(?:/ab*)$", "/a"),
            ("^(?:/a\\.{2})$", "/a"),
            ("^(?:/a\\d)$", "/a"),
            ("^(?:/a(b)c)$", "/a"),
            ("^(?:/a|/b)$", ""),
            ("^(?:/a.)?(?:/b)$", ""),
            ("^(?:/a)?(?:/b)$", ""),
            ("^(?:(?i)/a)$", ""),
            ("^(?:(?x) /a)$", ""),
            ("^(?:/a)$", "/a"),
            ("^(?:/gr\u{fc}+n)$", "/gr"),
            ("^/a.*$", "/a"),
            ("/a", ""),
            ("^", ""),
            ("", ""),
        ] {
            assert_eq!(beginning(pattern), expect, "{pattern}");
        }
    }
}
