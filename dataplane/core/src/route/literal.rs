//! The literal text that every match of a whole expression begins with.
//!
//! It only narrows the search, so it may always be shorter than it could be: whatever is not
//! understood here ends it.

/// The literal beginning of a pattern; empty if there is none or if it is hard to tell.
pub(super) fn beginning(pattern: &str) -> String {
    // An alternative may have another beginning.
    if pattern.contains('|') {
        return String::new();
    }
    let mut literal = String::new();
    // The whole value must match anyway.
    let mut characters = pattern.strip_prefix('^').unwrap_or(pattern).chars();
    while let Some(character) = characters.next() {
        match character {
            '*' | '+' | '?' | '{' => {
                // It is about the character before, which may then be missing.
                literal.pop();
                break;
            }
            '\\' => match characters.next() {
                // These two are the edges of a word.
                None | Some('<' | '>') => break,
                Some(escaped) if escaped.is_ascii_punctuation() => literal.push(escaped),
                Some(_) => break,
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
            ("/api/v[0-9]+/x", "/api/v"),
            ("/a\\.b\\-c/.*", "/a.b-c/"),
            ("/ab?c", "/a"),
            ("/ab*", "/a"),
            ("/a\\.{2}", "/a"),
            ("/a\\d", "/a"),
            ("/a(b)c", "/a"),
            ("/a|/b", ""),
            ("(?:/a.)?(?:/b)", ""),
            ("(?:/a)?(?:/b)", ""),
            ("(?i)/a", ""),
            ("(?x) /a", ""),
            ("/a", "/a"),
            ("/gr\u{fc}+n", "/gr"),
            ("^/a.*$", "/a"),
            ("^*/a", ""),
            ("/a\\<b", "/a"),
            ("/a$", "/a"),
            ("^", ""),
            ("", ""),
        ] {
            assert_eq!(beginning(pattern), expect, "{pattern}");
        }
    }
}
