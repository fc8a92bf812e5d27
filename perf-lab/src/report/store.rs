//! Files that are whole or not there.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Writes a file under a name of its own and gives it its final name when all bytes are in it.
///
/// # Errors
/// If a folder cannot be made or the disk does not take the file; the error names the path, and
/// nothing lies under the final name that was not there before.
pub(crate) fn store(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_whole(path, bytes).map_err(|error| named(path, &error))
}

/// The same error with the file it is about.
pub(crate) fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not the name of a file",
        ));
    };
    fs::create_dir_all(folder)?;
    let part = folder.join(format!(".{}.part", name.to_string_lossy()));
    let written = fill(&part, bytes).and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        // What is left of it is of no use; the first error is the one to tell.
        let _ = fs::remove_file(&part);
    }
    written
}

fn fill(part: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create(part)?;
    file.write_all(bytes)?;
    file.flush()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::{env, fs, process};

    use super::store;

    #[test]
    fn a_full_disk_leaves_the_old_file_and_names_the_path() {
        let folder = env::temp_dir().join(format!("perf-lab-store-{}", process::id()));
        let path = folder.join("deep/result.yaml");
        store(&path, b"old").expect("there is room");

        // The kernel answers ENOSPC to every byte that is written there.
        symlink("/dev/full", folder.join("deep/.result.yaml.part")).expect("a new name");
        let error = store(&path, b"new").expect_err("the disk is full");

        assert!(
            error
                .to_string()
                .contains("deep/result.yaml: No space left"),
            "{error}"
        );
        assert_eq!(fs::read(&path).expect("it was there"), b"old");
        let left = fs::read_dir(folder.join("deep")).expect("a folder").count();
        assert_eq!(left, 1, "no part is left behind");
        fs::remove_dir_all(folder).expect("it is ours");
    }
}
