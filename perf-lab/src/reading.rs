//! The commands that read what was measured: `report`, `check` and `compare`.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use perf_lab::compare::Comparison;
use perf_lab::report;

#[derive(Debug, Args)]
pub(crate) struct FolderOptions {
    /// Folder of a campaign, with its campaign.json
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CompareOptions {
    /// Folder of the earlier campaign
    #[arg(value_name = "A")]
    a: PathBuf,
    /// Folder of the later campaign
    #[arg(value_name = "B")]
    b: PathBuf,
    /// Where the page goes [default: compare.html in B]
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
}

/// Prints the two side by side and writes the page.
pub(crate) fn compare(options: &CompareOptions) -> io::Result<ExitCode> {
    let (a, b) = (report::read(&options.a)?, report::read(&options.b)?);
    let comparison = Comparison::of(&a, &b).map_err(io::Error::other)?;
    print!("{}", comparison.text());
    let default = || options.b.join("compare.html");
    let page = options.page.clone().unwrap_or_else(default);
    report::write_page(&page, &comparison.page())?;
    println!("\npage: {}", page.display());
    Ok(ExitCode::SUCCESS)
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
