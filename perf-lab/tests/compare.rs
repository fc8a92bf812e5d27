//! `perf-lab compare`: what changed beyond the noise is marked, what is missing is said.

#[path = "report/folder.rs"]
mod folder;
#[path = "report/made_up.rs"]
mod made_up;

use std::fs;
use std::process::Command;

use folder::Folder;
use perf_lab::compare::{Comparison, State};
use perf_lab::record::Campaign;

/// Three subjects under one workload, five rounds; what penstock needs is scaled by per cents.
fn campaign(per_cent: u64) -> Campaign {
    let subjects = ["penstock-uring", "haproxy", "nginx"];
    let products = ["penstock", "haproxy", "nginx"];
    let subjects = subjects.iter().zip(products);
    let subjects = subjects.map(|(name, product)| made_up::subject(name, product));
    let cells = vec![
        made_up::cell("keep-alive-1k", 0),
        made_up::cell("half", 9_000),
    ];
    let mut campaign = made_up::of(cells, subjects.collect(), 5);
    for run in campaign.runs.iter_mut().filter(|run| run.subject == 0) {
        run.cost.on_cpu = run.cost.on_cpu * per_cent / 100;
    }
    campaign
}

fn states(a: &Campaign, b: &Campaign) -> Vec<State> {
    let comparison = Comparison::of(a, b).expect("they can be compared");
    comparison
        .changes
        .iter()
        .map(|change| change.state)
        .collect()
}

#[test]
fn changes_beyond_the_noise_are_marked() {
    let before = campaign(100);
    let [less, more, same] = [State::Less, State::More, State::Same];
    assert_eq!(states(&before, &before), [same, same, same, same]);
    assert_eq!(states(&before, &campaign(80)), [less, same, less, same]);
    assert_eq!(states(&before, &campaign(125)), [more, same, more, same]);
    assert_eq!(states(&before, &campaign(101)), [same, same, same, same]);
}

/// A/A: the same thing twice, with noise of its own in each campaign and round.
#[test]
fn equal_things_do_not_change_and_a_real_difference_among_noise_does() {
    let noisy = |per_cent: u64, seed: u64| {
        let mut campaign = campaign(per_cent);
        for (at, run) in campaign.runs.iter_mut().enumerate() {
            // Up to 3 % up and down, another way in each campaign.
            let wobble = (at as u64 * 2_654_435_761 + seed * 40_503) / 7 % 61;
            run.cost.on_cpu = run.cost.on_cpu * (970 + wobble) / 1_000;
        }
        campaign
    };
    let before = noisy(100, 1);
    for seed in 2..12 {
        let again = states(&before, &noisy(100, seed));
        assert!(
            again.iter().all(|state| *state == State::Same),
            "{seed}: {again:?}"
        );
        let less = states(&before, &noisy(85, seed));
        assert_eq!([less[0], less[2]], [State::Less; 2], "{seed}");
        assert_eq!([less[1], less[3]], [State::Same; 2], "{seed}");
    }
}

#[test]
fn few_rounds_and_void_runs_claim_nothing() {
    let (before, mut after) = (campaign(100), campaign(50));
    after.rounds = 2;
    assert_eq!(states(&before, &after)[0], State::Unknown);
    let mut after = campaign(50);
    for run in after.runs.iter_mut().filter(|run| run.subject == 0) {
        run.void = "a wrong byte".to_owned();
    }
    assert_eq!(states(&before, &after)[0], State::Missing);
}

#[test]
fn what_is_in_one_campaign_only_is_said() {
    let before = campaign(100);
    let mut after = campaign(100);
    after.subjects[1].name = "envoy".to_owned();
    after.subjects[2].version = "nginx 2".to_owned();
    after.cells[0].connections = 128;
    after.cells[1].special = vec![("load".to_owned(), "50 %".to_owned())];
    after.environment.kernel = "7.0".to_owned();
    after.environment.host = "other".to_owned();
    after.environment.cpus = 8;
    after.environment.version = "0.2.0".to_owned();
    after.window /= 2;
    after.warm_up = 0;
    after.complete = false;
    let mut before_share = before.clone();
    before_share.cells[1].special = after.cells[1].special.clone();
    before_share.cells[1].rate = 8_000;
    let comparison = Comparison::of(&before_share, &after).expect("one workload is left");
    let notes = comparison.notes.join("\n");
    for part in [
        "B broke off",
        "Another kernel: 6.18.44 in A, 7.0 in B",
        "Another machine: bench in A, other in B",
        "Another number of CPUs: 2 CPUs in A, 8 CPUs in B",
        "Another version of perf-lab: 0.1.0 in A, 0.2.0 in B",
        "Another window: 10 s in A, 5 s in B",
        "Another warm-up: 3 s in A",
        "Workload keep-alive-1k is not the same in both",
        "haproxy is in A only",
        "envoy is in B only",
        "nginx is nginx 1.2.3 in A and nginx 2 in B; all ratios are taken to it",
    ] {
        assert!(notes.contains(part), "{part}:\n{notes}");
    }
    assert_eq!(
        comparison.changes.len(),
        1,
        "the share has another rate each time"
    );
}

#[test]
fn without_a_common_baseline_there_is_no_comparison() {
    let before = campaign(100);
    let mut after = campaign(100);
    after.baseline = "relay".to_owned();
    after.subjects[2].name = "relay".to_owned();
    let error = Comparison::of(&before, &after).expect_err("nothing to compare to");
    assert!(error.contains("no baseline in common"), "{error}");
}

#[test]
fn the_command_prints_a_table_and_writes_a_page() {
    let a = Folder::with("compare-a", &made_up::small());
    let mut after = made_up::small();
    after.skipped.clear();
    let b = Folder::with("compare-b", &after);
    let done = Command::new(env!("CARGO_BIN_EXE_perf-lab"))
        .args(["compare".as_ref(), a.0.as_os_str(), b.0.as_os_str()])
        .output()
        .expect("the binary runs");
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{done:?}");
    assert!(
        text.contains("CPU per request as a multiple of nginx"),
        "{text}"
    );
    assert!(
        text.contains("penstock-uring") && text.contains("too few rounds"),
        "{text}"
    );
    let page = fs::read_to_string(b.0.join("compare.html")).expect("written");
    let place = |part: &str| page.find(part).unwrap_or_else(|| panic!("no {part}"));
    assert!(
        place("Read with care") < place("<table>"),
        "warnings come first"
    );
    assert!(page.contains("perf-lab comparison") && page.ends_with("</html>\n"));
}
