//! Numbers and sentences for people: units beside figures, no more digits than mean something.

use crate::record::{Campaign, Cell, Subject};
use crate::report::summary::{self, Row, Summary};
use crate::statistics::{Estimate, ROUNDS_SURE, Verdict};

/// A figure that is not there.
pub(crate) const NONE: &str = "–";

/// Three significant digits, with commas between thousands.
pub(crate) fn figure(value: f64) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    if value.abs() > 0.0 && value.abs() < 0.0005 {
        return "<0.001".to_owned();
    }
    let digits = match value.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.0995 || size == 0.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    match text.split_once('.') {
        Some((whole, rest)) => format!("{}.{rest}", thousands(whole)),
        None => thousands(&text),
    }
}

/// A figure beside an axis: without zeros that say nothing.
pub(crate) fn on_axis(value: f64) -> String {
    let text = figure(value);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// Digits of a whole number in groups of three.
pub(crate) fn thousands(digits: &str) -> String {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits),
    };
    let mut text = String::from(sign);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A ratio: two digits behind the point, three where it is small.
pub(crate) fn ratio(value: f64) -> String {
    if value < 0.1 {
        format!("{value:.3}")
    } else {
        format!("{value:.2}")
    }
}

/// `0.72–0.76` of an interval that is one, `0.72–0.76, range of 3 rounds` of one that claims less,
/// or why there is none.
pub(crate) fn interval(estimate: &Estimate) -> String {
    match estimate.interval {
        Some((low, high)) if estimate.rounds >= ROUNDS_SURE => reach(low, high),
        Some((low, high)) => format!("{}, {}", reach(low, high), estimate.spread()),
        None => rounds(estimate.rounds),
    }
}

/// The same in a sentence: `95 % interval 0.72–0.76`, or `range of 3 rounds 0.72–0.76`.
pub(crate) fn spread(estimate: &Estimate) -> String {
    match estimate.interval {
        Some((low, high)) => format!("{} {}", estimate.spread(), reach(low, high)),
        None => rounds(estimate.rounds),
    }
}

fn reach(low: f64, high: f64) -> String {
    format!("{}–{}", ratio(low), ratio(high))
}

fn rounds(count: usize) -> String {
    let noun = if count == 1 { "round" } else { "rounds" };
    format!("{count} {noun}, no interval")
}

/// Bytes in the greatest unit that leaves a whole number, else with three digits.
pub(crate) fn bytes(count: u64) -> String {
    let units = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (size, unit) in units {
        if count >= size {
            return match count.is_multiple_of(size) {
                true => format!("{} {unit}", count / size),
                false => format!("{} {unit}", figure(count as f64 / size as f64)),
            };
        }
    }
    format!("{count} B")
}

/// Nanoseconds as seconds or milliseconds.
pub(crate) fn length(nanoseconds: u64) -> String {
    if nanoseconds < 1_000_000_000 {
        return format!("{} ms", figure(nanoseconds as f64 / 1e6));
    }
    let seconds = nanoseconds as f64 / 1e9;
    if nanoseconds.is_multiple_of(1_000_000_000) {
        format!("{seconds} s")
    } else {
        format!("{} s", figure(seconds))
    }
}

/// A latency in the unit that suits it.
pub(crate) fn latency(nanoseconds: u64) -> String {
    let (value, unit) = in_unit(nanoseconds);
    format!("{}\u{a0}{unit}", figure(value))
}

/// The same beside an axis.
pub(crate) fn latency_on_axis(nanoseconds: f64) -> String {
    let (value, unit) = in_unit(nanoseconds.round() as u64);
    format!("{}\u{a0}{unit}", on_axis(value))
}

fn in_unit(nanoseconds: u64) -> (f64, &'static str) {
    let value = nanoseconds as f64;
    match nanoseconds {
        0..1_000_000 => (value / 1e3, "µs"),
        1_000_000..1_000_000_000 => (value / 1e6, "ms"),
        _ => (value / 1e9, "s"),
    }
}

/// What a cell does, in one line.
pub(crate) fn workload(cell: &Cell) -> String {
    let mut parts = vec![match cell.protocol.as_str() {
        "http1" => "HTTP/1.1".to_owned(),
        "tcp" => "TCP".to_owned(),
        other => other.to_owned(),
    }];
    parts.push(match cell.rate {
        0 => "closed loop, as fast as answered".to_owned(),
        rate => format!("open loop, {} requests/s", thousands(&rate.to_string())),
    });
    parts.push(format!(
        "{} connections",
        thousands(&cell.connections.to_string())
    ));
    let further = [
        (!cell.keep_alive, "one request on each".to_owned()),
        (
            cell.idle > 0,
            format!("{} idle beside them", thousands(&cell.idle.to_string())),
        ),
        (true, format!("answers of {}", bytes(cell.response_bytes))),
        (
            cell.request_bytes > 0,
            format!("requests of {}", bytes(cell.request_bytes)),
        ),
        (cell.chunked, "chunked".to_owned()),
        (cell.fields > 0, format!("{} further fields", cell.fields)),
    ];
    parts.extend(
        further
            .into_iter()
            .filter(|(set, _)| *set)
            .map(|(_, text)| text),
    );
    let special = cell.special.iter();
    parts.extend(special.map(|(name, value)| format!("{name} {value}")));
    parts.join(" · ")
}

/// A subject with its version: `nginx/1.22.1`, or the name where the version does not tell.
pub(crate) fn versioned(subject: &Subject) -> String {
    let version = subject.version.trim();
    if version.is_empty() {
        subject.name.clone()
    } else if version.to_lowercase().contains(&subject.product) {
        version.to_owned()
    } else {
        format!("{} {version}", subject.name)
    }
}

/// True for what is measured to be beaten.
fn is_foreign(subject: &Subject) -> bool {
    !matches!(subject.product.as_str(), "penstock" | "relay" | "direct")
}

/// The result of one cell in the words that every result has; `None` if it has none.
pub(crate) fn sentence(campaign: &Campaign, summary: &Summary, cell: usize) -> Option<String> {
    let rows: Vec<&Row> = summary.cell(cell).filter(|row| row.cpu.is_some()).collect();
    let subject = |row: &Row| &campaign.subjects[row.subject];
    let own = rows.iter().find(|row| subject(row).product == "penstock")?;
    let cost = |row: &&&Row| row.cpu.map_or(f64::INFINITY, |cpu| cpu.median);
    let foreign = rows
        .iter()
        .filter(|row| is_foreign(subject(row)))
        .min_by(|a, b| cost(a).total_cmp(&cost(b)));
    let floor = rows
        .iter()
        .find(|row| subject(row).product == "relay" && subject(row).driver == subject(own).driver);
    let floor = floor.or_else(|| rows.iter().find(|row| subject(row).product == "relay"));
    let to = foreign.or(floor)?;
    let compared = Compared {
        campaign,
        summary,
        cell,
        own: own.subject,
        to: to.subject,
    };
    let mut text = compared.sentence()?;
    if let Some(floor) = floor.filter(|floor| floor.subject != to.subject) {
        let values = summary::ratios(campaign, cell, floor.subject, to.subject);
        let floor = Estimate::of(&values)?;
        text += &format!("; the null relay used {}", ratio(floor.median));
    }
    Some(text + ".")
}

struct Compared<'a> {
    campaign: &'a Campaign,
    summary: &'a Summary,
    cell: usize,
    own: usize,
    to: usize,
}

impl Compared<'_> {
    fn sentence(&self) -> Option<String> {
        let campaign = self.campaign;
        let values = summary::ratios(campaign, self.cell, self.own, self.to);
        let estimate = Estimate::of(&values)?;
        let (own, to) = (&campaign.subjects[self.own], &campaign.subjects[self.to]);
        let place = format!("In one interleaved run on {}", machine(campaign));
        let cell = &campaign.cells[self.cell];
        let load = match cell.rate {
            0 => String::new(),
            rate => format!(" at {} requests/s", thousands(&rate.to_string())),
        };
        let (own, to, name) = (&own.name, versioned(to), &cell.name);
        let (median, spread) = (ratio(estimate.median), spread(&estimate));
        Some(match self.summary.verdict(&estimate) {
            Verdict::NoDifference => format!(
                "{place}, {own} and {to} did not differ in CPU per request for {name}{load} \
                 (ratio {median}, {spread})"
            ),
            Verdict::Unknown => format!(
                "{place}, {own} used {median} ({spread}) of {to}’s CPU per request for \
                 {name}{load}"
            ),
            Verdict::Less | Verdict::More => format!(
                "{place}, {own} used {median} ({spread}) of {to}’s CPU per request for \
                  {name}{load}"
            ),
        })
    }
}

/// The machine in a few words.
fn machine(campaign: &Campaign) -> String {
    let place = &campaign.environment;
    let noun = if place.cpus == 1 { "CPU" } else { "CPUs" };
    format!(
        "{} ({} {noun} of an {})",
        place.host, place.cpus, place.cpu_model
    )
}

#[cfg(test)]
mod tests {
    use super::{bytes, figure, latency, length};

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        let cases = [
            (0.0, "0.00"),
            (0.0123, "0.012"),
            (0.0001, "<0.001"),
            (0.734, "0.73"),
            (16.84, "16.8"),
            (99.99, "100"),
            (5_922.4, "5,922"),
            (1_234_567.0, "1,234,567"),
            (-1_234.0, "-1,234"),
            (f64::NAN, "–"),
        ];
        for (value, expected) in cases {
            assert_eq!(figure(value), expected);
        }
        assert_eq!(bytes(1024), "1 KiB");
        assert_eq!(bytes(10 << 20), "10 MiB");
        assert_eq!(bytes(100), "100 B");
        assert_eq!(bytes(1500), "1.46 KiB");
        assert_eq!(latency(87_551), "87.6\u{a0}µs");
        assert_eq!(latency(1_528_831), "1.53\u{a0}ms");
        assert_eq!(length(10_000_000_000), "10 s");
        assert_eq!(length(500_000_000), "500 ms");
    }
}
