//! The commands that read what was measured: `report`, `check` and `compare`.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use perf_lab::report;

#[derive(Debug, Args)]
pub(crate) struct FolderOptions {
    /// Folder of a campaign, with its campaign.json
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Writes everything anew from the record.
pub(crate) fn report(options: &FolderOptions) -> io::Result<ExitCode> {
    let campaign = report::read(&options.folder)?;
    report::write(&campaign, &options.folder)?;
    println!("{}", options.folder.join("report.html").display());
    Ok(ExitCode::SUCCESS)
}

/// Prints every fault, one in a line.
pub(crate) fn check(options: &FolderOptions) -> io::Result<ExitCode> {
    let findings = report::check::check(&options.folder);
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => {
            println!("{}: all rules hold", options.folder.display());
            Ok(ExitCode::SUCCESS)
        }
        _ => Ok(ExitCode::FAILURE),
    }
}
