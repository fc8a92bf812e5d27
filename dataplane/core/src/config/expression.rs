//! Regular expressions of a configuration: RE2's meaning, bounded size (O03), linear time.
//!
//! They are compiled when a configuration is made and never on the path.

use regex::bytes::{Regex, RegexBuilder};

use crate::limits::REGEX_BYTES_MAX;

/// An expression that must match a value as a whole.
///
/// Its flags are in its text, so that the route table can compile that text again, with others.
#[derive(Clone, Debug)]
pub struct WholeRegex {
    pattern: Box<str>,
    regex: Regex,
}

impl WholeRegex {
    /// Compiles a pattern as configured, without anchors.
    pub fn parse(pattern: &str) -> Result<Self, regex::Error> {
        // By itself first: parentheses around it must not make sense of `a)|(b`.
        anywhere(pattern)?;
        let regex = build(&format!(r"\A(?-u:{pattern})\z"), true)
            .or_else(|_| build(&format!(r"\A(?:{pattern})\z"), true))?;
        Ok(Self {
            pattern: pattern.into(),
            regex,
        })
    }

    /// True if the expression matches all of `value`.
    #[inline]
    pub fn is_match(&self, value: &[u8]) -> bool {
        self.regex.is_match(value)
    }

    /// The pattern as configured.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The pattern with its anchors and flags.
    pub fn anchored(&self) -> &str {
        self.regex.as_str()
    }
}

/// Compiles an expression that may match anywhere in a value, as rewrites use it.
///
/// RE2's letters and digits are those of ASCII, so that form is tried first; classes such as `\pL`
/// need the other one.
pub fn anywhere(pattern: &str) -> Result<Regex, regex::Error> {
    build(pattern, false).or_else(|_| build(pattern, true))
}

fn build(text: &str, unicode: bool) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text)
        .unicode(unicode)
        .size_limit(REGEX_BYTES_MAX)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, value: &[u8], expect: bool) {
        let regex = WholeRegex::parse(pattern).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(regex.is_match(value), expect, "{pattern} {value:?}");
        let again = Regex::new(regex.anchored()).unwrap();
        assert_eq!(
            again.is_match(value),
            expect,
            "{pattern} {value:?}, compiled again"
        );
    }

    #[test]
    fn whole_values_match() {
        check("a|bc", b"a", true);
        check("a|bc", b"bc", true);
        check("a|bc", b"ac", false);
        check("a$", b"a\n", false);
        check("(?i)ab", b"AB", true);
        check(r"\d", "\u{663}".as_bytes(), false);
        check(r"\w", "\u{fc}".as_bytes(), false);
        check(r"\pL", "\u{fc}".as_bytes(), true);
        check("[^a]", b"\xff", true);
        check("/\u{fc}+", "/\u{fc}\u{fc}".as_bytes(), true);
        check("(?x) a b # c\n", b"ab", true);
    }

    #[test]
    fn what_is_no_expression_stays_none() {
        for pattern in ["a)|(b", "a)(?:b", "(", "a{10}{100}{1000}", "a**(", r"\8"] {
            assert!(WholeRegex::parse(pattern).is_err(), "{pattern}");
        }
    }
}
