//! The folder of a campaign: called `ID.partial` until everything is in it, then `ID`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::record::Campaign;
use crate::report::RECORD;
use crate::report::store::{named, store};

/// Where subjects keep configurations and logs while they run.
pub(super) const SUBJECTS: &str = "subjects";

/// The folder of one campaign.
#[derive(Debug)]
pub(super) struct Folder {
    partial: PathBuf,
    whole: PathBuf,
}

impl Folder {
    /// Makes it below `results`.
    pub(super) fn create(results: &Path, id: &str) -> io::Result<Self> {
        let results = std::path::absolute(results)?;
        let partial = results.join(format!("{id}.partial"));
        fs::create_dir_all(&partial).map_err(|error| advise(named(&partial, &error)))?;
        Ok(Self {
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

    /// Gives it its final name; configurations and logs of a good end are of no use.
    pub(super) fn finish(&self, campaign: &Campaign) -> io::Result<PathBuf> {
        self.keep(campaign)?;
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
