//! What holds in every result of Fortio.

use super::{Faults, Rule};
use crate::report::fortio::{Fortio, Shape};

pub(super) fn check(text: &str) -> Faults {
    match serde_json::from_str::<Fortio>(text) {
        Ok(fortio) => invariants(&fortio),
        Err(error) => vec![(Rule::Form, error.to_string())],
    }
}

/// Sums and orders of one result.
pub(super) fn invariants(fortio: &Fortio) -> Faults {
    let shape = &fortio.duration_histogram;
    let mut faults = buckets(shape);
    faults.extend(percentiles(shape));
    let codes: u64 = fortio.ret_codes.values().sum();
    if codes != shape.count {
        faults.push(format!("RetCodes sum to {codes}, Count is {}", shape.count));
    }
    let seconds = fortio.actual_duration as f64 / 1e9;
    let rate = if seconds > 0.0 {
        shape.count as f64 / seconds
    } else {
        0.0
    };
    if (fortio.actual_qps - rate).abs() > rate / 100.0 {
        let qps = fortio.actual_qps;
        faults.push(format!(
            "ActualQPS is {qps}, Count / ActualDuration {rate:.3}"
        ));
    }
    faults
        .into_iter()
        .map(|what| (Rule::Fortio, what))
        .collect()
}

fn buckets(shape: &Shape) -> Vec<String> {
    let data = shape.data.as_deref().unwrap_or_default();
    let mut faults = Vec::new();
    let sum: u64 = data.iter().map(|bucket| bucket.count).sum();
    if sum != shape.count {
        faults.push(format!("the buckets hold {sum}, Count is {}", shape.count));
    }
    if let Some(bucket) = data.iter().find(|bucket| bucket.start > bucket.end) {
        let (start, end) = (bucket.start, bucket.end);
        faults.push(format!("a bucket starts at {start} and ends at {end}"));
    }
    if let Some(two) = data.windows(2).find(|two| two[0].end > two[1].start) {
        let (end, start) = (two[0].end, two[1].start);
        faults.push(format!(
            "buckets overlap: one ends at {end}, the next starts at {start}"
        ));
    }
    if data.windows(2).any(|two| two[0].percent > two[1].percent) {
        faults.push("Percent does not ascend".to_owned());
    }
    if let Some(last) = data
        .last()
        .filter(|last| (last.percent - 100.0).abs() > 1e-9)
    {
        faults.push(format!("Percent ends at {}, not at 100", last.percent));
    }
    faults
}

fn percentiles(shape: &Shape) -> Vec<String> {
    let listed = shape.percentiles.as_deref().unwrap_or_default();
    let mut faults = Vec::new();
    let ascend = |two: &[crate::report::fortio::Percentile]| {
        two[0].percentile < two[1].percentile && two[0].value <= two[1].value
    };
    if !listed.windows(2).all(ascend) {
        faults.push("Percentiles do not ascend".to_owned());
    }
    let range = shape.min..=shape.max;
    if let Some(outside) = listed.iter().find(|listed| !range.contains(&listed.value)) {
        let (percentile, value) = (outside.percentile, outside.value);
        faults.push(format!("p{percentile} is {value}, outside of Min and Max"));
    }
    faults
}
