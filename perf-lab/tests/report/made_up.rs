//! A campaign that nobody ran, with a fixed clock, fixed ids and figures that follow a rule.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use perf_lab::record::{
    Campaign, Cell, Cost, Cpus, Environment, Latency, Load, Run, Skipped, Slice, Subject,
};

/// 1 November 2026, noon.
const BEGIN: u64 = 1_793_534_400_000_000_000;
const SECOND: u64 = 1_000_000_000;

/// One closed and one open cell, penstock and nginx, one round; one run of nginx is void.
pub(crate) fn small() -> Campaign {
    let mut campaign = of(
        vec![cell("keep-alive-1k", 0), cell("keep-alive-1k-half", 20_000)],
        vec![
            subject("penstock-uring", "penstock"),
            subject("nginx", "nginx"),
        ],
        1,
    );
    let run = &mut campaign.runs[1];
    run.load.failures = vec![("status".to_owned(), 3), ("timeout".to_owned(), 2)];
    run.load.answered -= 3;
    run.load.statuses = vec![(200, run.load.answered), (503, 3)];
    run.void = "5 answers were wrong or did not come: status 3, timeout 2".to_owned();
    campaign
}

/// Every run of the cells and subjects, forwards and backwards in each round.
pub(crate) fn of(cells: Vec<Cell>, subjects: Vec<Subject>, rounds: u32) -> Campaign {
    let mut campaign = Campaign {
        id: id(0),
        name: "h1".to_owned(),
        about: "HTTP/1.1 over kept connections".to_owned(),
        experiment: "name = \"h1\"\nrounds = 2\n".to_owned(),
        command: ["perf-lab", "run", "h1"].map(str::to_owned).to_vec(),
        started: BEGIN,
        seed: 7,
        environment: environment(),
        layout: "C".to_owned(),
        rounds,
        warm_up: 3 * SECOND,
        window: 10 * SECOND,
        baseline: "nginx".to_owned(),
        cells,
        subjects,
        skipped: vec![Skipped {
            subject: "envoy".to_owned(),
            why: "not installed; `cargo xtask peers` installs it".to_owned(),
        }],
        complete: true,
        ..Campaign::default()
    };
    let mut number = 0;
    for round in 0..rounds {
        for cell in 0..campaign.cells.len() {
            let there = (0..campaign.subjects.len()).map(|at| (at, false));
            let back = (0..campaign.subjects.len()).rev().map(|at| (at, true));
            for (subject, backwards) in there.chain(back) {
                number += 1;
                let run = run(&campaign, number, (cell, subject, round, backwards));
                campaign.runs.push(run);
            }
        }
    }
    campaign.ended = campaign.runs.last().map_or(BEGIN, |run| run.ended);
    campaign
}

/// Keep-alive, 1 KiB; a rate of 0 is a closed loop.
pub(crate) fn cell(name: &str, rate: u64) -> Cell {
    Cell {
        name: name.to_owned(),
        protocol: "http1".to_owned(),
        arrivals: if rate == 0 { "closed" } else { "open" }.to_owned(),
        rate,
        connections: 64,
        response_bytes: 1024,
        keep_alive: true,
        ..Cell::default()
    }
}

pub(crate) fn subject(name: &str, product: &str) -> Subject {
    let driver = name.rsplit_once('-').map_or("", |(_, driver)| driver);
    let configuration = format!("# {product}\nlisten <port>;\nworkers 1;\n");
    Subject {
        name: name.to_owned(),
        product: product.to_owned(),
        version: format!("{product} 1.2.3"),
        driver: if driver == "uring" {
            "io_uring"
        } else {
            driver
        }
        .to_owned(),
        workers: u32::from(product != "direct"),
        command: [product, "--config", "<file>"].map(str::to_owned).to_vec(),
        configuration,
        revision: match product {
            "penstock" => "fedcba987654+dirty".to_owned(),
            _ => String::new(),
        },
        starts: Vec::new(),
    }
}

fn environment() -> Environment {
    Environment {
        host: "bench".to_owned(),
        cpu_model: "AMD EPYC".to_owned(),
        cpus: 2,
        memory: 8_000_000_000,
        kernel: "6.18.44".to_owned(),
        system: "Debian GNU/Linux 12".to_owned(),
        hypervisor: "kvm".to_owned(),
        congestion_control: "bbr".to_owned(),
        facts: [("governor", "none"), ("open files", "65536")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        git_rev: "0123456789ab".to_owned(),
        dirty: false,
        version: "0.1.0".to_owned(),
        numa_nodes: 1,
    }
}

/// What a request costs each product, in nanoseconds.
fn cost_of(product: &str, driver: &str) -> u64 {
    let costs: BTreeMap<&str, u64> = [
        ("penstock", 16_500),
        ("nginx", 22_400),
        ("haproxy", 22_600),
        ("envoy", 74_100),
        ("relay", 14_100),
        ("direct", 0),
    ]
    .into();
    let surcharge = if driver == "epoll" { 900 } else { 0 };
    costs[product] + if product == "direct" { 0 } else { surcharge }
}

fn run(campaign: &Campaign, number: u64, key: (usize, usize, u32, bool)) -> Run {
    let (cell_at, subject_at, round, backwards) = key;
    let (cell, subject) = (&campaign.cells[cell_at], &campaign.subjects[subject_at]);
    let window = campaign.window;
    let started = BEGIN + number * 15 * SECOND;
    // A few per cent up and down, the same each time.
    let wobble = 97 + (number * 7919 + u64::from(round) * 31) % 7;
    let request =
        cost_of(&subject.product, &subject.driver) * wobble / 100 + cell.response_bytes * 3 / 10;
    let rate = match cell.rate {
        0 => 600_000_000 / (request + 9_000) * wobble / 100,
        rate => rate,
    };
    let answered = rate * window / SECOND;
    let request = if subject.product == "direct" {
        0
    } else {
        request
    };
    let service = latency(request + 40_000, answered);
    let corrected = latency(request * 2 + 60_000, answered);
    let resident = if request == 0 {
        0
    } else {
        18_000_000 + 64 * request
    };
    Run {
        id: id(number),
        subject: subject_at,
        cell: cell_at,
        round,
        backwards,
        started,
        ended: started + window,
        load: Load {
            answered,
            statuses: vec![(200, answered)],
            connects: 64,
            origin_connects: 64,
            origin_requests: answered,
            bytes_in: answered * (cell.response_bytes + 120),
            bytes_out: answered * 60,
            corrected: if cell.rate > 0 {
                corrected
            } else {
                Latency::default()
            },
            service,
            on_cpu: 9_000 * answered,
            resident: 30_000_000,
            lateness_p99: if cell.rate > 0 { 30_000 } else { 0 },
            ..Load::default()
        },
        cost: Cost {
            on_cpu: request * answered,
            waiting: request * answered / 9,
            user: request * answered / 3,
            system: request * answered * 2 / 3,
            switches_voluntary: answered / 12,
            switches_involuntary: answered / 400,
            threads: u32::from(request > 0),
            resident_before: resident * 9 / 10,
            resident,
            steal: 0.1,
            ..Cost::default()
        },
        void: String::new(),
        series: (1..=20)
            .map(|at| slice(at, number, answered, request, resident))
            .collect(),
        cpus: Cpus {
            subject: vec![0],
            load: vec![1],
            origin: vec![1],
        },
    }
}

fn slice(at: u64, number: u64, answered: u64, request: u64, resident: u64) -> Slice {
    let answered = answered / 20 * (95 + (at * number * 13) % 11) / 100;
    Slice {
        at: at * SECOND / 2,
        answered,
        failed: 0,
        p50: request + 45_000,
        p99: request * 4 + 200_000 + at * 1_000,
        on_cpu: request * answered,
        resident: resident - (20 - at) * resident / 1_000,
        bytes_in: answered * 1_144,
        switches: answered / 12,
    }
}

/// A long tail: the n-th of 2,000 values, weighted so that all together are `count`.
fn latency(middle: u64, count: u64) -> Latency {
    let mut histogram = Histogram::<u64>::new_with_max(60 * SECOND, 3).expect("bounds");
    let values = 2_000;
    for at in 0..values {
        let rank = (at as f64 + 0.5) / values as f64;
        let value = middle as f64 * (0.7 + 0.4 * rank + 0.02 / (1.0 - rank).powf(0.8));
        let share = count / values + u64::from(at < count % values);
        histogram
            .record_n(value as u64, share)
            .expect("within bounds");
    }
    let percentiles = [50.0, 75.0, 90.0, 99.0, 99.9, 99.99];
    Latency {
        histogram: text(&histogram),
        count: histogram.len(),
        min: histogram.min(),
        mean: histogram.mean(),
        max: histogram.max(),
        percentiles: percentiles
            .map(|percent| (percent, histogram.value_at_percentile(percent)))
            .to_vec(),
    }
}

/// The last field of an interval log is the histogram as a record keeps it.
fn text(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .begin_log_with(&mut bytes, &mut serializer)
        .expect("memory takes all");
    let no_time = std::time::Duration::ZERO;
    log.write_histogram(histogram, no_time, no_time, None::<Tag<'_>>)
        .expect("memory takes all");
    let log = String::from_utf8(bytes).expect("a log is text");
    let line = log.trim_end().rsplit(',').next();
    line.expect("four fields").to_owned()
}

fn id(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}
