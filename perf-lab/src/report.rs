//! A campaign as files: what others read, what people read, and the page that shows it.
//!
//! Takes the record of a measurement and never measures. The folder of a campaign is named by its
//! id; every run has a folder of its own below it, named by the id of the run.
//!
//! ```text
//! <campaign>/campaign.json               the record; written by who measured
//! <campaign>/report.html                 the page of the whole comparison
//! <campaign>/<run>/smp/*.yaml result.pb  Service Mesh Performance v0.6.1
//! <campaign>/<run>/fortio/*.json         the same result as Fortio has it
//! <campaign>/<run>/meshery/*             test and result as Meshery has them
//! <campaign>/<run>/raw/*                 histograms and the window in slices
//! <campaign>/<run>/report.html           the page of the run
//! ```

mod again;
pub mod check;
pub(crate) mod entry;
mod files;
mod fortio;
mod histogram;
mod meshery;
mod mue;
mod onepage;
pub(crate) mod page;
mod raw;
pub mod shortness;
mod smp;
pub(crate) mod store;
pub mod summary;

use std::fs;
use std::io;
use std::path::Path;

use crate::record::Campaign;
use entry::Entry;
use store::{named, store};

/// Name of the record inside the folder of a campaign.
pub const RECORD: &str = "campaign.json";

/// Writes all files of a campaign below its folder: one folder for each run, and `report.html`.
/// What is there already is replaced; [`RECORD`] is not touched.
///
/// # Errors
/// If a file cannot be written; the error names it, and no half of it is left under its name.
pub fn write(campaign: &Campaign, folder: &Path) -> io::Result<()> {
    for entry in Entry::all(campaign)? {
        let folder = folder.join(&entry.run.id);
        for file in files::of_run(&entry)? {
            store(&folder.join(file.name), &file.bytes)?;
        }
    }
    let page = page::of_campaign(campaign);
    store(&folder.join("report.html"), page.as_bytes())
}

/// Writes a page, whole or not at all.
///
/// # Errors
/// If it cannot be written; the error names the file.
pub fn write_page(path: &Path, page: &str) -> io::Result<()> {
    store(path, page.as_bytes())
}

/// The record in a folder.
///
/// # Errors
/// If there is none, or it is damaged; the error names the file.
pub fn read(folder: &Path) -> io::Result<Campaign> {
    let path = folder.join(RECORD);
    let text = fs::read_to_string(&path).map_err(|error| named(&path, &error))?;
    serde_json::from_str(&text).map_err(|error| named(&path, &error.into()))
}
