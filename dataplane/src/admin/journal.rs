//! The access log of the admin interface (`admin.access_log`): one line per request, written by the
//! same formats and the same writer as those of the listeners.

use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hyper::header::HOST;
use hyper::http::request::Parts;
use penstock_core::access_log::{Facts, Flags, Record};
use penstock_core::config::AccessLog;
use penstock_core::event::Time;
use penstock_core::http::{Method, RequestHead, Version};

use crate::telemetry::access_log::LogRing;

/// The logs, and the ring that leads to their sinks: the one after those of the workers.
#[derive(Debug)]
pub struct AdminLog {
    /// Formats and sinks.
    pub logs: Vec<AccessLog>,
    /// Belongs to the admin thread.
    pub ring: LogRing,
}

/// The running log.
#[derive(Debug)]
pub(super) struct Journal {
    logs: Vec<AccessLog>,
    ring: Mutex<LogRing>,
    hostname: Box<str>,
    started: Instant,
    connections: AtomicU64,
}

/// Both ends of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) remote: SocketAddr,
    pub(super) local: SocketAddr,
}

/// A request that is being answered; its lines are written when it is dropped, which is when the
/// last byte of the answer left, or nobody wanted it any more.
#[derive(Debug)]
pub(super) struct Entry {
    journal: Arc<Journal>,
    request: RequestHead,
    record: Record,
}

impl Journal {
    pub(super) fn new(log: AdminLog) -> Self {
        let hostname = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self {
            logs: log.logs,
            ring: Mutex::new(log.ring),
            hostname: hostname.trim().into(),
            started: Instant::now(),
            connections: AtomicU64::new(0),
        }
    }

    /// Begins the entry of a request.
    pub(super) fn entry(self: &Arc<Self>, head: &Parts, ends: Ends) -> Entry {
        Entry {
            journal: self.clone(),
            request: request(head),
            record: self.record(head, ends),
        }
    }

    fn record(&self, head: &Parts, ends: Ends) -> Record {
        let now = self.now();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        Record {
            start_wall: wall.map_or(0, |wall| wall.as_nanos() as u64),
            start: now,
            request_end: now,
            upstream_start: Time::NEVER,
            response_start: Time::NEVER,
            end: now,
            bytes_received: 0,
            bytes_sent: 0,
            status: 0,
            flags: Flags::default(),
            details: "admin",
            attempts: 0,
            version: version(head),
            downstream_direct: ends.remote,
            downstream_remote: ends.remote,
            downstream_local: ends.local,
            upstream_remote: None,
            upstream_local: None,
            connection: self.connections.fetch_add(1, Relaxed),
        }
    }

    fn now(&self) -> Time {
        Time(self.started.elapsed().as_nanos() as u64)
    }

    fn write(&self, facts: &Facts<'_>) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        for log in &self.logs {
            let mut line = Vec::new();
            log.format.write(facts, &mut line);
            // A line without room is counted by the ring.
            let _ = ring.push(log.sink, &line);
        }
    }
}

impl Entry {
    /// The answer is known.
    pub(super) fn answered(&mut self, status: u16) {
        self.record.status = status;
    }

    /// Bytes of the body leave.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.record.bytes_sent += bytes as u64;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.record.end = self.journal.now();
        self.journal.write(&Facts {
            request: &self.request,
            original_target: self.request.target(),
            response: None,
            trailers: None,
            record: &self.record,
            listener: "admin",
            route: "",
            virtual_host: "",
            cluster: "",
            hostname: &self.journal.hostname,
        });
    }
}

fn request(head: &Parts) -> RequestHead {
    let mut request = RequestHead::default();
    let method = head.method.as_str().as_bytes();
    request.method = Method::parse(method);
    request.method_text = request.fields.store(method);
    let target = head
        .uri
        .path_and_query()
        .map_or("*", |target| target.as_str());
    request.set_target(target.as_bytes());
    request.version = version(head);
    for (name, value) in &head.headers {
        match name == HOST {
            true => request.set_authority(value.as_bytes()),
            false => request
                .fields
                .push(name.as_str().as_bytes(), value.as_bytes()),
        }
    }
    request
}

fn version(head: &Parts) -> Version {
    match head.version {
        hyper::Version::HTTP_10 => Version::Http10,
        _ => Version::Http11,
    }
}
