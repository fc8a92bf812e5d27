//! The folder of a campaign: called `ID.partial` until everything is in it, then `ID`.
//!
//! Each run is appended to `runs.jsonl` when it is done, so that little is lost when the power is;
//! the record is written at the begin, without runs, and at the end, with all of them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::record::{Campaign, Run};
use crate::report::RECORD;
use crate::report::store::{named, store};

/// Where subjects keep configurations and logs while they run.
pub(super) const SUBJECTS: &str = "subjects";

/// Runs that are done, one in a line, while others follow.
const RUNS: &str = "runs.jsonl";

/// The folder of one campaign.
#[derive(Debug)]
pub(super) struct Folder {
    partial: PathBuf,
    whole: PathBuf,
    runs: File,
    /// Bytes of the runs that are in it.
    written: u64,
}

impl Folder {
    /// Makes it below `results`.
    pub(super) fn create(results: &Path, id: &str) -> io::Result<Self> {
        let results = std::path::absolute(results)?;
        let partial = results.join(format!("{id}.partial"));
        fs::create_dir_all(&partial).map_err(|error| advise(named(&partial, &error)))?;
        let path = partial.join(RUNS);
        let runs = File::create(&path).map_err(|error| advise(named(&path, &error)))?;
        Ok(Self {
            runs,
            written: 0,
            partial,
            whole: results.join(id),
        })
    }

    /// Where it is while it is incomplete.
    pub(super) fn path(&self) -> &Path {
        &self.partial
    }

    /// Writes down what there is so far.
    pub(super) fn keep(&self, campaign: &Campaign) -> io::Result<()> {
        let json = serde_json::to_vec(campaign).map_err(io::Error::other)?;
        store(&self.partial.join(RECORD), &json).map_err(advise)
    }

    /// Appends a run; what does not fit is not left there in part.
    pub(super) fn append(&mut self, run: &Run) -> io::Result<()> {
        let mut line = serde_json::to_vec(run).map_err(io::Error::other)?;
        line.push(b'\n');
        if let Err(error) = self.runs.write_all(&line) {
            // The first error is the one to tell.
            let _ = self.runs.set_len(self.written);
            return Err(advise(named(&self.partial.join(RUNS), &error)));
        }
        self.written += line.len() as u64;
        Ok(())
    }

    /// Gives it its final name; configurations and logs of a good end are of no use.
    pub(super) fn finish(&self, campaign: &Campaign) -> io::Result<PathBuf> {
        self.keep(campaign)?;
        self.close()
    }

    /// Gives it its final name with this file in it, which is no campaign.
    pub(super) fn finish_with(&self, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        store(&self.partial.join(name), bytes).map_err(advise)?;
        self.close()
    }

    fn close(&self) -> io::Result<PathBuf> {
        let runs = self.partial.join(RUNS);
        fs::remove_file(&runs).map_err(|error| named(&runs, &error))?;
        let subjects = self.partial.join(SUBJECTS);
        if subjects.is_dir() {
            fs::remove_dir_all(&subjects).map_err(|error| named(&subjects, &error))?;
        }
        fs::rename(&self.partial, &self.whole).map_err(|error| named(&self.whole, &error))?;
        Ok(self.whole.clone())
    }
}

/// Says what to do where the disk is the cause.
pub(super) fn advise(error: io::Error) -> io::Error {
    use io::ErrorKind::{FileTooLarge, PermissionDenied, QuotaExceeded, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge | PermissionDenied => {
            let kind = error.kind();
            let remedy = "make room, or name another folder with --results";
            io::Error::new(kind, format!("{error}; {remedy}"))
        }
        _ => error,
    }
}
