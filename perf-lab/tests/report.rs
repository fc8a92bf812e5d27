//! The files of a campaign, read back and compared.

#[path = "report/folder.rs"]
mod folder;
#[path = "report/made_up.rs"]
mod made_up;

use std::fs;
use std::path::{Path, PathBuf};

use folder::Folder;

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
