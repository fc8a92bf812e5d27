//! The files of a campaign, read back and compared.

#[path = "report/folder.rs"]
mod folder;
#[path = "report/made_up.rs"]
mod made_up;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use folder::Folder;
use perf_lab::record::Start;
use perf_lab::report;

#[test]
fn every_run_has_its_folder_void_ones_too() {
    let campaign = made_up::small();
    let folder = Folder::with("folders", &campaign);
    assert!(folder.0.join("report.html").exists());
    for run in &campaign.runs {
        let files = files(&folder.0.join(&run.id));
        let taken = if campaign.cells[run.cell].rate > 0 {
            2
        } else {
            1
        };
        assert_eq!(files.len(), 10 + 2 * taken, "{files:?}");
    }
    let void = folder.0.join(&campaign.runs[1].id).join("smp/result.yaml");
    let void = fs::read_to_string(void).expect("written");
    assert!(void.contains("valid: \"false\"") && void.contains("errors_total: \"5\""));
}

#[test]
fn labels_say_where_and_what_was_measured() {
    let mut campaign = made_up::small();
    campaign.subjects[1].product = "direct".to_owned();
    let folder = Folder::with("labels", &campaign);
    let labels = |run: usize| {
        let path = folder
            .0
            .join(&campaign.runs[run].id)
            .join("smp/result.yaml");
        let text = fs::read_to_string(path).expect("written");
        let yaml: serde_json::Value = serde_saphyr::from_str(&text).expect("it is YAML");
        yaml["labels"].clone()
    };
    let penstock = labels(0);
    for (name, value) in [
        ("seed", "7"),
        ("cpus_proxy", "0"),
        ("cpus_load", "1"),
        ("cpus_origin", "1"),
        ("numa_nodes", "1"),
        ("git_rev", "fedcba987654"),
        ("dirty", "true"),
        ("source_rev", "0123456789ab"),
    ] {
        assert_eq!(penstock[name], value, "{name}");
    }
    let direct = labels(1);
    assert_eq!(direct["cpus_proxy"], serde_json::Value::Null);
    assert_eq!(direct["git_rev"], "0123456789ab", "it says none of its own");
    assert_eq!(direct["source_rev"], serde_json::Value::Null);
    let page = fs::read_to_string(folder.0.join("report.html")).expect("written");
    let measured = "fedcba987654, with changes; the source tree was 0123456789ab";
    assert!(page.contains(measured));
}

#[test]
fn every_workload_says_what_measures_it_again() {
    let mut campaign = made_up::small();
    campaign.cells[1].chunked = true;
    campaign.subjects[1].starts = vec![start(0, "nginx -c first"), start(1, "nginx -c second")];
    let folder = Folder::with("commands", &campaign);
    let page = fs::read_to_string(folder.0.join("report.html")).expect("written");
    for command in [
        "perf-lab run h1 --cells keep-alive-1k<",
        "perf-lab run h1 --cells keep-alive-1k-half<",
        "nginx -c first<",
        "nginx -c second<",
    ] {
        assert!(page.contains(command), "{command}");
    }
    let smp = folder.0.join(&campaign.runs[4].id).join("smp");
    let report = fs::read_to_string(smp.join("report.yaml")).expect("written");
    assert!(report.contains("command: perf-lab run h1 --cells keep-alive-1k-half"));
    let test = fs::read_to_string(smp.join("test-config.yaml")).expect("written");
    assert!(
        test.contains("http://127.0.0.1/?size=1024&chunked=1"),
        "{test}"
    );
}

fn start(cell: usize, command: &str) -> Start {
    Start {
        cells: vec![cell],
        command: command.split(' ').map(str::to_owned).collect(),
        configuration: String::new(),
    }
}

#[test]
fn a_campaign_that_is_short_says_so() {
    let short = "shorter than a claim needs (1 round for 5): direction, not a claim";
    let campaign = made_up::small();
    let folder = Folder::with("short", &campaign);
    let run = folder.0.join(&campaign.runs[4].id);
    for file in ["smp/report.yaml", "report.html", "../report.html"] {
        let text = fs::read_to_string(run.join(file)).expect("written");
        // YAML folds long lines.
        let words: Vec<&str> = text.split_whitespace().collect();
        assert!(words.join(" ").contains(short), "{file}");
    }
    assert!(perf_lab::run::table(&campaign).contains(short));
}

#[test]
fn what_was_left_and_what_the_bed_used_is_told_where_it_is_known() {
    let mut campaign = made_up::small();
    campaign.subjects[1].product = "direct".to_owned();
    campaign.runs[2].load.on_cpu = 0;
    campaign.runs[3].cost.on_cpu = 0;
    let folder = Folder::with("left", &campaign);
    let yaml = |run: usize, name: &str| -> serde_json::Value {
        let path = folder.0.join(&campaign.runs[run].id).join(name);
        let text = fs::read_to_string(path).expect("written");
        serde_saphyr::from_str(&text).expect("it is YAML")
    };
    let efficiency = yaml(0, "smp/report.yaml")["efficiency"].clone();
    let share = |name: &str| efficiency[name].as_f64().expect("a number");
    let compute = f64::midpoint(share("mue_cpu"), share("mue_memory"));
    let index = 100.0 * f64::midpoint(compute, share("mue_latency"));
    assert!((share("meshmark_style_index") - index).abs() < 0.01);
    assert!(share("mue_cpu") < 1.0 && share("mue_latency") <= 1.0);
    assert_eq!(efficiency["weights"]["cpu"], 0.0);
    assert!(
        efficiency["missing"]
            .as_str()
            .expect("text")
            .contains("mue_nic")
    );

    let workloads = |run: usize| {
        let all = yaml(run, "smp/environment-config.yaml")["individual_workloads"].clone();
        let names = all.as_array().expect("a list").iter();
        names
            .map(|one| (one["name"].clone(), one["cpu_mcores"].as_u64() > Some(0)))
            .collect::<Vec<_>>()
    };
    let (proxy, bed) = (
        ("proxy".into(), true),
        ("load generator and origin".into(), true),
    );
    assert_eq!(workloads(0), [proxy, bed.clone()]);
    assert_eq!(
        workloads(2),
        [],
        "direct is no proxy, and nobody measured the bed"
    );
    let unknown = yaml(3, "smp/report.yaml");
    assert_eq!(unknown["efficiency"], serde_json::Value::Null);
    assert_eq!(
        unknown["metrics"]["ingress_gateway"]["cpu_mCores"],
        serde_json::Value::Null
    );
    assert_eq!(workloads(3), [bed]);
}

/// With `PENSTOCK_BLESS` set it writes the files instead.
#[test]
fn the_golden_run_has_the_same_bytes_in_all_forms() {
    let campaign = made_up::small();
    let folder = Folder::with("golden", &campaign);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/golden");
    let run = &campaign.runs[4].id;
    let mut names = files(&folder.0.join(run));
    names = names.iter().map(|name| Path::new(run).join(name)).collect();
    names.push("report.html".into());
    names.sort();
    if env::var_os("PENSTOCK_BLESS").is_some() {
        bless(&folder.0, &golden, &names);
    }
    assert_eq!(files(&golden), names);
    for name in names {
        let (is, should) = (fs::read(folder.0.join(&name)), fs::read(golden.join(&name)));
        assert!(
            is.expect("written") == should.expect("in the tree"),
            "{}: run this test with PENSTOCK_BLESS=1 and look at the difference",
            name.display()
        );
    }
}

fn bless(from: &Path, to: &Path, names: &[PathBuf]) {
    let _ = fs::remove_dir_all(to);
    for name in names {
        let path = to.join(name);
        fs::create_dir_all(path.parent().expect("it has a folder")).expect("there is room");
        fs::copy(from.join(name), path).expect("there is room");
    }
}

#[test]
fn the_record_that_is_read_gives_the_same_page() {
    let folder = Folder::with("again", &made_up::small());
    let read = report::read(&folder.0).expect("it is whole");
    assert_eq!(read, made_up::small());
    let page = folder.0.join("report.html");
    let first = fs::read(&page).expect("written");
    report::write(&read, &folder.0).expect("there is room");
    assert_eq!(fs::read(&page).expect("written"), first);
}

#[test]
fn a_record_that_lies_is_refused_and_not_followed() {
    let folder = Folder::with("lies", &made_up::small());
    let mut campaign = made_up::small();
    campaign.runs[0].id = "../elsewhere".to_owned();
    let error = report::write(&campaign, &folder.0).expect_err("no name of a folder");
    assert!(error.to_string().contains("no UUID"), "{error}");
    campaign = made_up::small();
    campaign.runs[0].subject = 9;
    let error = report::write(&campaign, &folder.0).expect_err("no such subject");
    assert!(error.to_string().contains("no subject 9"), "{error}");
    fs::write(folder.0.join(report::RECORD), "{\"id\": ").expect("there is room");
    let error = report::read(&folder.0).expect_err("half a record");
    assert!(error.to_string().contains("campaign.json: EOF"), "{error}");
}

/// All files below a folder, relative to it, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.push(path.strip_prefix(folder).expect("below it").to_owned());
            }
        }
    }
    files.sort();
    files
}
