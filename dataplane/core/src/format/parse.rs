//! Text to pieces. Every mistake is reported with its byte offset.

use std::fmt;

use super::Piece;
use super::operator::Operator;
use crate::limits::FORMAT_BYTES_MAX;

/// Why a format was not understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FormatError {
    /// Where: the byte offset, after the names of the fields that lead to it in a JSON format.
    pub place: String,
    /// What is wrong, and what would be right.
    pub reason: String,
}

impl FormatError {
    pub(super) fn at(offset: usize, reason: impl Into<String>) -> Self {
        Self {
            place: format!("byte {offset}"),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.place, self.reason)
    }
}

impl std::error::Error for FormatError {}

/// The pieces of a text; `%%` is a percent sign.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, FormatError> {
    if text.len() > FORMAT_BYTES_MAX {
        let reason = format!("a format may have {FORMAT_BYTES_MAX} bytes");
        return Err(FormatError::at(FORMAT_BYTES_MAX, reason));
    }
    let (mut pieces, mut plain) = (Vec::new(), String::new());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        plain.push_str(&rest[..at]);
        let offset = text.len() - rest.len() + at;
        let after = &rest[at + 1..];
        if let Some(after) = after.strip_prefix('%') {
            plain.push('%');
            rest = after;
            continue;
        }
        let (operator, after) =
            operator(after).map_err(|reason| FormatError::at(offset, reason))?;
        push_plain(&mut plain, &mut pieces);
        pieces.push(Piece::Operator(operator));
        rest = after;
    }
    plain.push_str(rest);
    push_plain(&mut plain, &mut pieces);
    Ok(pieces)
}

fn push_plain(plain: &mut String, pieces: &mut Vec<Piece>) {
    if !plain.is_empty() {
        pieces.push(Piece::Text(std::mem::take(plain).into_bytes().into()));
    }
}

/// Parses from behind the first percent sign to behind the last: `NAME`, `(argument)`, `:length`.
fn operator(text: &str) -> Result<(Operator, &str), String> {
    let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let name_len = text.bytes().take_while(|&byte| is_name(byte)).count();
    let (name, rest) = text.split_at(name_len);
    if name.is_empty() {
        return Err(
            "an operator begins with a name in capital letters; a percent sign itself is \
                    written %%"
                .into(),
        );
    }
    let (argument, rest) = argument(name, rest)?;
    let (length, rest) = length(rest)?;
    let Some(rest) = rest.strip_prefix('%') else {
        return Err(format!(
            "the operator {name} is not closed by a percent sign"
        ));
    };
    Ok((Operator::parse(name, argument, length)?, rest))
}

fn argument<'a>(name: &str, text: &'a str) -> Result<(Option<&'a str>, &'a str), String> {
    let Some(inside) = text.strip_prefix('(') else {
        return Ok((None, text));
    };
    match inside.split_once(')') {
        Some((argument, rest)) => Ok((Some(argument), rest)),
        None => Err(format!(
            "the argument of {name} is not closed by a parenthesis"
        )),
    }
}

fn length(text: &str) -> Result<(Option<u32>, &str), String> {
    let Some(digits) = text.strip_prefix(':') else {
        return Ok((None, text));
    };
    let len = digits.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = digits.split_at(len);
    match digits.parse() {
        Ok(length) => Ok((Some(length), rest)),
        Err(_) => Err(format!(
            "the length after the colon, {digits:?}, is no number"
        )),
    }
}
