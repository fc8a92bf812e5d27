//! Taking abilities away from the own process, so that tests see how a confined one behaves.

use std::io;

use crate::check;

/// Makes the three io_uring calls answer `EPERM` in this thread and in all threads and programs
/// that it starts, as container runtimes do. There is no way back, so a test does this in a thread
/// of its own.
pub fn deny_io_uring() -> io::Result<()> {
    // SAFETY: plain integers; promises that this thread gains no privileges by exec.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    let mut filter = program();
    let program = libc::sock_fprog {
        len: filter.len() as libc::c_ushort,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: `program` and the instructions it points to outlive the call; the kernel copies them.
    check(unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    })?;
    Ok(())
}

fn program() -> [libc::sock_filter; 5] {
    let first = libc::SYS_io_uring_setup as u32;
    let last = libc::SYS_io_uring_register as u32;
    let errno = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    [
        // The call's number is the first field of seccomp_data.
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        // setup, enter and register have numbers in a row on every architecture.
        instruction(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, first),
        instruction(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K, 0, 1, last),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, errno),
    ]
}

fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    }
}
