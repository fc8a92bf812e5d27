//! A folder of one test, and campaigns that are run in it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use perf_lab::record::Campaign;

/// A folder of one test, gone when the test is.
pub(crate) struct Room(pub(crate) PathBuf);

impl Room {
    pub(crate) fn new(name: &str) -> Self {
        let folder = format!("perf-lab-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(folder);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes an experiment with these subjects and cells.
    pub(crate) fn experiment(&self, subjects: &str, cells: &str) -> PathBuf {
        let path = self.0.join("tiny.yaml");
        let text = format!(
            "name: tiny\nabout: a test\nlayout: C\nwarm_up: 50ms\nwindow: 200ms\nrounds: 1\n\
             baseline: relay-epoll\nsubjects: {subjects}\ncells:\n{cells}\n"
        );
        fs::write(&path, text).unwrap();
        path
    }

    /// A program that is the relay until `script` ends it.
    pub(crate) fn program(&self, script: &str) -> PathBuf {
        let path = self.0.join("program.sh");
        let relay = env!("CARGO_BIN_EXE_perf-lab");
        fs::write(&path, format!("#!/bin/sh\nrelay={relay}\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    pub(crate) fn run(&self, experiment: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_perf-lab"));
        command
            .arg("run")
            .arg(experiment)
            .arg("--results")
            .arg(self.results());
        command
    }

    /// Runs an experiment of these subjects and cells to its end.
    pub(crate) fn measure(&self, subjects: &str, cells: &str) -> Output {
        let file = self.experiment(subjects, cells);
        self.run(&file).output().unwrap()
    }

    pub(crate) fn results(&self) -> PathBuf {
        self.0.join("results")
    }

    /// The only folder of results; by its name it is whole or partial.
    pub(crate) fn folder(&self) -> PathBuf {
        let mut all = fs::read_dir(self.results()).unwrap();
        let only = all.next().expect("a folder of results").unwrap().path();
        assert!(all.next().is_none(), "more than one folder");
        only
    }

    /// No folder that could be taken for a whole one.
    pub(crate) fn assert_partial(&self) -> Campaign {
        let folder = self.folder();
        assert!(folder.to_string_lossy().ends_with(".partial"), "{folder:?}");
        assert!(!folder.join("report.html").exists());
        let campaign = campaign(&folder);
        assert!(!campaign.complete);
        campaign
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // What cannot be removed lies among other temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn campaign(folder: &Path) -> Campaign {
    let text = fs::read_to_string(folder.join("campaign.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) const CELL: &str = "  - {name: a, connections: 4, response: 100}";

/// What it said when it refused.
#[track_caller]
pub(crate) fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", errors(output));
    errors(output)
}

/// The relay and a program in its place, in this order or, `first`, the other way round.
pub(crate) fn beside_the_relay(name: &str, program: &Path, first: bool) -> String {
    let own = format!(
        "{{name: {name}, like: relay-epoll, program: {}}}",
        program.display()
    );
    match first {
        true => format!("[{own}, relay-epoll]"),
        false => format!("[relay-epoll, {own}]"),
    }
}
