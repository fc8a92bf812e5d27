//! Tests of the way from worker to file.

use std::fs;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use penstock_core::config::SinkId;

use super::ring::ring;
use super::*;

const LONG: Duration = Duration::from_secs(30);

/// A folder of its own per test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "penstock-log-{}-{}",
            process::id(),
            NEXT.fetch_add(1, Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn file(sinks: &Sinks, path: &std::path::Path) -> SinkId {
    sinks.intern(SinkSpec::File(path.into())).unwrap()
}

#[test]
fn ids_stay_the_same() {
    let sinks = Sinks::default();
    let one = sinks.intern(SinkSpec::from_path("/dev/stdout")).unwrap();
    let two = sinks.intern(SinkSpec::from_path("/tmp/a")).unwrap();
    assert_eq!(one, sinks.intern(SinkSpec::Stdout).unwrap());
    assert_eq!(two, sinks.intern(SinkSpec::File("/tmp/a".into())).unwrap());
    assert_eq!((one, two), (SinkId(0), SinkId(1)));
}

#[test]
fn sinks_are_bounded() {
    let sinks = Sinks::default();
    for number in 0..SINKS_MAX {
        file(&sinks, format!("/tmp/{number}").as_ref());
    }
    let refused = sinks.intern(SinkSpec::Stderr).unwrap_err().to_string();
    assert!(
        refused.contains("/dev/stderr would be sink number 257"),
        "{refused}"
    );
    assert_eq!(file(&sinks, "/tmp/7".as_ref()), SinkId(7));
}

#[test]
fn a_full_ring_drops_whole_lines_and_counts_them() {
    let sinks = Arc::new(Sinks::default());
    let sink = sinks.intern(SinkSpec::Stdout).unwrap();
    let (mut worker, mut drain) = ring(64, sinks.clone());
    let pushed = (0..10)
        .filter(|_| worker.push(sink, b"0123456789\n"))
        .count();
    assert_eq!(pushed, 3); // 17 bytes each
    let dropped = || {
        sinks
            .counters(sink)
            .unwrap()
            .dropped_ring_full
            .load(Relaxed)
    };
    assert_eq!(dropped(), 7);
    let mut lines = 0;
    assert!(drain.drain(|_, first, second| {
        assert_eq!([first, second].concat(), b"0123456789\n");
        lines += 1;
    }));
    assert_eq!(lines, 3);
    assert!(worker.push(sink, b"there is room again\n"));
    assert!(!worker.push(sink, &[b'x'; 65]), "longer than the ring");
    assert_eq!(dropped(), 8);
}

/// What a line says cannot break the framing: empty lines, lines that look like frames, line ends,
/// control bytes, and every position of the wrap.
#[test]
fn lines_leave_the_ring_as_they_came() {
    let sinks = Arc::new(Sinks::default());
    let (mut worker, mut drain) = ring(97, sinks);
    let lines: [&[u8]; 6] = [
        b"",
        b"\n",
        b"\x01\x00\xff\xff\xff\x7f",
        b"a\r\nb \x1b[31m \"\\ \xff\xfe\n",
        b"\0\0\0\0\0\0\0\0\0\0\0\0",
        b"GET / HTTP/1.1\n",
    ];
    for round in 0..500_u16 {
        let sent = [lines[round as usize % 6], lines[(round as usize + 1) % 6]];
        assert!(sent.iter().all(|line| worker.push(SinkId(round), line)));
        let mut received = Vec::new();
        drain.drain(|sink, first, second| {
            assert_eq!(sink, SinkId(round));
            received.push([first, second].concat());
        });
        assert_eq!(received, sent);
    }
}

#[test]
fn every_worker_keeps_its_order() {
    let folder = Folder::new();
    let sinks = Arc::new(Sinks::default());
    let (writer, rings) = AccessLogWriter::start(sinks.clone(), 3).unwrap();
    let sink = file(&sinks, &folder.path("access.log"));
    std::thread::scope(|scope| {
        for (worker, mut ring) in rings.into_iter().enumerate() {
            scope.spawn(move || {
                for number in 0..2_000 {
                    assert!(ring.push(sink, format!("{worker} {number}\n").as_bytes()));
                }
            });
        }
    });
    assert!(writer.stop(LONG));
    let text = fs::read_to_string(folder.path("access.log")).unwrap();
    let mut next = [0; 3];
    for line in text.lines() {
        let (worker, number) = line.split_once(' ').unwrap();
        let next = &mut next[worker.parse::<usize>().unwrap()];
        assert_eq!(number.parse(), Ok(*next));
        *next += 1;
    }
    assert_eq!(next, [2_000; 3]);
    assert_eq!(sinks.counters(sink).unwrap().written.load(Relaxed), 6_000);
}

#[test]
fn rotation_loses_nothing() {
    let folder = Folder::new();
    let sinks = Arc::new(Sinks::default());
    let (writer, mut rings) = AccessLogWriter::start(sinks.clone(), 1).unwrap();
    let (name, old) = (folder.path("access.log"), folder.path("access.log.1"));
    let sink = file(&sinks, &name);
    assert!(rings[0].push(sink, b"one\n"));
    assert!(writer.flush(LONG));
    fs::rename(&name, &old).unwrap();
    assert!(rings[0].push(sink, b"two\n"));
    assert!(writer.flush(LONG));
    writer.reopen();
    assert!(writer.flush(LONG));
    assert!(rings[0].push(sink, b"three\n"));
    drop(writer);
    assert_eq!(fs::read_to_string(old).unwrap(), "one\ntwo\n");
    assert_eq!(fs::read_to_string(name).unwrap(), "three\n");
}

#[test]
fn a_full_disk_is_counted_and_hurts_no_other_sink() {
    let folder = Folder::new();
    let sinks = Arc::new(Sinks::default());
    let (writer, mut rings) = AccessLogWriter::start(sinks.clone(), 1).unwrap();
    let full = file(&sinks, "/dev/full".as_ref());
    let good = file(&sinks, &folder.path("good.log"));
    for _ in 0..100 {
        assert!(rings[0].push(full, b"lost\n"));
        assert!(rings[0].push(good, b"kept\n"));
    }
    assert!(writer.flush(LONG));
    let counters = sinks.counters(full).unwrap();
    assert_eq!(counters.dropped_write_failed.load(Relaxed), 100);
    assert_eq!(counters.written.load(Relaxed), 0);
    let text = fs::read_to_string(folder.path("good.log")).unwrap();
    assert_eq!(text.lines().count(), 100);
}

#[test]
fn a_folder_made_later_is_found() {
    let folder = Folder::new();
    let sinks = Arc::new(Sinks::default());
    let (writer, mut rings) = AccessLogWriter::start(sinks.clone(), 1).unwrap();
    let sink = file(&sinks, &folder.path("later/access.log"));
    assert!(rings[0].push(sink, b"lost\n"));
    assert!(writer.flush(LONG));
    fs::create_dir(folder.path("later")).unwrap();
    assert!(rings[0].push(sink, b"kept\n"));
    assert!(writer.flush(LONG));
    let text = fs::read_to_string(folder.path("later/access.log")).unwrap();
    assert_eq!(text, "kept\n");
    assert_eq!(
        sinks
            .counters(sink)
            .unwrap()
            .dropped_write_failed
            .load(Relaxed),
        1
    );
}
