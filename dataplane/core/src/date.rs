//! Days of the calendar, and the Date field (RFC 9110 section 5.6.7), rendered once per second.

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The current value of the Date field.
#[derive(Debug, Default)]
pub struct DateField {
    second: u64,
    text: String,
}

impl DateField {
    /// The field's value for `wall` nanoseconds since the UNIX epoch.
    pub fn at(&mut self, wall: u64) -> &str {
        let second = wall / SECOND;
        if second != self.second || self.text.is_empty() {
            self.second = second;
            self.text = render(second);
        }
        &self.text
    }
}

fn render(second: u64) -> String {
    let days = second / 86_400;
    let Day {
        year, month, day, ..
    } = Day::of(days);
    let (hour, minute, rest) = (second / 3600 % 24, second / 60 % 60, second % 60);
    format!(
        "{}, {day:02} {} {year:04} {hour:02}:{minute:02}:{rest:02} GMT",
        DAYS[(days % 7) as usize],
        MONTHS[(month - 1) as usize],
    )
}

/// A day in UTC and the proleptic Gregorian calendar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Day {
    pub(crate) year: u64,
    /// 1 to 12.
    pub(crate) month: u64,
    /// 1 to 31.
    pub(crate) day: u64,
    /// 1 to 366.
    pub(crate) day_of_year: u64,
}

impl Day {
    /// Of a day number since 1970-01-01.
    ///
    /// Years are counted from 1 March, so that the leap day is the last of its year.
    pub(crate) fn of(days: u64) -> Self {
        const ERA_DAYS: u64 = 146_097;
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / ERA_DAYS, shifted % ERA_DAYS);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let from_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * from_march + 2) / 153;
        let day = from_march - (153 * month_from_march + 2) / 5 + 1;
        let march_year = era * 400 + year_of_era;
        if month_from_march < 10 {
            Self {
                year: march_year,
                month: month_from_march + 3,
                day,
                day_of_year: from_march + 60 + u64::from(is_leap(march_year)),
            }
        } else {
            Self {
                year: march_year + 1,
                month: month_from_march - 9,
                day,
                // 1 January is the 307th day from 1 March.
                day_of_year: from_march - 305,
            }
        }
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        let cases = [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ];
        for (second, expect) in cases {
            assert_eq!(DateField::default().at(second * SECOND), expect);
        }
    }

    /// 600 years, day after day.
    #[test]
    fn days_follow_each_other() {
        let mut before = Day {
            year: 1970,
            month: 1,
            day: 1,
            day_of_year: 1,
        };
        assert_eq!(Day::of(0), before);
        for number in 1..600 * 366 {
            let day = Day::of(number);
            let leap = is_leap(before.year);
            let month_days = match before.month {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            let expect = match (before.day == month_days, before.month == 12) {
                (false, _) => (before.year, before.month, before.day + 1),
                (true, false) => (before.year, before.month + 1, 1),
                (true, true) => (before.year + 1, 1, 1),
            };
            assert_eq!((day.year, day.month, day.day), expect);
            let of_year = match expect {
                (_, 1, 1) => 1,
                _ => before.day_of_year + 1,
            };
            assert_eq!(day.day_of_year, of_year, "{day:?}");
            before = day;
        }
    }
}
