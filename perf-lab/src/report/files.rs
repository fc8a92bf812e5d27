//! The files of one run, as bytes under the names that they have in its folder.

use std::io;

use penstock_proto::prost::Message;
use serde::Serialize;

use super::entry::Entry;
use super::smp::plain::Plain;
use super::{fortio, meshery, onepage, page, raw, smp};

/// A file that is to be written.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// Relative to the folder of the run, with `/`.
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// A test and the mesh that it ran on, as `mesheryctl perf apply -f` takes them.
#[derive(Debug, Serialize)]
struct TestFile {
    test: Plain,
    mesh: Plain,
}

/// All files of a run; its page comes last and links to the others.
///
/// # Errors
/// If a value has no form in a file.
pub(crate) fn of_run(entry: &Entry<'_>) -> io::Result<Vec<File>> {
    let mut files = smp_files(entry)?;
    files.extend(fortio_files(entry)?);
    files.extend(raw_files(entry));
    let names: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
    files.push(file(
        "report.html",
        page::of_run(entry, &names).into_bytes(),
    ));
    Ok(files)
}

fn smp_files(entry: &Entry<'_>) -> io::Result<Vec<File>> {
    let result = smp::result(entry);
    let test = TestFile {
        test: Plain::of(&smp::test_config(entry)),
        mesh: Plain::of(&smp::mesh(entry)),
    };
    let mesh = Plain::of(&smp::mesh_config(entry));
    let environment = Plain::of(&smp::environment(entry));
    Ok(vec![
        yaml("smp/test-config.yaml", &test)?,
        yaml("smp/service-mesh-config.yaml", &mesh)?,
        yaml("smp/environment-config.yaml", &environment)?,
        yaml("smp/result.yaml", &Plain::of(&result))?,
        file("smp/result.pb", result.encode_to_vec()),
        yaml("smp/report.yaml", &onepage::page(entry))?,
    ])
}

/// One file of Fortio for each latency that was taken; Meshery takes the one that counts.
fn fortio_files(entry: &Entry<'_>) -> io::Result<Vec<File>> {
    let mut taken = entry.latencies();
    if taken.is_empty() {
        taken.push(entry.latency());
    }
    let mut files = Vec::new();
    for (kind, latency) in taken {
        let name = format!("fortio/{}", fortio::file_name(entry, kind));
        files.push(json(&name, &fortio::result(entry, kind, latency))?);
    }
    let (kind, latency) = entry.latency();
    let record = meshery::record(entry, fortio::result(entry, kind, latency));
    files.push(yaml(
        "meshery/test-config.yaml",
        &meshery::test_file(entry),
    )?);
    files.push(json("meshery/result.json", &record)?);
    Ok(files)
}

fn raw_files(entry: &Entry<'_>) -> Vec<File> {
    let logs = entry.latencies().into_iter().filter_map(|(kind, latency)| {
        let log = raw::interval_log(entry, kind, latency)?;
        Some(file(&format!("raw/{}.hlog", kind.name()), log))
    });
    let mut files: Vec<File> = logs.collect();
    files.push(file("raw/series.csv", raw::series(entry).into_bytes()));
    files
}

fn file(name: &str, bytes: Vec<u8>) -> File {
    let name = name.to_owned();
    File { name, bytes }
}

fn yaml(name: &str, value: &impl Serialize) -> io::Result<File> {
    let text = serde_saphyr::to_string(value);
    let text = text.map_err(|error| io::Error::other(format!("{name}: {error}")))?;
    Ok(file(name, text.into_bytes()))
}

fn json(name: &str, value: &impl Serialize) -> io::Result<File> {
    let text = serde_json::to_vec_pretty(value);
    let mut text = text.map_err(|error| io::Error::other(format!("{name}: {error}")))?;
    text.push(b'\n');
    Ok(file(name, text))
}
