//! What a thread of this program used, and its memory: load and origin, which the subject is not
//! charged for.

use std::fs;
use std::io;
use std::time::Duration;

/// Time on a CPU of a thread of this program so far.
pub(crate) fn of_thread(thread: u32) -> io::Result<Duration> {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat"))?;
    let first = text.split(' ').next().and_then(|field| field.parse().ok());
    first
        .map(Duration::from_nanos)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Resident memory of this program in bytes; 0 if the kernel does not say.
pub(crate) fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: Option<u64> = text.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}
