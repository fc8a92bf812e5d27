//! The value of `location`, always with scheme and host if there is one, so that a path which
//! begins with two slashes cannot name another host (O08).

use super::rewrite;
use crate::config::route::{PathMatch, Redirect, RedirectPath};
use crate::http::{RequestHead, authority};

/// Writes the location of a redirect route whose path specifier is `matched`.
pub(super) fn location(
    redirect: &Redirect,
    matched: &PathMatch,
    request: &RequestHead,
    out: &mut Vec<u8>,
) {
    out.clear();
    let scheme = redirect.scheme.as_deref().unwrap_or(request.scheme());
    let host = match &redirect.host {
        Some(host) => host.as_bytes(),
        None => request_host(request, scheme, redirect.port),
    };
    origin(scheme, host, redirect.port, out);
    let path_start = out.len();
    path(redirect, matched, request, out);
    make_safe(path_start, out);
}

/// Writes the same address with https.
pub(super) fn https(request: &RequestHead, out: &mut Vec<u8>) {
    out.clear();
    origin("https", request.authority(), None, out);
    let path_start = out.len();
    out.extend_from_slice(request.target());
    make_safe(path_start, out);
}

/// `scheme://host:port`, or nothing if there is no host: then the location is relative.
fn origin(scheme: &str, host: &[u8], port: Option<u16>, out: &mut Vec<u8>) {
    if authority::check(host).is_err() {
        return;
    }
    out.extend_from_slice(scheme.as_bytes());
    out.extend_from_slice(b"://");
    out.extend_from_slice(host);
    if let Some(port) = port {
        out.extend_from_slice(format!(":{port}").as_bytes());
    }
}

/// The request's authority. Its port goes if another one is asked for, and if it is the default
/// port of a scheme that changes.
fn request_host<'a>(request: &'a RequestHead, scheme: &str, port: Option<u16>) -> &'a [u8] {
    let whole = request.authority();
    let (host, Some(old_port)) = authority::split(whole) else {
        return whole;
    };
    let default_port: &[u8] = if request.secure { b"443" } else { b"80" };
    let scheme_changes = scheme != request.scheme();
    if port.is_some() || (scheme_changes && old_port == default_port) {
        host
    } else {
        whole
    }
}

fn path(redirect: &Redirect, matched: &PathMatch, request: &RequestHead, out: &mut Vec<u8>) {
    let start = out.len();
    match &redirect.path {
        RedirectPath::Replace(path) if !path.is_empty() => {
            out.extend_from_slice(path.as_bytes());
            // A query in the replacement stands, even with `strip_query`.
            if path.contains('?') {
                return;
            }
            if let Some(query) = request.query() {
                out.push(b'?');
                out.extend_from_slice(query);
            }
        }
        RedirectPath::Rewrite(change) => {
            // Too long to be rewritten: the client is sent where it wanted to go.
            if rewrite::rewritten(change, matched, request, out) != Ok(true) {
                out.truncate(start);
                out.extend_from_slice(request.target());
            }
        }
        RedirectPath::Keep | RedirectPath::Replace(_) => out.extend_from_slice(request.target()),
    }
    if redirect.strip_query {
        let query = out[start..].iter().position(|&byte| byte == b'?');
        out.truncate(query.map_or(out.len(), |at| start + at));
    }
}

/// Makes what follows `path_start` a path that cannot be read as part of the host: it begins with
/// one slash (exactly one, and no backslash, if there is no host before it), and bytes that are not
/// visible ASCII are percent-encoded.
fn make_safe(path_start: usize, out: &mut Vec<u8>) {
    if path_start == 0 {
        let slashes = out.iter().take_while(|&&byte| matches!(byte, b'/' | b'\\'));
        out.drain(..slashes.count());
    }
    if path_start == 0 || out.get(path_start) != Some(&b'/') {
        out.insert(path_start, b'/');
    }
    if out.iter().all(u8::is_ascii_graphic) {
        return;
    }
    for byte in out.split_off(path_start) {
        if byte.is_ascii_graphic() {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
}
