//! Quantities as people write them: `1 KiB`, `200ms`, `50%`; one value or a list of them.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

/// A scalar that is read from its text.
pub(super) trait Quantity: Sized {
    /// What is allowed, for messages.
    const ALLOWED: &'static str;

    /// `None` if it is none.
    fn parse(text: &str) -> Option<Self>;
}

/// Bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bytes(pub(super) u64);

impl Quantity for Bytes {
    const ALLOWED: &'static str = "bytes: a whole number, with or without KB, MB, KiB or MiB";

    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = split(text);
        let factor = match unit {
            "" | "B" => 1,
            "KB" => 1_000,
            "MB" => 1_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            _ => return None,
        };
        Some(Self(number.parse::<u64>().ok()?.checked_mul(factor)?))
    }
}

/// Bytes in the largest unit that divides them: `1 KiB`, `100 B`.
pub fn bytes(count: u64) -> String {
    let whole = |unit: u64| count >= unit && count.is_multiple_of(unit);
    match count {
        _ if whole(1 << 20) => format!("{} MiB", count >> 20),
        _ if whole(1 << 10) => format!("{} KiB", count >> 10),
        _ => format!("{count} B"),
    }
}

/// A length of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Length(pub(super) Duration);

impl Quantity for Length {
    const ALLOWED: &'static str = "a length of time: a number with ms, s or m";

    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = split(text);
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            _ => return None,
        };
        let length = number.parse::<f64>().ok()? * seconds;
        Duration::try_from_secs_f64(length).ok().map(Self)
    }
}

/// A share in per cent, 1 to 150.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Percent(pub(super) u64);

impl Quantity for Percent {
    const ALLOWED: &'static str = "a share of the slowest subject's maximum: 1% to 150%";

    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = split(text);
        let share = number.parse().ok()?;
        (unit == "%" && (1..=150).contains(&share)).then_some(Self(share))
    }
}

/// How many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Count(pub(super) u32);

impl Quantity for Count {
    const ALLOWED: &'static str = "a whole number above 0";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|count| *count > 0).map(Self)
    }
}

/// Number and unit, blanks between them left out.
fn split(text: &str) -> (&str, &str) {
    let is_unit = |c: char| !c.is_ascii_digit() && c != '.';
    let end = text.find(is_unit).unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

/// One value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct One<T>(pub(super) T);

impl<'de, T: Quantity> Deserialize<'de> for One<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneVisitor(PhantomData))
    }
}

/// One value or a list of them; never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Many<T>(pub(super) Vec<T>);

impl<'de, T: Quantity> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ManyVisitor(PhantomData))
    }
}

struct OneVisitor<T>(PhantomData<T>);

impl<T: Quantity> Visitor<'_> for OneVisitor<T> {
    type Value = One<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::ALLOWED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<One<T>, E> {
        scalar(text).map(One)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<One<T>, E> {
        scalar(&number.to_string()).map(One)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<One<T>, E> {
        scalar(&number.to_string()).map(One)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<One<T>, E> {
        scalar(&number.to_string()).map(One)
    }
}

struct ManyVisitor<T>(PhantomData<T>);

impl<'de, T: Quantity> Visitor<'de> for ManyVisitor<T> {
    type Value = Many<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, or a list of such", T::ALLOWED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Many<T>, E> {
        scalar(text).map(one)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Many<T>, E> {
        scalar(&number.to_string()).map(one)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Many<T>, E> {
        scalar(&number.to_string()).map(one)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Many<T>, E> {
        scalar(&number.to_string()).map(one)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Many<T>, A::Error> {
        let mut values = Vec::new();
        while let Some(One(value)) = list.next_element()? {
            values.push(value);
        }
        match values.is_empty() {
            true => Err(de::Error::custom("the list is empty")),
            false => Ok(Many(values)),
        }
    }
}

fn one<T>(value: T) -> Many<T> {
    Many(vec![value])
}

fn scalar<T: Quantity, E: de::Error>(text: &str) -> Result<T, E> {
    let wrong = || E::custom(format!("`{text}` is not {}", T::ALLOWED));
    T::parse(text.trim()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read() {
        let size = |text| Bytes::parse(text).map(|bytes| bytes.0);
        assert_eq!(size("100"), Some(100));
        assert_eq!(size("16 KB"), Some(16_000));
        assert_eq!(size("10MiB"), Some(10 << 20));
        assert_eq!(size("1.5KiB"), None);
        assert_eq!(size("1 GB"), None);
        assert_eq!(size("99999999999999999MiB"), None);
        let length = |text| Length::parse(text).map(|length| length.0);
        assert_eq!(length("0.2s"), Some(Duration::from_millis(200)));
        assert_eq!(length("2m"), Some(Duration::from_secs(120)));
        assert_eq!(length("2"), None);
        assert_eq!(length("-1s"), None);
        assert_eq!(Percent::parse("50%"), Some(Percent(50)));
        assert_eq!(Percent::parse("0%"), None);
        assert_eq!(Percent::parse("50"), None);
        assert_eq!(Count::parse("0"), None);
    }

    #[test]
    fn bytes_are_written() {
        let texts = [0, 100, 1024, 65536, 10 << 20].map(bytes);
        assert_eq!(texts, ["0 B", "100 B", "1 KiB", "64 KiB", "10 MiB"]);
    }
}
