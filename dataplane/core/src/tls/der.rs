//! As much of DER (X.690) and X.509 (RFC 5280) as names and dates need. Chains, signatures and
//! extensions are rustls-webpki's business; what is read here was judged there or is our own.

/// Values of a constructed type, one after another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Der<'a>(&'a [u8]);

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;

/// One value: tag, content, and all of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    pub(super) whole: &'a [u8],
}

impl<'a> Der<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next value; `None` at the end and where there is none.
    pub(super) fn value(&mut self) -> Option<Value<'a>> {
        let (&[tag, first], rest) = self.0.split_first_chunk()?;
        let (len, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81 => rest
                .split_first()
                .map(|(&len, rest)| (usize::from(len), rest))?,
            0x82 => {
                let (&bytes, rest) = rest.split_first_chunk()?;
                (usize::from(u16::from_be_bytes(bytes)), rest)
            }
            0x83 => {
                let (&[high, middle, low], rest) = rest.split_first_chunk()?;
                (u32::from_be_bytes([0, high, middle, low]) as usize, rest)
            }
            _ => return None,
        };
        let (content, behind) = rest.split_at_checked(len)?;
        let whole = &self.0[..self.0.len() - behind.len()];
        self.0 = behind;
        Some(Value {
            tag,
            content,
            whole,
        })
    }

    /// The next value, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Option<Value<'a>> {
        self.value().filter(|value| value.tag == tag)
    }

    /// The next value if it has this tag.
    pub(super) fn optional(&mut self, tag: u8) -> Option<Value<'a>> {
        let mut ahead = *self;
        let value = ahead.expect(tag)?;
        *self = ahead;
        Some(value)
    }
}

impl<'a> Iterator for Der<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        self.value()
    }
}

/// Seconds since 1970 of a UTCTime or GeneralizedTime in the one form that RFC 5280 section 4.1.2.5
/// allows.
pub(super) fn seconds(value: Value<'_>) -> Option<i64> {
    let text = value.content.strip_suffix(b"Z")?;
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |digits: &[u8]| digits.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0'));
    let (year, rest) = match (value.tag, text.len()) {
        (UTC_TIME, 12) => {
            let year = number(&text[..2]);
            (
                if year < 50 { 2000 + year } else { 1900 + year },
                &text[2..],
            )
        }
        (GENERALIZED_TIME, 14) => (number(&text[..4]), &text[4..]),
        _ => return None,
    };
    let part = |at: usize| number(&rest[at..at + 2]);
    let days = days_since_1970(year, part(0), part(2))?;
    Some(((days * 24 + part(4)) * 60 + part(6)) * 60 + part(8))
}

/// Days of the Gregorian calendar, counted from the first of March.
fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (year, month) = match month {
        1 | 2 => (year - 1, month + 9),
        _ => (year, month - 3),
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1;
    Some(days - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let check = |tag, text: &str, expect| {
            let bytes = [&[tag, text.len() as u8], text.as_bytes()].concat();
            assert_eq!(Der::new(&bytes).value().and_then(seconds), expect, "{text}");
        };
        check(UTC_TIME, "700101000000Z", Some(0));
        check(UTC_TIME, "240229235959Z", Some(1_709_251_199));
        check(UTC_TIME, "491231235959Z", Some(2_524_607_999));
        check(GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000));
        check(GENERALIZED_TIME, "19700301000000Z", Some(59 * 86_400));
        check(UTC_TIME, "20500101000000Z", None);
        check(UTC_TIME, "2402292359590", None);
        check(UTC_TIME, "241329235959Z", None);
        check(UTC_TIME, "24+129235959Z", None);
    }

    #[test]
    fn what_is_cut_off_is_no_value() {
        for bytes in [
            &b""[..],
            b"\x30",
            b"\x30\x01",
            b"\x30\x81",
            b"\x30\x82\0",
            b"\x30\x84\0\0\0\0",
        ] {
            assert!(Der::new(bytes).value().is_none(), "{bytes:?}");
        }
    }
}
