//! Which CPUs this process may use, and pinning a thread to one of them.

use std::io;
use std::mem;

use crate::check;

/// Words of a CPU mask that covers 8,192 CPUs, more than any kernel is built for.
const WORDS: usize = 128;

/// The CPUs that the calling thread may run on, in ascending order (`sched_getaffinity`).
pub fn allowed_cpus() -> io::Result<Vec<u32>> {
    let mut mask = [0_u64; WORDS];
    // SAFETY: the kernel writes at most the given number of bytes, which is the size of `mask`; a
    // mask of words has the layout that the call expects.
    check(unsafe {
        libc::sched_getaffinity(0, mem::size_of_val(&mask), mask.as_mut_ptr().cast())
    })?;
    Ok((0..WORDS as u32 * 64)
        .filter(|cpu| mask[(cpu / 64) as usize] >> (cpu % 64) & 1 == 1)
        .collect())
}

/// Pins the calling thread to one CPU.
pub fn pin_thread(cpu: u32) -> io::Result<()> {
    let mut mask = [0_u64; WORDS];
    let word = mask.get_mut((cpu / 64) as usize).ok_or_else(no_such_cpu)?;
    *word = 1 << (cpu % 64);
    // SAFETY: the kernel reads the given number of bytes, which is the size of `mask`.
    check(unsafe { libc::sched_setaffinity(0, mem::size_of_val(&mask), mask.as_ptr().cast()) })?;
    Ok(())
}

fn no_such_cpu() -> io::Error {
    io::Error::from_raw_os_error(libc::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_runs_where_it_is_pinned() {
        std::thread::spawn(|| {
            let cpu = *allowed_cpus().unwrap().last().unwrap();
            pin_thread(cpu).unwrap();
            assert_eq!(allowed_cpus().unwrap(), [cpu]);
            assert!(pin_thread(u32::MAX).is_err());
        })
        .join()
        .unwrap();
    }
}
