//! Matchers: texts, regular expressions, shares, header fields, query parameters.

use penstock_core::config::expression::{WholeRegex, anywhere};
use penstock_core::config::route::{
    Fraction, HeaderMatch, Pattern, QueryMatch, StringMatch, ValueTest,
};
use penstock_proto::envoy::config::core::v3::RuntimeFractionalPercent;
use penstock_proto::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use penstock_proto::envoy::config::route::v3::query_parameter_matcher::QueryParameterMatchSpecifier;
use penstock_proto::envoy::config::route::v3::{HeaderMatcher, QueryParameterMatcher};
use penstock_proto::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use penstock_proto::envoy::r#type::matcher::v3::{
    RegexMatchAndSubstitute, RegexMatcher, StringMatcher,
};
use penstock_proto::envoy::r#type::v3::fractional_percent::DenominatorType;
use regex::bytes::Regex;

use super::draft::Draft;

/// Stands where an expression was refused: it matches nothing.
const NEVER: &str = r"[^\s\S]";
const NEVER_IS_RIGHT: &str = "the expression is a constant";

impl Draft<'_> {
    pub(super) fn header_match(&mut self, matcher: &HeaderMatcher) -> HeaderMatch {
        let text = |pattern| {
            ValueTest::Text(StringMatch {
                pattern,
                ignore_case: false,
            })
        };
        let test = match &matcher.header_match_specifier {
            None => ValueTest::Present(true),
            Some(HeaderMatchSpecifier::PresentMatch(present)) => ValueTest::Present(*present),
            Some(HeaderMatchSpecifier::RangeMatch(range)) => {
                if range.start >= range.end {
                    self.warn(
                        "range_match",
                        "holds no number",
                        "write an end above the start",
                    );
                }
                ValueTest::Range {
                    start: range.start,
                    end: range.end,
                }
            }
            Some(HeaderMatchSpecifier::ExactMatch(exact)) => {
                text(Pattern::Exact((&**exact).into()))
            }
            Some(HeaderMatchSpecifier::PrefixMatch(part)) => {
                text(Pattern::Prefix((&**part).into()))
            }
            Some(HeaderMatchSpecifier::SuffixMatch(part)) => {
                text(Pattern::Suffix((&**part).into()))
            }
            Some(HeaderMatchSpecifier::ContainsMatch(part)) => {
                text(Pattern::Contains((&**part).into()))
            }
            Some(HeaderMatchSpecifier::SafeRegexMatch(regex)) => {
                text(Pattern::Regex(self.whole_regex("safe_regex_match", regex)))
            }
            Some(HeaderMatchSpecifier::StringMatch(matcher)) => {
                ValueTest::Text(self.string_match("string_match", matcher))
            }
        };
        HeaderMatch {
            name: matcher.name.to_ascii_lowercase().into(),
            test,
            invert: matcher.invert_match,
            missing_is_empty: matcher.treat_missing_header_as_empty,
        }
    }

    pub(super) fn query_match(&mut self, matcher: &QueryParameterMatcher) -> QueryMatch {
        let test = match &matcher.query_parameter_match_specifier {
            None => ValueTest::Present(true),
            Some(QueryParameterMatchSpecifier::PresentMatch(present)) => {
                ValueTest::Present(*present)
            }
            Some(QueryParameterMatchSpecifier::StringMatch(matcher)) => {
                ValueTest::Text(self.string_match("string_match", matcher))
            }
        };
        QueryMatch {
            name: matcher.name.as_str().into(),
            test,
        }
    }

    fn string_match(&mut self, field: &str, matcher: &StringMatcher) -> StringMatch {
        let text = |text: &str| -> Box<str> {
            if matcher.ignore_case {
                text.to_ascii_lowercase().into()
            } else {
                text.into()
            }
        };
        let pattern = self.field(field, |draft| match &matcher.match_pattern {
            None => {
                draft.error(
                    "",
                    "says nothing",
                    "write exact, prefix, suffix, contains or safe_regex",
                );
                Pattern::Exact("".into())
            }
            Some(MatchPattern::Exact(exact)) => Pattern::Exact(text(exact)),
            Some(MatchPattern::Prefix(part)) => Pattern::Prefix(text(part)),
            Some(MatchPattern::Suffix(part)) => Pattern::Suffix(text(part)),
            Some(MatchPattern::Contains(part)) => Pattern::Contains(text(part)),
            Some(MatchPattern::SafeRegex(regex)) => {
                Pattern::Regex(draft.whole_regex("safe_regex", regex))
            }
        });
        StringMatch {
            pattern,
            ignore_case: matcher.ignore_case,
        }
    }

    /// `runtime_fraction`: the runtime's value, or else the default.
    pub(super) fn fraction(&mut self, share: &RuntimeFractionalPercent) -> Fraction {
        let runtime = self.runtime.fraction(&share.runtime_key);
        let Some(default) = &share.default_value else {
            self.error(
                "default_value",
                "is missing",
                "write numerator and denominator",
            );
            return Fraction {
                numerator: 0,
                denominator: 100,
            };
        };
        let denominator = match default.denominator() {
            DenominatorType::Hundred => 100,
            DenominatorType::TenThousand => 10_000,
            DenominatorType::Million => 1_000_000,
        };
        let numerator = default.numerator.min(denominator);
        runtime.unwrap_or(Fraction {
            numerator,
            denominator,
        })
    }

    /// An expression that must match a whole value.
    pub(super) fn whole_regex(&mut self, field: &str, matcher: &RegexMatcher) -> WholeRegex {
        let found = self.field(field, |draft| {
            draft.regex(&matcher.regex, WholeRegex::parse)
        });
        found.unwrap_or_else(|| WholeRegex::parse(NEVER).expect(NEVER_IS_RIGHT))
    }

    /// Search and replace; what is wrong with the substitution is found when routes are compiled.
    pub(super) fn substitution(
        &mut self,
        field: &str,
        rewrite: &RegexMatchAndSubstitute,
    ) -> (Regex, Box<str>) {
        let found = self.field(field, |draft| match &rewrite.pattern {
            Some(matcher) => draft.field("pattern", |draft| draft.regex(&matcher.regex, anywhere)),
            None => {
                draft.error("pattern", "is missing", "write pattern with regex");
                None
            }
        });
        let pattern = found.unwrap_or_else(|| anywhere(NEVER).expect(NEVER_IS_RIGHT));
        (pattern, rewrite.substitution.as_str().into())
    }

    /// What `build` makes of the text; `None` if it was refused.
    fn regex<T>(
        &mut self,
        text: &str,
        build: impl FnOnce(&str) -> Result<T, regex::Error>,
    ) -> Option<T> {
        if text.is_empty() {
            self.error("regex", "is missing", "write an expression");
            return None;
        }
        let refuse = |error| {
            let reason = match error {
                regex::Error::CompiledTooBig(_) => "the expression is too large".to_owned(),
                error => last_line(&error.to_string()),
            };
            self.error("regex", reason, "write an expression in RE2 syntax");
        };
        build(text).map_err(refuse).ok()
    }
}

/// The library draws the place on several lines and says the reason on the last one.
fn last_line(text: &str) -> String {
    text.lines()
        .last()
        .unwrap_or(text)
        .trim_start_matches("error: ")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stand_in_matches_nothing() {
        let (whole, part) = (WholeRegex::parse(NEVER).unwrap(), anywhere(NEVER).unwrap());
        for value in [&b""[..], b"a", b"\xff"] {
            assert!(!whole.is_match(value) && !part.is_match(value));
        }
    }

    #[test]
    fn letters_are_ascii_as_in_re2() {
        let regex = WholeRegex::parse(r"\w+").expect("valid");
        assert!(regex.is_match(b"abc_1") && !regex.is_match("é".as_bytes()));
    }
}
