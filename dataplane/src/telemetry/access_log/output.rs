//! One sink while it is open: a batch in memory, and what to do when the kernel says no.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::Ordering::Relaxed;

use super::{SinkCounters, SinkSpec};

/// Bytes that are collected before they are written.
const BATCH: usize = 64 * 1024;

/// A sink's writing end. Faults are logged once, until the sink works again.
#[derive(Debug)]
pub(super) struct Output {
    spec: SinkSpec,
    open: Option<Stream>,
    batch: Vec<u8>,
    lines: u64,
    failing: bool,
    torn: bool,
}

#[derive(Debug)]
enum Stream {
    Stdout(io::Stdout),
    Stderr(io::Stderr),
    File(File),
}

impl Output {
    /// Opens the sink; one that cannot be opened is tried again with every batch.
    pub(super) fn new(spec: SinkSpec) -> Self {
        let mut output = Self {
            spec,
            open: None,
            batch: Vec::with_capacity(BATCH),
            lines: 0,
            failing: false,
            torn: false,
        };
        output.ensure_open();
        output
    }

    /// Adds a line, given in two parts, to the batch.
    pub(super) fn add(&mut self, line: (&[u8], &[u8]), counters: &SinkCounters) {
        if self.batch.len() + line.0.len() + line.1.len() > BATCH {
            self.flush(counters);
        }
        self.batch.extend_from_slice(line.0);
        self.batch.extend_from_slice(line.1);
        self.lines += 1;
    }

    /// Writes the batch. What cannot be written is dropped and counted: keeping it would only move
    /// the loss, and memory stays bounded.
    pub(super) fn flush(&mut self, counters: &SinkCounters) {
        if self.batch.is_empty() {
            return;
        }
        let lines = std::mem::take(&mut self.lines);
        match self.write_batch() {
            true => counters.written.fetch_add(lines, Relaxed),
            false => counters.dropped_write_failed.fetch_add(lines, Relaxed),
        };
        self.batch.clear();
        self.batch.shrink_to(BATCH);
    }

    /// Writes what is there to the old file and goes on in the one that now has the name.
    pub(super) fn reopen(&mut self, counters: &SinkCounters) {
        self.flush(counters);
        self.open = None;
        self.torn = false;
        self.ensure_open();
    }

    fn write_batch(&mut self) -> bool {
        if !self.ensure_open() {
            return false;
        }
        let Some(stream) = &mut self.open else {
            return false;
        };
        match write_all(stream, &mut self.torn, &self.batch) {
            Ok(()) => self.works_again(),
            Err(fault) => self.report("write to", &fault),
        }
    }

    fn ensure_open(&mut self) -> bool {
        if self.open.is_some() {
            return true;
        }
        match open(&self.spec) {
            Ok(stream) => {
                self.open = Some(stream);
                true
            }
            Err(fault) => self.report("open", &fault),
        }
    }

    fn works_again(&mut self) -> bool {
        if std::mem::take(&mut self.failing) {
            tracing::info!(sink = %self.spec, "access log works again");
        }
        true
    }

    fn report(&mut self, action: &str, fault: &io::Error) -> bool {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::error!(
                "cannot {action} access log {}: {fault}; lines are dropped and counted in \
                 penstock_access_log_dropped_total until it works again; {}",
                self.spec,
                remedy(fault.kind())
            );
        }
        false
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(stream) => stream.write(bytes),
            Self::Stderr(stream) => stream.write(bytes),
            Self::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(stream) => stream.flush(),
            Self::Stderr(stream) => stream.flush(),
            Self::File(_) => Ok(()),
        }
    }
}

fn open(spec: &SinkSpec) -> io::Result<Stream> {
    Ok(match spec {
        SinkSpec::Stdout => Stream::Stdout(io::stdout()),
        SinkSpec::Stderr => Stream::Stderr(io::stderr()),
        // Access logs hold what clients sent: not for everybody's eyes.
        SinkSpec::File(path) => Stream::File(
            OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o640)
                .open(path)?,
        ),
    })
}

/// Writes `batch`; remembers in `torn` whether a line was cut, and ends that line first.
fn write_all(stream: &mut Stream, torn: &mut bool, mut batch: &[u8]) -> io::Result<()> {
    if *torn && !batch.is_empty() {
        stream.write_all(b"\n")?;
        *torn = false;
    }
    while !batch.is_empty() {
        let written = match stream.write(batch) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => continue,
            Err(fault) => return Err(fault),
        };
        *torn = batch[written - 1] != b'\n';
        batch = &batch[written..];
    }
    stream.flush()
}

fn remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room on the file system, or send SIGUSR1 after moving old logs away"
        }
        io::ErrorKind::PermissionDenied => {
            "let the user of this process write the file and its folder"
        }
        io::ErrorKind::NotFound => "make its folder",
        io::ErrorKind::ReadOnlyFilesystem => "choose a path on a file system that can be written",
        io::ErrorKind::IsADirectory => "name a file, not a folder",
        io::ErrorKind::BrokenPipe => "restart whoever reads the stream",
        _ => "see that the path can be written by this process",
    }
}
