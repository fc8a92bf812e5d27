//! The Date field (RFC 9110 section 5.6.7), rendered once per second.

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
    let (year, month, day) = civil(days);
    let (hour, minute, rest) = (second / 3600 % 24, second / 60 % 60, second % 60);
    format!(
        "{}, {day:02} {} {year:04} {hour:02}:{minute:02}:{rest:02} GMT",
        DAYS[(days % 7) as usize],
        MONTHS[(month - 1) as usize],
    )
}

/// Year, month (1-12) and day (1-31) of a day number since 1970-01-01, proleptic Gregorian.
///
/// Years are counted from 1 March, so that the leap day is the last of its year.
pub fn civil(days: u64) -> (u64, u64, u64) {
    const ERA_DAYS: u64 = 146_097;
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / ERA_DAYS, shifted % ERA_DAYS);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
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
}
