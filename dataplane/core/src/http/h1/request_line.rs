//! Says what is wrong with a request line (T01-T04), and checks its parts. The tokenizer decides
//! whether something is wrong; this finds the name for it.

use crate::http::Refusal;
use crate::limits;

/// The target of a line that is `method SP target SP version`; the target itself is not checked.
pub(super) fn target(line: &[u8]) -> Result<&[u8], Refusal> {
    let (method, rest) = split_space(line).ok_or(Refusal::RequestLine)?;
    check_method(method)?;
    let Some((target, version)) = split_space(rest) else {
        return Err(match rest {
            b"" => Refusal::RequestLine,
            _ => Refusal::NoVersion,
        });
    };
    if target.is_empty() || version.is_empty() || version.iter().any(|&byte| byte <= b' ') {
        return Err(Refusal::RequestLine);
    }
    match version {
        b"HTTP/1.1" | b"HTTP/1.0" => Ok(target),
        _ => Err(Refusal::Version),
    }
}

/// T03, as soon as the line is complete: HTTP/0.9 sends nothing more and must not be waited for.
#[inline]
pub(super) fn check_version(line: &[u8]) -> Result<(), Refusal> {
    if line.ends_with(b" HTTP/1.1") {
        return Ok(());
    }
    target(line).map(|_| ())
}

/// What to say of a request line that exceeds its bound, judged by its first bytes alone.
#[cold]
pub(super) fn too_long(line: &[u8]) -> Refusal {
    let start = &line[..line.len().min(limits::METHOD_BYTES_MAX + 1)];
    if start.contains(&b' ') {
        Refusal::TargetLength
    } else {
        Refusal::Method
    }
}

/// T02: a token of at most 32 bytes.
pub(crate) fn check_method(method: &[u8]) -> Result<(), Refusal> {
    if method.is_empty() {
        return Err(Refusal::RequestLine);
    }
    if method.len() > limits::METHOD_BYTES_MAX || !method.iter().all(|&byte| is_token_byte(byte)) {
        return Err(Refusal::Method);
    }
    Ok(())
}

/// T04: visible ASCII without `#`, no backslash in the path, at most 8 KiB.
pub(crate) fn check_target(target: &[u8]) -> Result<(), Refusal> {
    if target.len() > limits::TARGET_BYTES_MAX {
        return Err(Refusal::TargetLength);
    }
    if target.iter().all(|&byte| PLAIN_BYTES[byte as usize]) {
        return Ok(());
    }
    let visible = |&byte: &u8| matches!(byte, 0x21..=0x7E) && byte != b'#';
    let path = target.split(|&byte| byte == b'?').next();
    let backslash = path.is_some_and(|path| path.contains(&b'\\'));
    if !target.iter().all(visible) || backslash {
        return Err(Refusal::Target);
    }
    Ok(())
}

/// Bytes that are good anywhere in a target.
const PLAIN_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x21;
    while byte < 0x7F {
        table[byte] = !matches!(byte as u8, b'#' | b'\\');
        byte += 1;
    }
    table
};

/// `tchar` of RFC 9110 section 5.6.2.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn split_space(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&byte| byte == b' ')?;
    Some((&bytes[..at], &bytes[at + 1..]))
}
