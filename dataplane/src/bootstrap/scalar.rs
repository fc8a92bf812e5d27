//! Texts to values: the kind of the field decides what a plain scalar means.
//!
//! Follows proto JSON (numbers and booleans may stand in quotes) with the forms that YAML adds.
//! What two readers could take for two values (`010`) is refused.

use super::node::{Scalar, shorten};

/// What is wrong with a value, and what to write instead.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Mistake {
    pub(super) reason: String,
    pub(super) remedy: String,
}

pub(super) fn mistake(reason: impl Into<String>, remedy: impl Into<String>) -> Mistake {
    Mistake {
        reason: reason.into(),
        remedy: remedy.into(),
    }
}

/// A boolean; in quotes only as JSON writes it.
pub(super) fn boolean(scalar: &Scalar) -> Result<bool, Mistake> {
    match &*scalar.text {
        "true" => Ok(true),
        "false" => Ok(false),
        "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" if !scalar.quoted => Ok(true),
        "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" if !scalar.quoted => {
            Ok(false)
        }
        _ => Err(wrong("a boolean", scalar, "write true or false")),
    }
}

/// A whole number between two bounds.
pub(super) fn integer(scalar: &Scalar, least: i128, most: i128) -> Result<i128, Mistake> {
    let remedy = format!("write a whole number between {least} and {most}");
    let text = &*scalar.text;
    if has_leading_zero(text) {
        let reason = format!(
            "`{}` is read as octal by some and as decimal by others",
            text
        );
        return Err(mistake(reason, "write it without the leading zero"));
    }
    let value = radix(text)
        .or_else(|| text.parse().ok())
        .or_else(|| whole(text))
        .ok_or_else(|| wrong("a whole number", scalar, &remedy))?;
    if value < least || value > most {
        return Err(mistake(
            format!("{} is out of range", shorten(text)),
            remedy,
        ));
    }
    Ok(value)
}

/// A finite number.
pub(super) fn float(scalar: &Scalar) -> Result<f64, Mistake> {
    number(&scalar.text).ok_or_else(|| {
        wrong(
            "a number",
            scalar,
            "write a finite number, for example 12.5",
        )
    })
}

/// Base64, in the standard or the URL alphabet.
pub(super) fn bytes(scalar: &Scalar) -> Result<Vec<u8>, Mistake> {
    base64(scalar.text.trim_end_matches('='))
        .ok_or_else(|| wrong("base64", scalar, "encode the bytes as base64"))
}

/// Seconds and nanoseconds of a duration such as `1.5s`.
pub(super) fn duration(scalar: &Scalar) -> Result<(i64, i32), Mistake> {
    /// Ten thousand years, as `google.protobuf.Duration` has it.
    const SECONDS_MAX: i64 = 315_576_000_000;
    let text = &*scalar.text;
    let Some((seconds, nanos)) = seconds(text) else {
        return Err(wrong("a duration", scalar, &duration_remedy(text)));
    };
    if seconds.abs() > SECONDS_MAX {
        let remedy = format!("write at most {SECONDS_MAX}s");
        return Err(mistake(
            format!("{} is out of range", shorten(text)),
            remedy,
        ));
    }
    Ok((seconds, nanos))
}

/// What a plain scalar means where nothing is known about it (`Struct`, `Value`); quotes make a
/// text of anything.
pub(super) enum Free {
    Null,
    Bool(bool),
    Number(f64),
    Text,
}

/// The core schema of YAML 1.2, with JSON's numbers.
pub(super) fn free(scalar: &Scalar) -> Free {
    match &*scalar.text {
        _ if scalar.quoted => Free::Text,
        "" | "~" | "null" | "Null" | "NULL" => Free::Null,
        "true" | "True" | "TRUE" => Free::Bool(true),
        "false" | "False" | "FALSE" => Free::Bool(false),
        text if has_leading_zero(text) => Free::Text,
        text => number(text).map_or(Free::Text, Free::Number),
    }
}

fn wrong(expected: &str, scalar: &Scalar, remedy: &str) -> Mistake {
    let quotes = if scalar.quoted { " in quotes" } else { "" };
    mistake(
        format!(
            "expected {expected}, found `{}`{quotes}",
            shorten(&scalar.text)
        ),
        remedy,
    )
}

fn has_leading_zero(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text).as_bytes();
    digits.len() > 1 && digits[0] == b'0' && digits[1].is_ascii_digit()
}

/// `0x1F` and `0o17`.
fn radix(text: &str) -> Option<i128> {
    let (digits, radix) = match (text.strip_prefix("0x"), text.strip_prefix("0o")) {
        (Some(digits), _) => (digits, 16),
        (_, Some(digits)) => (digits, 8),
        _ => return None,
    };
    let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    plain
        .then(|| i128::from_str_radix(digits, radix).ok())
        .flatten()
}

/// `1e3` and `10.0` are whole; beyond 2^53 a float no longer says which number was meant.
fn whole(text: &str) -> Option<i128> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let value = number(text)?;
    (value.fract() == 0.0 && value.abs() <= EXACT_MAX).then_some(value as i128)
}

/// A decimal number; the words that Rust reads as floats are none.
fn number(text: &str) -> Option<f64> {
    let digits = text.bytes().any(|byte| byte.is_ascii_digit());
    let plain = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    let value = (digits && plain)
        .then(|| text.parse::<f64>().ok())
        .flatten()?;
    value.is_finite().then_some(value)
}

fn seconds(text: &str) -> Option<(i64, i32)> {
    let text = text.strip_suffix('s')?;
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let sign = if negative { -1 } else { 1 };
    let nanos: i32 = format!("{fraction:0<9}").parse().ok()?;
    Some((sign * whole.parse::<i64>().ok()?, sign as i32 * nanos))
}

/// People write `250ms`, `5m` or `10`; say what that is in seconds.
fn duration_remedy(text: &str) -> String {
    let units = [
        ("ms", 0.001),
        ("us", 0.000_001),
        ("m", 60.0),
        ("h", 3600.0),
        ("", 1.0),
    ];
    for (unit, factor) in units {
        if let Some(value) = text.strip_suffix(unit).and_then(number) {
            return format!("write seconds: {}s", value * factor);
        }
    }
    "write seconds with the letter s, for example 1.5s".to_owned()
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let mut bits = 0u32;
    let mut filled = 0;
    for letter in text.bytes() {
        bits = bits << 6 | u32::from(sextet(letter)?);
        filled += 6;
        if filled >= 8 {
            filled -= 8;
            bytes.push((bits >> filled) as u8);
        }
    }
    // Six bits left over are a letter too many; other bits left over must be zero.
    (filled < 6 && bits & ((1 << filled) - 1) == 0).then_some(bytes)
}

fn sextet(letter: u8) -> Option<u8> {
    Some(match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Scalar {
        Scalar {
            text: text.into(),
            quoted: false,
        }
    }

    #[test]
    fn whole_numbers() {
        let check = |text: &str, expected: Option<i128>| {
            assert_eq!(integer(&plain(text), -5, 100_000).ok(), expected, "{text}");
        };
        check("0", Some(0));
        check("8080", Some(8080));
        check("-3", Some(-3));
        check("1e3", Some(1000));
        check("10.0", Some(10));
        check("0x1F", Some(31));
        check("0o17", Some(15));
        check("010", None);
        check("-010", None);
        check("1_000", None);
        check("10.5", None);
        check("100001", None);
        check("-6", None);
        check("0x", None);
        check("0x-1", None);
        check("nan", None);
        check("inf", None);
        check("", None);
        check("9999999999999999999999999999999999999999999", None);
    }

    #[test]
    fn durations() {
        let check = |text: &str, expected: Option<(i64, i32)>| {
            assert_eq!(duration(&plain(text)).ok(), expected, "{text}");
        };
        check("1s", Some((1, 0)));
        check("0s", Some((0, 0)));
        check("1.5s", Some((1, 500_000_000)));
        check("0.000000001s", Some((0, 1)));
        check("-0.5s", Some((0, -500_000_000)));
        check("315576000000s", Some((315_576_000_000, 0)));
        check("315576000001s", None);
        check("99999999999999999999s", None);
        check("0.0000000001s", None);
        check("10", None);
        check("s", None);
        check(".5s", None);
        check("1.s", None);
        check("--1s", None);
        check("1 s", None);
    }

    #[test]
    fn durations_in_other_units_are_converted() {
        let remedy = |text: &str| duration(&plain(text)).unwrap_err().remedy;
        assert_eq!(remedy("250ms"), "write seconds: 0.25s");
        assert_eq!(remedy("5m"), "write seconds: 300s");
        assert_eq!(remedy("10"), "write seconds: 10s");
        assert_eq!(
            remedy("soon"),
            "write seconds with the letter s, for example 1.5s"
        );
    }

    #[test]
    fn base64_texts() {
        let check = |text: &str, expected: Option<&[u8]>| {
            assert_eq!(bytes(&plain(text)).ok().as_deref(), expected, "{text}");
        };
        check("", Some(b""));
        check("aGVsbG8=", Some(b"hello"));
        check("aGVsbG8", Some(b"hello"));
        check("-_8", Some(&[0xfb, 0xff]));
        check("a", None);
        check("aGVsbG9=", None);
        check("a b", None);
    }
}
