//! What Meshery's schema v1beta3 demands of a test, and what its record must point to.

use super::{Faults, Rule, fortio};
use crate::report::meshery::{Client, Record, Test, TestFile};

/// Bounds of the schema.
const CONNECTIONS_MAX: u64 = 100_000;
const RPS_MAX: u64 = 10_000_000;
const NAME_MAX: usize = 255;
const DURATION_MAX: usize = 32;
const PROTOCOLS: [&str; 4] = ["http", "tcp", "udp", "grpc"];
/// Longer units first: `ms` is no `m`.
const UNITS: [&str; 7] = ["ns", "us", "µs", "ms", "s", "m", "h"];

/// Unknown keys are refused by the form itself.
pub(super) fn check_test(text: &str) -> Faults {
    let file: TestFile = match serde_saphyr::from_str(text) {
        Ok(file) => file,
        Err(error) => return vec![(Rule::Form, error.to_string())],
    };
    let mut faults = test(&file.test);
    faults.extend(file.test.clients.iter().flat_map(client));
    faults
        .into_iter()
        .map(|what| (Rule::Meshery, what))
        .collect()
}

pub(super) fn check_record(text: &str, run: &str) -> Faults {
    let record: Record = match serde_json::from_str(text) {
        Ok(record) => record,
        Err(error) => return vec![(Rule::Form, error.to_string())],
    };
    let mut faults = fortio::invariants(&record.runner_results.fortio);
    if record.meshery_id != run || !record.test_id.starts_with(run) {
        let (id, test) = (&record.meshery_id, &record.test_id);
        faults.push((
            Rule::Ids,
            format!("`{id}` and test `{test}` are not of run {run}"),
        ));
    }
    faults
}

fn test(test: &Test) -> Vec<String> {
    let name = test.name.chars().count();
    let checks = [
        (
            (1..=NAME_MAX).contains(&name),
            format!("`name` has {name} characters"),
        ),
        (!test.clients.is_empty(), "`clients` is empty".to_owned()),
        (
            is_duration(&test.duration),
            format!("`duration` is `{}`", test.duration),
        ),
    ];
    failed(checks)
}

fn client(client: &Client) -> Vec<String> {
    let known = PROTOCOLS.contains(&client.protocol.as_str());
    let checks = [
        (
            !client.endpoint_urls.is_empty(),
            "`endpointUrls` is empty".to_owned(),
        ),
        (known, format!("`protocol` is `{}`", client.protocol)),
        (
            client.connections <= CONNECTIONS_MAX,
            format!(
                "`connections` is {}, at most {CONNECTIONS_MAX}",
                client.connections
            ),
        ),
        (
            client.rps <= RPS_MAX,
            format!("`rps` is {}, at most {RPS_MAX}", client.rps),
        ),
    ];
    failed(checks)
}

fn failed<const N: usize>(checks: [(bool, String); N]) -> Vec<String> {
    let failed = checks.into_iter().filter(|(holds, _)| !holds);
    failed.map(|(_, what)| what).collect()
}

/// One or more pairs of a number and a unit.
fn is_duration(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        match after_pair(rest) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    (1..=DURATION_MAX).contains(&text.chars().count())
}

fn after_pair(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = !whole.is_empty() && !fraction.is_empty() && !fraction.contains('.');
    let unit = UNITS.iter().find(|unit| rest.starts_with(**unit))?;
    is_number.then(|| &rest[unit.len()..])
}

#[cfg(test)]
mod tests {
    use super::is_duration;

    #[test]
    fn durations_are_pairs_of_number_and_unit() {
        for good in ["30s", "1500ms", "1h30m", "1.5h", "2us", "7ns", "3µs", "0s"] {
            assert!(is_duration(good), "{good}");
        }
        for bad in [
            "", "30", "s", "1.s", ".5s", "1.2.3s", "5 s", "5d", "30s ", "-1s",
        ] {
            assert!(!is_duration(bad), "{bad}");
        }
    }
}
