//! Path and authority on the way to the origin.

use regex::bytes::Regex;

use super::OriginalPath;
use crate::config::route::{Forward, HostRewrite, PathMatch, PathRewrite};
use crate::fault::Cause;
use crate::http::{HeaderId, Refusal, RequestHead, authority};
use crate::limits::TARGET_BYTES_MAX;

/// Rewrites the authority as the route asks, except for `auto_host_rewrite`.
pub(super) fn authority(
    forward: &Forward,
    request: &mut RequestHead,
    scratch: &mut Vec<u8>,
) -> Result<(), Cause> {
    scratch.clear();
    match &forward.host_rewrite {
        HostRewrite::Keep | HostRewrite::Auto => return Ok(()),
        HostRewrite::Literal(literal) => scratch.extend_from_slice(literal.as_bytes()),
        HostRewrite::Header(name) => {
            let value = request.fields.value_by_name(name.as_bytes());
            scratch.extend_from_slice(value.unwrap_or_default());
        }
        HostRewrite::PathRegex {
            pattern,
            substitution,
        } => replace_all(pattern, substitution, request.path(), scratch)?,
    }
    // A client's field or path may not make an authority that the decoder would refuse (O08).
    if authority::check(scratch).is_err() {
        return Ok(());
    }
    set_authority(request, scratch, forward.append_forwarded_host);
    Ok(())
}

/// Puts another authority in place; the old one may be appended to `x-forwarded-host`, unless it is
/// already the last value there.
pub(super) fn set_authority(request: &mut RequestHead, authority: &[u8], append_forwarded: bool) {
    if append_forwarded && !request.authority().is_empty() {
        append_forwarded_host(request);
    }
    request.set_authority(authority);
}

fn append_forwarded_host(request: &mut RequestHead) {
    let last = request
        .fields
        .values_by_name(HeaderId::XForwardedHost.name())
        .last()
        .and_then(|value| value.rsplit(|&byte| byte == b',').next());
    if last.map(<[u8]>::trim_ascii) != Some(request.authority()) {
        let old = request.authority().to_vec();
        request.fields.push_known(HeaderId::XForwardedHost, &old);
    }
}

/// Rewrites the target as the route asks; `matched` is the path specifier of the route.
pub(super) fn target(
    forward: &Forward,
    matched: &PathMatch,
    request: &mut RequestHead,
    original_path: OriginalPath,
    scratch: &mut Vec<u8>,
) -> Result<(), Cause> {
    scratch.clear();
    if !rewritten(&forward.path_rewrite, matched, request, scratch)? {
        return Ok(());
    }
    if original_path == OriginalPath::Keep {
        let old = request.target().to_vec();
        request.fields.set(HeaderId::XEnvoyOriginalPath, &old);
    }
    request.set_target(scratch);
    Ok(())
}

/// Appends the rewritten target to `out`, query included; false if nothing is rewritten. The result
/// always begins with a slash: without one it would be no origin form (RFC 9112 section 3.2.1), and
/// in a redirect it would lengthen the host name.
pub(super) fn rewritten(
    rewrite: &PathRewrite,
    matched: &PathMatch,
    request: &RequestHead,
    out: &mut Vec<u8>,
) -> Result<bool, Cause> {
    let (target, path) = (request.target(), request.path());
    let start = out.len();
    let rest = match rewrite {
        PathRewrite::Prefix(prefix) if !prefix.is_empty() => {
            out.extend_from_slice(prefix.as_bytes());
            matched_len(matched, path)
        }
        PathRewrite::Regex {
            pattern,
            substitution,
        } => {
            replace_all(pattern, substitution, path, out)?;
            path.len()
        }
        PathRewrite::Keep | PathRewrite::Prefix(_) => return Ok(false),
    };
    out.extend_from_slice(&target[rest..]);
    if out.get(start) != Some(&b'/') {
        out.insert(start, b'/');
    }
    if out.len() - start > TARGET_BYTES_MAX {
        return Err(Cause::Malformed(Refusal::TargetLength));
    }
    Ok(true)
}

/// Bytes of the path that the path specifier matched.
fn matched_len(matched: &PathMatch, path: &[u8]) -> usize {
    match matched {
        PathMatch::Prefix(text) | PathMatch::SegmentPrefix(text) | PathMatch::Exact(text) => {
            text.len().min(path.len())
        }
        PathMatch::Regex(_) => path.len(),
    }
}

/// Appends `text` with every match of `pattern` replaced, as RE2's GlobalReplace does. Fails when
/// the result is longer than a target may be: matches times substitution is otherwise no bound.
///
/// Groups cost an allocation per request; substitutions without them cost none.
fn replace_all(
    pattern: &Regex,
    substitution: &str,
    text: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Cause> {
    let bound = out.len() + TARGET_BYTES_MAX;
    let mut end = 0;
    for captures in pattern.captures_iter(text) {
        let Some(whole) = captures.get(0) else {
            continue;
        };
        out.extend_from_slice(&text[end..whole.start()]);
        expand(substitution, &captures, out);
        end = whole.end();
        if out.len() > bound {
            return Err(Cause::Malformed(Refusal::TargetLength));
        }
    }
    out.extend_from_slice(&text[end..]);
    Ok(())
}

/// RE2 substitution: `\0` to `\9` are groups, `\\` is a backslash. Checked at compile time.
fn expand(substitution: &str, captures: &regex::bytes::Captures<'_>, out: &mut Vec<u8>) {
    let mut bytes = substitution.bytes();
    while let Some(byte) = bytes.next() {
        match (byte, byte == b'\\') {
            (_, false) => out.push(byte),
            (_, true) => match bytes.next() {
                Some(digit @ b'0'..=b'9') => {
                    let group = captures.get(usize::from(digit - b'0'));
                    out.extend_from_slice(group.map_or(b"", |group| group.as_bytes()));
                }
                other => out.extend(other),
            },
        }
    }
}
