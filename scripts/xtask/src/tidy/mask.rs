//! Blanks comments and literals of Rust text, so that the rules see code only.
//!
//! Not a full lexer: it knows what can hide code (comments, strings, characters) and nothing else.
//! Line breaks stay where they are.

/// The text with every comment and the inside of every literal replaced by spaces.
pub(super) fn mask(text: &str) -> String {
    let mut masker = Masker {
        rest: text,
        out: String::with_capacity(text.len()),
    };
    while !masker.rest.is_empty() {
        masker.step();
    }
    masker.out
}

struct Masker<'a> {
    rest: &'a str,
    out: String,
}

impl Masker<'_> {
    fn step(&mut self) {
        if self.rest.starts_with("//") {
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.blank(end);
        } else if self.rest.starts_with("/*") {
            self.blank(block_comment(self.rest));
        } else if let Some((open, close)) = raw_string(self.rest) {
            self.keep(open);
            let end = self.rest.find(&close).unwrap_or(self.rest.len());
            self.blank(end);
            self.keep(close.len().min(self.rest.len()));
        } else if self.rest.starts_with('"') {
            self.keep(1);
            self.blank(quoted(self.rest));
            self.keep(1.min(self.rest.len()));
        } else if let Some(length) = character(self.rest) {
            self.blank(length);
        } else {
            self.word_or_sign();
        }
    }

    /// Keeps a whole word, so that the `r` of a name never opens a raw string.
    fn word_or_sign(&mut self) {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let word = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        let sign = self.rest.chars().next().map_or(0, char::len_utf8);
        self.keep(word.max(sign));
    }

    fn keep(&mut self, length: usize) {
        self.out.push_str(&self.rest[..length]);
        self.rest = &self.rest[length..];
    }

    fn blank(&mut self, length: usize) {
        let hidden = self.rest[..length].chars();
        self.out
            .extend(hidden.map(|c| if c == '\n' { c } else { ' ' }));
        self.rest = &self.rest[length..];
    }
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        match rest {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Length of the opening of a raw string, and what closes it.
fn raw_string(text: &str) -> Option<(usize, String)> {
    let prefix = ["br", "cr", "r"]
        .iter()
        .find(|prefix| text.starts_with(**prefix))?;
    let hashes = text[prefix.len()..]
        .bytes()
        .take_while(|&b| b == b'#')
        .count();
    let open = prefix.len() + hashes + 1;
    text[..].as_bytes().get(open - 1).filter(|&&b| b == b'"')?;
    Some((open, format!("\"{}", "#".repeat(hashes))))
}

/// Length of the inside of a string whose opening quote is gone.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !escaped => return at,
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// Length of a character literal; `None` for a lifetime.
fn character(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('\'')?;
    if let Some(escape) = rest.strip_prefix('\\') {
        let end = escape.get(1..)?.find('\'')?;
        return Some(end + 4);
    }
    let first = rest.chars().next()?.len_utf8();
    rest[first..].starts_with('\'').then_some(first + 2)
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[track_caller]
    fn check(input: &str, expect: &str) {
        assert_eq!(mask(input), expect);
    }

    #[test]
    fn code_stays_and_the_rest_goes() {
        check("a // b\nc", "a     \nc");
        check("a /* b /* c */ d */ e", "a                   e");
        check(r#"f("x\"y") g"#, r#"f("    ") g"#);
        check(r##"r#"a"b"# c"##, r##"r#"   "# c"##);
        check("'a' 'b: &'static '\\n' '\\''", "    'b: &'static          ");
        check("for r in r2 { }", "for r in r2 { }");
    }
}
