//! Points in time as text: the part of strftime that Envoy's `START_TIME` takes, always in UTC.

use super::escape::Escape;
use crate::date::Day;
use crate::digits::append_formatted;

const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const NANOSECONDS: u64 = 1_000_000_000;
const DAY_SECONDS: u64 = 86_400;

/// A parsed time format.
#[derive(Debug)]
pub(super) struct TimeFormat(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    /// The letter of a strftime conversion that [`write_part`] knows.
    Conversion(char),
    /// Fraction of the second with this many digits.
    Fraction(u32),
}

impl TimeFormat {
    /// Parses a format; an empty one means ISO 8601 with milliseconds.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = if text.is_empty() {
            "%Y-%m-%dT%H:%M:%S.%3fZ"
        } else {
            text
        };
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match character {
                '%' => match conversion(&mut characters)? {
                    Part::Text(text) => plain.push_str(&text),
                    part => {
                        push_plain(&mut plain, &mut parts);
                        parts.push(part);
                    }
                },
                other => plain.push(other),
            }
        }
        push_plain(&mut plain, &mut parts);
        Ok(Self(parts))
    }

    /// Appends the time, given in nanoseconds since the UNIX epoch.
    pub(super) fn write(&self, wall: u64, escape: Escape, out: &mut Vec<u8>) {
        let moment = Moment::of(wall);
        for part in &self.0 {
            match part {
                Part::Text(text) => escape.append(text.as_bytes(), out),
                Part::Conversion(letter) => write_part(*letter, &moment, out),
                Part::Fraction(digits) => {
                    let fraction = moment.nanosecond / 10_u64.pow(9 - digits);
                    let width = *digits as usize;
                    append_formatted(format_args!("{fraction:0width$}"), out);
                }
            }
        }
    }
}

fn push_plain(plain: &mut String, parts: &mut Vec<Part>) {
    if !plain.is_empty() {
        parts.push(Part::Text(std::mem::take(plain)));
    }
}

fn conversion(characters: &mut std::str::Chars<'_>) -> Result<Part, String> {
    match characters.next() {
        Some('%') => Ok(Part::Text("%".into())),
        Some('n') => Ok(Part::Text("\n".into())),
        Some('t') => Ok(Part::Text("\t".into())),
        Some('z') => Ok(Part::Text("+0000".into())),
        Some('Z') => Ok(Part::Text("UTC".into())),
        Some('f') => Ok(Part::Fraction(9)),
        Some(digit @ '1'..='9') => match characters.next() {
            Some('f') => Ok(Part::Fraction(digit as u32 - '0' as u32)),
            _ => Err(format!("%{digit} in a time must be followed by f")),
        },
        Some(letter) if CONVERSIONS.contains(letter) => Ok(Part::Conversion(letter)),
        Some(letter) => Err(format!("the time conversion %{letter} is not served")),
        None => Err("a time ends with a percent sign; itself it is written %%".into()),
    }
}

const CONVERSIONS: &str = "YCymdejHIMSspaAbBhuwTRDF";

fn write_part(letter: char, moment: &Moment, out: &mut Vec<u8>) {
    let Moment {
        hour,
        minute,
        second,
        weekday,
        ..
    } = *moment;
    let Day {
        year,
        month,
        day,
        day_of_year,
    } = moment.day;
    let hour12 = if hour % 12 == 0 { 12 } else { hour % 12 };
    let (day_name, month_name) = (DAYS[weekday as usize], MONTHS[month as usize - 1]);
    match letter {
        'Y' => append_formatted(format_args!("{year}"), out),
        'C' => append_formatted(format_args!("{:02}", year / 100), out),
        'y' => append_formatted(format_args!("{:02}", year % 100), out),
        'm' => append_formatted(format_args!("{month:02}"), out),
        'd' => append_formatted(format_args!("{day:02}"), out),
        'e' => append_formatted(format_args!("{day:2}"), out),
        'j' => append_formatted(format_args!("{day_of_year:03}"), out),
        'H' => append_formatted(format_args!("{hour:02}"), out),
        'I' => append_formatted(format_args!("{hour12:02}"), out),
        'M' => append_formatted(format_args!("{minute:02}"), out),
        'S' => append_formatted(format_args!("{second:02}"), out),
        's' => append_formatted(format_args!("{}", moment.since_epoch), out),
        'p' => out.extend_from_slice(if hour < 12 { b"AM" } else { b"PM" }),
        'a' => out.extend_from_slice(&day_name.as_bytes()[..3]),
        'A' => out.extend_from_slice(day_name.as_bytes()),
        'b' | 'h' => out.extend_from_slice(&month_name.as_bytes()[..3]),
        'B' => out.extend_from_slice(month_name.as_bytes()),
        'u' => append_formatted(
            format_args!("{}", if weekday == 0 { 7 } else { weekday }),
            out,
        ),
        'w' => append_formatted(format_args!("{weekday}"), out),
        'T' => append_formatted(format_args!("{hour:02}:{minute:02}:{second:02}"), out),
        'R' => append_formatted(format_args!("{hour:02}:{minute:02}"), out),
        'D' => append_formatted(format_args!("{month:02}/{day:02}/{:02}", year % 100), out),
        _ => append_formatted(format_args!("{year}-{month:02}-{day:02}"), out),
    }
}

/// A time taken apart; UTC.
#[derive(Debug)]
struct Moment {
    since_epoch: u64,
    nanosecond: u64,
    second: u64,
    minute: u64,
    hour: u64,
    day: Day,
    /// Sunday is 0.
    weekday: u64,
}

impl Moment {
    fn of(wall: u64) -> Self {
        let since_epoch = wall / NANOSECONDS;
        let days = since_epoch / DAY_SECONDS;
        Self {
            since_epoch,
            nanosecond: wall % NANOSECONDS,
            second: since_epoch % 60,
            minute: since_epoch / 60 % 60,
            hour: since_epoch / 3600 % 24,
            day: Day::of(days),
            weekday: (days + 4) % 7,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: &str, seconds: u64, nanoseconds: u64, expect: &str) {
        let mut out = Vec::new();
        let wall = seconds * NANOSECONDS + nanoseconds;
        TimeFormat::parse(format)
            .unwrap()
            .write(wall, Escape::Log, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expect);
    }

    #[test]
    fn times_as_text() {
        check("", 0, 0, "1970-01-01T00:00:00.000Z");
        check("", 951_827_696, 7_900_000, "2000-02-29T12:34:56.007Z");
        check(
            "%F %T.%6f",
            4_107_542_399,
            123_456_789,
            "2100-02-28 23:59:59.123456",
        );
        check("%F", 4_107_542_400, 0, "2100-03-01");
        check("%F", 18_446_744_073, 709_551_615, "2554-07-21");
        check("%s.%1f %f", 5, 987_654_321, "5.9 987654321");
        check(
            "%d/%b/%Y:%H:%M:%S %z",
            784_111_777,
            0,
            "06/Nov/1994:08:49:37 +0000",
        );
        check(
            "%a %A %u %w %B %h %e %j",
            784_111_777,
            0,
            "Sun Sunday 7 0 November Nov  6 310",
        );
        check(
            "%I%p %R %D %C%y %Z%%%n",
            784_111_777,
            0,
            "08AM 08:49 11/06/94 1994 UTC%\\n",
        );
        check("%I %p", 43_200, 0, "12 PM");
        check("%I %p", 0, 0, "12 AM");
    }

    #[test]
    fn mistakes_are_named() {
        assert!(TimeFormat::parse("%Q").unwrap_err().contains("%Q"));
        assert!(TimeFormat::parse("%3s").is_err());
        assert!(TimeFormat::parse("x%").is_err());
    }
}
