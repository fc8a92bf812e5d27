//! `perf-lab check` finds what is planted, and nothing where nothing is.

#[path = "report/folder.rs"]
mod folder;
#[path = "report/made_up.rs"]
mod made_up;

use std::fs;
use std::process::Command;

use folder::Folder;
use perf_lab::record::Campaign;
use perf_lab::report::check::{Rule, check};

/// Folder of the run of penstock in the open cell.
const RUN: &str = "00000000-0000-4000-8000-000000000005";

/// A file of that run, what is replaced in it and by what, and the rule that breaks.
const PLANTED: &[(&str, &str, &str, Rule)] = &[
    ("smp/result.yaml", "p90: ", "p90: 1", Rule::Binary),
    ("smp/result.yaml", "p90: 0.", "p90: 7.", Rule::Latency),
    (
        "smp/result.yaml",
        "latency_unit: ms",
        "latency_unit: s",
        Rule::Latency,
    ),
    (
        "smp/result.yaml",
        "kind: corrected",
        "kind: average",
        Rule::Latency,
    ),
    (
        "smp/result.yaml",
        ".test-config",
        ".other-config",
        Rule::Ids,
    ),
    (
        "smp/result.yaml",
        "smp_version: v0.0.1",
        "version: v0.0.1",
        Rule::Form,
    ),
    (
        "smp/result.yaml",
        "valid: \"true\"",
        "valid: \"yes\"",
        Rule::Labels,
    ),
    (
        "smp/result.yaml",
        "valid: \"true\"",
        "valid: \"false\"",
        Rule::Labels,
    ),
    (
        "smp/result.yaml",
        "errors_total: \"0\"",
        "errors_total: \"3\"",
        Rule::Labels,
    ),
    ("smp/result.yaml", "  nic: lo", "  nick: lo", Rule::Labels),
    (
        "smp/result.yaml",
        "12:01:25Z",
        "13:01:25+01:00",
        Rule::Times,
    ),
    ("smp/result.yaml", "12:01:25Z", "12:01:05Z", Rule::Times),
    (
        "smp/service-mesh-config.yaml",
        "bps: ",
        "bps: 9",
        Rule::Form,
    ),
    (
        "smp/service-mesh-config.yaml",
        "bps: 2",
        "bps: 1",
        Rule::Saturation,
    ),
    (
        "smp/service-mesh-config.yaml",
        "exp_uuid: 0",
        "exp_uuid: 1",
        Rule::Ids,
    ),
    ("smp/environment-config.yaml", "id: 0", "id: 1", Rule::Ids),
    (
        "smp/test-config.yaml",
        "protocol: 1",
        "protocol: quic",
        Rule::Form,
    ),
    ("fortio/", "\"200\": ", "\"200\": 1", Rule::Fortio),
    (
        "fortio/",
        "\"ActualQPS\": 2",
        "\"ActualQPS\": 3",
        Rule::Fortio,
    ),
    (
        "fortio/",
        "\"Percent\": 100.0",
        "\"Percent\": 99.0",
        Rule::Fortio,
    ),
    (
        "fortio/",
        "\"Count\": 100\n",
        "\"Count\": 101\n",
        Rule::Fortio,
    ),
    ("fortio/", "\"Max\": 0.0", "\"Max\": 0.00000", Rule::Fortio),
    ("fortio/", "\"RunType\"", "\"Type\"", Rule::Form),
    (
        "meshery/test-config.yaml",
        "duration: 10s",
        "duration: 10",
        Rule::Meshery,
    ),
    (
        "meshery/test-config.yaml",
        "protocol: http",
        "protocol: h1",
        Rule::Meshery,
    ),
    (
        "meshery/test-config.yaml",
        "connections: 64",
        "connections: 640000",
        Rule::Meshery,
    ),
    (
        "meshery/test-config.yaml",
        "rps: 20000",
        "rps: 20000000",
        Rule::Meshery,
    ),
    (
        "meshery/test-config.yaml",
        "  name: ",
        "  nom: ",
        Rule::Form,
    ),
    (
        "meshery/result.json",
        "\"testId\": \"0",
        "\"testId\": \"1",
        Rule::Ids,
    ),
    (
        "meshery/result.json",
        "\"owner\"",
        "\"user_id\"",
        Rule::Form,
    ),
    (
        "report.html",
        "<main>",
        "<script src=x></script><main>",
        Rule::Page,
    ),
    ("report.html", "</html>", "", Rule::Form),
];

#[test]
fn a_folder_as_written_keeps_all_rules() {
    let folder = Folder::with("whole", &made_up::small());
    assert_eq!(lines(&folder), "");
}

/// An origin that refuses one request in a hundred, and TCP; one subject, one round.
fn bad_days() -> Campaign {
    let mut refusing = made_up::cell("one-in-a-hundred", 0);
    refusing.special = vec![("503 by the origin".to_owned(), "each 100th".to_owned())];
    let mut echo = made_up::cell("ping-pong", 0);
    echo.protocol = "tcp".to_owned();
    (echo.request_bytes, echo.response_bytes) = (64, 64);
    let mut campaign = made_up::of(
        vec![refusing, echo],
        vec![made_up::subject("nginx", "nginx")],
        1,
    );
    for run in &mut campaign.runs {
        let all = run.load.answered;
        run.load.statuses = match run.cell {
            0 => vec![(200, all - all / 100), (503, all / 100)],
            _ => Vec::new(),
        };
    }
    campaign
}

/// W12 as it is recorded: each 503 of the origin is an answer. TCP knows no status.
#[test]
fn refusals_on_purpose_and_tcp_keep_all_rules() {
    let mut campaign = bad_days();
    let folder = Folder::with("bad-days", &campaign);
    assert_eq!(lines(&folder), "");
    let codes = |run: usize| fortio(&folder, &campaign.runs[run].id)["RetCodes"].clone();
    let load = &campaign.runs[0].load;
    let (ok, refused) = (load.statuses[0].1, load.statuses[1].1);
    assert_eq!(codes(0), serde_json::json!({"200": ok, "503": refused}));
    assert_eq!(ok + refused, load.service.count);
    let echoed = campaign.runs[2].load.answered;
    assert_eq!(codes(2), serde_json::json!({"OK": echoed}));

    // A record from before has a status 0 there.
    campaign.runs[2].load.statuses = vec![(0, echoed)];
    let older = Folder::with("bad-days-older", &campaign);
    assert_eq!(lines(&older), "");
    let codes = fortio(&older, &campaign.runs[2].id)["RetCodes"].clone();
    assert_eq!(codes, serde_json::json!({"OK": echoed}));
}

/// What Fortio has of a run.
fn fortio(folder: &Folder, run: &str) -> serde_json::Value {
    let first = fs::read_dir(folder.0.join(run).join("fortio")).expect("a folder");
    let mut first = first.map(|entry| entry.expect("an entry").path());
    let text = fs::read(first.next().expect("a file")).expect("written");
    serde_json::from_slice(&text).expect("it is JSON")
}

fn lines(folder: &Folder) -> String {
    let findings = check(&folder.0);
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[test]
fn planted_faults_are_found_where_they_are() {
    let folder = Folder::with("planted", &made_up::small());
    for (name, from, to, rule) in PLANTED {
        let mut path = folder.0.join(RUN).join(name);
        if name.ends_with('/') {
            let first = fs::read_dir(&path).expect("a folder").next();
            path = first.expect("a file").expect("an entry").path();
        }
        let text = fs::read_to_string(&path).expect("written");
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{name}: `{from}` is not there");
        fs::write(&path, changed).expect("there is room");

        let findings = check(&folder.0);
        let found = findings
            .iter()
            .any(|finding| finding.rule == *rule && finding.file.starts_with(folder.0.join(RUN)));
        assert!(found, "{name}: `{to}` breaks {rule:?}, found {findings:?}");
        fs::write(&path, text).expect("there is room");
    }
}

#[test]
fn what_is_missing_or_left_over_is_found() {
    let folder = Folder::with("missing", &made_up::small());
    let run = folder.0.join(RUN);
    fs::write(run.join("smp/.result.yaml.part"), "smp_ver").expect("there is room");
    fs::remove_file(run.join("raw/series.csv")).expect("written");
    let rules: Vec<Rule> = check(&folder.0).iter().map(|found| found.rule).collect();
    assert_eq!(rules, [Rule::Leftover, Rule::Missing]);
}

#[test]
fn a_campaign_that_broke_off_is_no_result() {
    let mut campaign = made_up::small();
    campaign.complete = false;
    let folder = Folder::with("broken", &campaign);
    let findings = check(&folder.0);
    assert_eq!(findings.len(), 1);
    assert!(
        findings[0].to_string().contains("broke off"),
        "{}",
        findings[0]
    );
    let page = fs::read_to_string(folder.0.join("report.html")).expect("written");
    assert!(page.contains("This campaign broke off"));
}

#[test]
fn the_command_says_file_rule_and_remedy_and_fails() {
    let folder = Folder::with("command", &made_up::small());
    let check = || {
        Command::new(env!("CARGO_BIN_EXE_perf-lab"))
            .arg("check")
            .arg(&folder.0)
            .output()
            .expect("the binary runs")
    };
    let good = check();
    assert!(good.status.success(), "{good:?}");

    let path = folder.0.join(RUN).join("smp/result.pb");
    fs::write(&path, b"\x0a\x05ab").expect("there is room");
    let bad = check();
    let text = String::from_utf8_lossy(&bad.stdout);
    assert_eq!(bad.status.code(), Some(1));
    let line = text.lines().next().expect("one fault");
    assert!(
        line.contains("smp/result.pb: binary: it cannot be decoded"),
        "{line}"
    );
    assert!(line.contains("perf-lab report"), "{line}");

    let rebuilt = Command::new(env!("CARGO_BIN_EXE_perf-lab"))
        .arg("report")
        .arg(&folder.0)
        .output()
        .expect("the binary runs");
    assert!(rebuilt.status.success(), "{rebuilt:?}");
    assert!(self::check(&folder.0).is_empty());
}
