//! Rules about Rust code: the header of a file, names, leftovers, reasons.

use super::Finding;
use super::tree::{File, Tree};

/// Words that say nothing, in names of files and items. The glossary has better ones.
const BANNED: &[&str] = &[
    "session", "context", "manager", "handler", "peer", "target", "util", "inner",
];

/// Where a banned word is the right one: beginning of the path, word, reason.
const ALLOWED: &[(&str, &str, &str)] = &[
    (
        "dataplane/",
        "target",
        "RFC 9112 section 3.2: request target",
    ),
    (
        "perf-lab/",
        "target",
        "RFC 9112 section 3.2: request target",
    ),
];

/// Marks of unfinished work. Split, so that this file does not match.
const LEFTOVERS: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("#[ig", "nore"),
];

/// Keywords in front of a name that somebody chose.
const DEFINING: &[&str] = &[
    "fn",
    "struct",
    "enum",
    "trait",
    "type",
    "mod",
    "union",
    "macro_rules",
];

pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    for file in tree.rust() {
        header(file, findings);
        file_name(file, findings);
        item_names(file, findings);
        leftovers(file, findings);
        reasons(file, findings);
    }
}

fn header(file: &File, findings: &mut Vec<Finding>) {
    if !file.text.starts_with("//! ") {
        let what = "open the file with `//!`: what it is, what it is not, where on the path";
        findings.push(Finding::new(&file.path, 1, what));
    }
}

fn file_name(file: &File, findings: &mut Vec<Finding>) {
    let name = file.path.rsplit('/').next().unwrap_or(&file.path);
    if name == "mod.rs" {
        let what = "`name.rs` beside `name/` instead of `mod.rs`";
        findings.push(Finding::new(&file.path, 1, what));
    }
    name_finding(file, 1, name.trim_end_matches(".rs"), findings);
}

fn item_names(file: &File, findings: &mut Vec<Finding>) {
    for (index, line) in file.code.lines().enumerate() {
        for name in defined(line) {
            name_finding(file, index + 1, name, findings);
        }
    }
}

fn name_finding(file: &File, line: usize, name: &str, findings: &mut Vec<Finding>) {
    let word = words(name).into_iter().find(|word| is_banned(file, word));
    if let Some(word) = word {
        let what = format!("`{name}`: `{word}` is not used in names; see the glossary");
        findings.push(Finding::new(&file.path, line, what));
    }
}

fn is_banned(file: &File, word: &str) -> bool {
    let allowed = |(path, allowed, _): &(&str, &str, &str)| {
        file.path.starts_with(path) && word.trim_end_matches('s') == *allowed
    };
    BANNED.contains(&word.trim_end_matches('s')) && !ALLOWED.iter().any(allowed)
}

/// Names defined on a line of code. `type Target` of `Deref` has no other choice.
fn defined(line: &str) -> Vec<&str> {
    let tokens: Vec<&str> = line
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|token| !token.is_empty())
        .collect();
    let pairs = tokens.windows(2);
    pairs
        .filter(|pair| DEFINING.contains(&pair[0]) && *pair != ["type", "Target"])
        .map(|pair| pair[1])
        .collect()
}

/// The words of a name in snake or camel case, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if c == '_' || c == '-' || c.is_uppercase() {
            words.push(String::new());
        }
        if c != '_' && c != '-' {
            let word = words.last_mut().expect("starts with one word");
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn leftovers(file: &File, findings: &mut Vec<Finding>) {
    for (index, line) in file.text.lines().enumerate() {
        if let Some(mark) = LEFTOVERS.iter().find(|mark| has_mark(line, mark)) {
            let what = format!("`{mark}`: finish it or open an issue");
            findings.push(Finding::new(&file.path, index + 1, what));
        }
    }
}

/// Marks count as whole words only.
fn has_mark(line: &str, mark: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(mark).any(|(at, _)| {
        let ends_open = mark.ends_with('(') || mark.starts_with('#');
        let after = line[at + mark.len()..].chars().next();
        !is_word(line[..at].chars().next_back()) && (ends_open || !is_word(after))
    })
}

fn reasons(file: &File, findings: &mut Vec<Finding>) {
    for opening in ["[allow(", "[expect("] {
        for (at, _) in file.code.match_indices(opening) {
            let end = file.code[at..]
                .find(']')
                .map_or(file.code.len(), |end| at + end);
            if !file.code[at..end].contains("reason") {
                let line = file.code[..at].lines().count();
                let what = format!("`#{opening}` without `reason = \"...\"`");
                findings.push(Finding::new(&file.path, line, what));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{defined, has_mark, words};

    #[test]
    fn names_are_found_and_split() {
        assert_eq!(defined("pub(crate) fn read_head(x: u8) {"), ["read_head"]);
        assert_eq!(defined("type Target = [u8];"), [""; 0]);
        assert_eq!(words("HttpHandler"), ["http", "handler"]);
        assert_eq!(words("peer_address"), ["peer", "address"]);
    }

    #[test]
    fn marks_are_whole_words() {
        assert!(has_mark("// ABC: later", "ABC"));
        assert!(!has_mark("ABCD", "ABC"));
        assert!(has_mark("    later!(1)", "later!("));
    }
}
