//! A folder with the reports of the small campaign, as `perf-lab run` leaves it.

use std::path::PathBuf;
use std::{env, fs, process};

use perf_lab::record::Campaign;
use perf_lab::report;

/// A folder of a test that goes when the test goes.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    /// A folder of this name with all files of the campaign.
    pub(crate) fn with(name: &str, campaign: &Campaign) -> Self {
        let name = format!("perf-lab-{name}-{}", process::id());
        let folder = Self(env::temp_dir().join(name));
        fs::create_dir_all(&folder.0).expect("there is room");
        let record = serde_json::to_vec(campaign).expect("a record has a form");
        fs::write(folder.0.join(report::RECORD), record).expect("there is room");
        report::write(campaign, &folder.0).expect("there is room");
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
