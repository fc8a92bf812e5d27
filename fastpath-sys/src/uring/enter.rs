//! The one system call of a turn, `io_uring_enter`, by the ring's descriptor or its registered
//! index.

use std::io;
use std::mem;
use std::os::fd::RawFd;
use std::ptr;
use std::time::Duration;

use io_uring::EnterFlags;
use io_uring::types::Timespec;

/// How the kernel is told which ring is meant.
#[derive(Clone, Copy)]
pub(super) struct RingName {
    number: i32,
    flags: EnterFlags,
}

/// `struct io_uring_getevents_arg`.
#[repr(C)]
struct GetEvents {
    sigmask: u64,
    sigmask_bytes: u32,
    min_wait_us: u32,
    timeout: u64,
}

impl RingName {
    pub(super) fn descriptor(fd: RawFd) -> Self {
        Self {
            number: fd,
            flags: EnterFlags::empty(),
        }
    }

    /// The same ring, in which waiting counts as idle time of the CPU. Without, whoever looks at
    /// the machine sees a worker that waits for clients as one that waits for a disk.
    pub(super) fn without_iowait(mut self, known: bool) -> Self {
        self.flags.set(EnterFlags::NO_IOWAIT, known);
        self
    }

    /// Submits without waiting and without running deferred work.
    pub(super) fn submit(self, submit: u32) -> io::Result<()> {
        self.call(submit, 0, EnterFlags::empty(), ptr::null(), 0)
    }

    /// Submits, runs deferred work, waits for `want` completions.
    pub(super) fn enter(self, submit: u32, want: u32, timeout: Option<Duration>) -> io::Result<()> {
        let spec = timeout.map(Timespec::from);
        let argument = GetEvents {
            sigmask: 0,
            sigmask_bytes: 0,
            min_wait_us: 0,
            timeout: spec.as_ref().map_or(0, |spec| ptr::from_ref(spec) as u64),
        };
        // Always with GETEVENTS: without it deferred work does not run.
        let flags = EnterFlags::GETEVENTS | EnterFlags::EXT_ARG;
        let size = mem::size_of::<GetEvents>();
        self.call(submit, want, flags, ptr::from_ref(&argument).cast(), size)
    }

    fn call(
        self,
        submit: u32,
        want: u32,
        flags: EnterFlags,
        argument: *const libc::c_void,
        size: usize,
    ) -> io::Result<()> {
        // SAFETY: `argument` is null or points to a GetEvents that outlives the call, and so does
        // the time that it names. The entries that are submitted were vouched for when they were
        // queued.
        let answer = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                self.number,
                submit,
                want,
                (flags | self.flags).bits(),
                argument,
                size,
            )
        };
        if answer < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}

/// The ring's place in the calling task's table of rings, which saves a look-up per call.
pub(super) struct RegisteredRing(u32);

const REGISTER_RING_FDS: u32 = 20;
const UNREGISTER_RING_FDS: u32 = 21;

/// `struct io_uring_rsrc_update`.
#[repr(C)]
struct Update {
    offset: u32,
    reserved: u32,
    data: u64,
}

impl RegisteredRing {
    pub(super) fn new(fd: RawFd) -> io::Result<Self> {
        let mut update = Update {
            offset: u32::MAX,
            reserved: 0,
            data: fd as u64,
        };
        register(fd, REGISTER_RING_FDS, &mut update)?;
        Ok(Self(update.offset))
    }

    pub(super) fn name(&self) -> RingName {
        RingName {
            number: self.0 as i32,
            flags: EnterFlags::REGISTERED_RING,
        }
    }
}

impl Drop for RegisteredRing {
    fn drop(&mut self) {
        let mut update = Update {
            offset: self.0,
            reserved: 0,
            data: 0,
        };
        const BY_INDEX: u32 = 1 << 31;
        // Kernels before 6.3 want the descriptor here; they forget the ring when the thread ends.
        let _ = register(self.0 as RawFd, UNREGISTER_RING_FDS | BY_INDEX, &mut update);
    }
}

fn register(ring: i32, operation: u32, update: &mut Update) -> io::Result<()> {
    // SAFETY: the kernel reads and writes one Update, which outlives the call.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring,
            operation,
            ptr::from_mut(update),
            1,
        )
    };
    if answer < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
