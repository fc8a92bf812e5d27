//! Path normalization (N01, N02), done once before anything looks at the path.
//!
//! Escaped slashes first, then percent-decoding of unreserved characters and dot segments, then
//! merging of slashes. The query is never touched. What comes out is a fixed point: normalizing
//! it again changes nothing, so no component behind sees another path by doing the same.

use super::Refusal;

/// `path_with_escaped_slashes_action`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum EscapedSlashes {
    /// Left as they are.
    Keep,
    /// 400. The meaning of IMPLEMENTATION_SPECIFIC_DEFAULT here.
    #[default]
    Reject,
    /// Unescaped, and the client is redirected to the result.
    UnescapeAndRedirect,
    /// Unescaped and forwarded.
    UnescapeAndForward,
}

/// What is done to a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PathOptions {
    /// `normalize_path` (true).
    pub normalize: bool,
    /// `merge_slashes` (false).
    pub merge_slashes: bool,
    /// `path_with_escaped_slashes_action`.
    pub escaped_slashes: EscapedSlashes,
}

/// What became of a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathOutcome {
    /// It was normal already; nothing was written.
    Same,
    /// The new target was written.
    Changed,
    /// The new target was written, and the client is to be redirected to it.
    Redirect,
}

/// Normalizes a target in origin form; `*` and the empty target of CONNECT stay as they are.
/// Unless the outcome is [`PathOutcome::Same`], `out` holds the new target, which is never longer
/// than the old one.
///
/// # Errors
/// [`Refusal::Target`] for malformed escapes, `%00`, overlong UTF-8 and `..` above the root;
/// [`Refusal::EscapedSlash`] where those are rejected.
pub fn normalize(
    target: &[u8],
    options: &PathOptions,
    out: &mut Vec<u8>,
) -> Result<PathOutcome, Refusal> {
    let (path, is_plain) = split_path(target);
    if is_plain || !path.starts_with(b"/") {
        return Ok(PathOutcome::Same);
    }
    out.clear();
    let escaped_slash = write_unescaped(path, options, out)?;
    if options.normalize {
        remove_dot_segments(out)?;
    }
    if options.merge_slashes {
        out.dedup_by(|byte, before| *byte == b'/' && *before == b'/');
    }
    if out == path {
        return Ok(PathOutcome::Same);
    }
    let redirects = options.escaped_slashes == EscapedSlashes::UnescapeAndRedirect;
    let outcome = match escaped_slash && redirects {
        true => PathOutcome::Redirect,
        false => PathOutcome::Changed,
    };
    if outcome == PathOutcome::Redirect {
        keep_one_leading_slash(out);
    }
    out.extend_from_slice(&target[path.len()..]);
    Ok(outcome)
}

/// O08: `//host/` in a Location would lead the client to another host.
fn keep_one_leading_slash(path: &mut Vec<u8>) {
    let slashes = path.iter().take_while(|&&byte| byte == b'/').count();
    path.drain(1..slashes.max(1));
}

/// The path of a target, and whether it has nothing that any option could change or refuse.
fn split_path(target: &[u8]) -> (&[u8], bool) {
    let mut is_plain = true;
    let mut before = 0;
    for (at, &byte) in target.iter().enumerate() {
        match byte {
            b'?' => return (&target[..at], is_plain),
            b'%' => is_plain = false,
            b'/' | b'.' if before == b'/' => is_plain = false,
            _ => {}
        }
        before = byte;
    }
    (target, is_plain)
}

/// Checks all escapes and decodes those that `options` want decoded; true if a slash was among
/// them.
fn write_unescaped(path: &[u8], options: &PathOptions, out: &mut Vec<u8>) -> Result<bool, Refusal> {
    let mut unescaped_slash = false;
    let mut at = 0;
    while let Some(&byte) = path.get(at) {
        if byte != b'%' {
            out.push(byte);
            at += 1;
            continue;
        }
        let value = escape(path, at).ok_or(Refusal::Target)?;
        check_escape(value, escape(path, at + 3))?;
        let unescapes = matches!(
            options.escaped_slashes,
            EscapedSlashes::UnescapeAndForward | EscapedSlashes::UnescapeAndRedirect
        );
        match value {
            b'/' | b'\\' if options.escaped_slashes == EscapedSlashes::Reject => {
                return Err(Refusal::EscapedSlash);
            }
            // A backslash is a slash to whoever treats it specially at all.
            b'/' | b'\\' if unescapes => {
                unescaped_slash = true;
                out.push(b'/');
            }
            _ if options.normalize && is_unreserved(value) => out.push(value),
            _ if options.normalize => {
                out.extend(path[at..at + 3].iter().map(u8::to_ascii_uppercase));
            }
            _ => out.extend_from_slice(&path[at..at + 3]),
        }
        at += 3;
    }
    Ok(unescaped_slash)
}

/// The byte that `%XX` at `at` stands for.
fn escape(path: &[u8], at: usize) -> Option<u8> {
    let [b'%', high, low, ..] = *path.get(at..)? else {
        return None;
    };
    let digit = |byte: u8| (byte as char).to_digit(16);
    Some((digit(high)? << 4 | digit(low)?) as u8)
}

/// N02: NUL, and the starts of overlong UTF-8 sequences (RFC 3629 section 10), which a lenient
/// decoder behind us would read as another character. Other byte values are data, in whatever
/// encoding.
fn check_escape(value: u8, next: Option<u8>) -> Result<(), Refusal> {
    match (value, next) {
        (0 | 0xC0 | 0xC1, _)
        | (0xE0, Some(0x80..=0x9F))
        | (0xF0, Some(0x80..=0x8F))
        | (0xF8, Some(0x80..=0x87))
        | (0xFC, Some(0x80..=0x83)) => Err(Refusal::Target),
        _ => Ok(()),
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986 section 5.2.4, in place; a `..` above the root is refused instead of dropped.
fn remove_dot_segments(path: &mut Vec<u8>) -> Result<(), Refusal> {
    // `read` and `write` stand on the slash in front of a segment; `write` never overtakes `read`.
    let (mut read, mut write) = (0, 0);
    while read < path.len() {
        let end = next_slash(path, read + 1);
        let is_last = end == path.len();
        match &path[read + 1..end] {
            b"." => {}
            b".." => write = parent(&path[..write]).ok_or(Refusal::Target)?,
            _ => {
                path.copy_within(read..end, write);
                write += end - read;
                read = end;
                continue;
            }
        }
        if is_last {
            path[write] = b'/';
            write += 1;
        }
        read = end;
    }
    path.truncate(write);
    Ok(())
}

fn next_slash(path: &[u8], from: usize) -> usize {
    let rest = &path[from..];
    from + rest
        .iter()
        .position(|&byte| byte == b'/')
        .unwrap_or(rest.len())
}

/// Where the last segment of what was written starts.
fn parent(written: &[u8]) -> Option<usize> {
    written.iter().rposition(|&byte| byte == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: PathOptions = PathOptions {
        normalize: true,
        merge_slashes: false,
        escaped_slashes: EscapedSlashes::Reject,
    };

    fn run(target: &str, options: PathOptions) -> Result<(PathOutcome, String), Refusal> {
        let mut out = Vec::new();
        let outcome = normalize(target.as_bytes(), &options, &mut out)?;
        let text = match outcome {
            PathOutcome::Same => target.into(),
            _ => String::from_utf8(out).unwrap(),
        };
        Ok((outcome, text))
    }

    #[test]
    fn n01_segments_and_escapes() {
        for (target, expect) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a//b", "/a//b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/.", "/"),
            ("/a//../b", "/a/b"),
            ("//..", "/"),
            ("/...", "/..."),
            ("/.a/..b/c.", "/.a/..b/c."),
            ("/%2E%2e", ""),
            ("/a/%2E./b", "/b"),
            ("/%7Ea%62", "/~ab"),
            ("/%e2%82%ac", "/%E2%82%AC"),
            ("/%25%32%66", "/%252f"),
            ("/a?/../%zz", "/a?/../%zz"),
            ("*", "*"),
            ("", ""),
        ] {
            match run(target, USUAL) {
                Ok((outcome, text)) => {
                    assert_eq!(text, expect, "{target}");
                    assert_eq!(outcome == PathOutcome::Same, target == expect, "{target}");
                }
                Err(refusal) => {
                    assert_eq!((refusal, expect), (Refusal::Target, ""), "{target}");
                }
            }
        }
    }

    #[test]
    fn n01_nothing_above_the_root() {
        for target in ["/..", "/../", "/a/../..", "/./..", "/a/../../b"] {
            assert_eq!(run(target, USUAL), Err(Refusal::Target), "{target}");
        }
    }

    #[test]
    fn n02_malformed_escapes_are_refused_even_unnormalized() {
        let off = PathOptions {
            normalize: false,
            ..USUAL
        };
        for target in [
            "/%",
            "/%2",
            "/%g0",
            "/%0g",
            "/%00",
            "/%C0%AE",
            "/%c1%81",
            "/%e0%9f%bf",
            "/%f0%8f%80%80",
            "/%f8%87",
            "/%fc%83",
        ] {
            assert_eq!(run(target, off), Err(Refusal::Target), "{target}");
        }
        for target in ["/%e0%a0%80", "/%f0%90%80%80", "/%ff", "/%e9"] {
            assert_eq!(
                run(target, off),
                Ok((PathOutcome::Same, target.into())),
                "{target}"
            );
        }
    }

    #[test]
    fn n02_escaped_slashes_by_action() {
        use EscapedSlashes::{Keep, Reject, UnescapeAndForward, UnescapeAndRedirect};
        let with = |escaped_slashes| PathOptions {
            escaped_slashes,
            ..USUAL
        };
        let (same, changed, redirect) = (
            PathOutcome::Same,
            PathOutcome::Changed,
            PathOutcome::Redirect,
        );
        let ok = |outcome, text: &str| Ok((outcome, text.to_string()));
        assert_eq!(run("/a%2fb", with(Reject)), Err(Refusal::EscapedSlash));
        assert_eq!(run("/a%5Cb", with(Reject)), Err(Refusal::EscapedSlash));
        assert_eq!(run("/a%2Fb", with(Keep)), ok(same, "/a%2Fb"));
        assert_eq!(
            run("/a%5c..%2fb", with(UnescapeAndForward)),
            ok(changed, "/b")
        );
        assert_eq!(
            run("/a%2fb?%2f", with(UnescapeAndRedirect)),
            ok(redirect, "/a/b?%2f")
        );
        assert_eq!(run("/a/../b", with(UnescapeAndRedirect)), ok(changed, "/b"));
        assert_eq!(
            run("/a%252fb", with(UnescapeAndForward)),
            ok(same, "/a%252fb")
        );
    }

    #[test]
    fn o08_a_redirect_never_names_a_host() {
        let options = PathOptions {
            escaped_slashes: EscapedSlashes::UnescapeAndRedirect,
            ..USUAL
        };
        for target in [
            "/%2fevil.test/",
            "//%5c%2fevil.test/",
            "/a/..%2f%2fevil.test/",
        ] {
            let expect = (PathOutcome::Redirect, "/evil.test/".to_string());
            assert_eq!(run(target, options), Ok(expect), "{target}");
        }
    }
}
