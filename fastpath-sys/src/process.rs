//! Limits and clocks of the process and its threads.

use std::io;
use std::mem;
use std::time::Duration;

use crate::check;

/// The soft and the hard limit of open descriptors (`RLIMIT_NOFILE`).
pub fn descriptor_limit() -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes one rlimit into a local.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Sets the soft limit of open descriptors; it cannot exceed the hard one.
pub fn set_descriptor_limit(soft: u64) -> io::Result<()> {
    let (_, hard) = descriptor_limit()?;
    let limit = libc::rlimit {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: the kernel reads one rlimit from a local.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
    Ok(())
}

/// Raises the soft limit of open descriptors to the hard one and says what it is now.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let (soft, hard) = descriptor_limit()?;
    if soft < hard {
        set_descriptor_limit(hard)?;
    }
    Ok(hard)
}

/// CPU time that the calling thread has used.
pub fn thread_cpu_time() -> Duration {
    cpu_time(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// CPU time that the process has used.
pub fn process_cpu_time() -> Duration {
    cpu_time(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn cpu_time(clock: libc::clockid_t) -> Duration {
    // SAFETY: timespec is a plain C struct; all zeroes is a valid value.
    let mut time: libc::timespec = unsafe { mem::zeroed() };
    // SAFETY: the kernel writes one timespec into a local. Both clocks exist on every Linux; if the
    // call failed all the same, the zero written above stands.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_clocks_answer() {
        let (soft, hard) = descriptor_limit().unwrap();
        assert!(soft <= hard);
        assert_eq!(raise_descriptor_limit().unwrap(), hard);
        assert!(process_cpu_time() >= thread_cpu_time());
    }
}
