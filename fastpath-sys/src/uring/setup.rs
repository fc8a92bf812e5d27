//! Set-up: from the fullest set of flags down to the floor (Linux 6.1), one flag at a time.

use std::io;

use io_uring::{IoUring, Probe, opcode};

/// How a ring is to be set up.
#[derive(Clone, Debug)]
pub struct RingOptions {
    /// Entries of the submission queue.
    pub submissions: u32,
    /// Entries of the completion queue.
    pub completions: u32,
    /// Blocks of the provided-buffer ring; 0 for none.
    pub buffers: u16,
    /// Leave the submission index array out if the kernel can (6.6).
    pub no_sqarray: bool,
    /// Register the ring with the thread, which saves a look-up per call (5.18).
    pub registered_ring: bool,
}

impl Default for RingOptions {
    fn default() -> Self {
        Self {
            submissions: 4096,
            completions: 32_768,
            buffers: 256,
            no_sqarray: true,
            registered_ring: true,
        }
    }
}

/// What a ring turned out to have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Features {
    /// No submission index array.
    pub no_sqarray: bool,
    /// The ring is registered with its thread.
    pub registered_ring: bool,
    /// Waiting in it need not be accounted as waiting for a disk (6.15).
    pub no_iowait: bool,
}

/// How often the queues are halved when the kernel finds no memory for them. It wants them in one
/// go and gives up early when most memory is cache, so that a smaller ring, or a second try, may
/// do.
const HALVINGS: u32 = 3;

pub(super) fn build(options: &RingOptions) -> io::Result<(IoUring, Features)> {
    let mut options = options.clone();
    let mut halvings = 0;
    loop {
        let error = match try_build(&options) {
            Ok(io) => return finish(io, options.no_sqarray),
            Err(error) => error,
        };
        match error.raw_os_error() {
            Some(libc::EINVAL) if options.no_sqarray => options.no_sqarray = false,
            Some(libc::ENOMEM) if halvings < HALVINGS => {
                halvings += 1;
                options.submissions = (options.submissions / 2).max(1);
                options.completions = (options.completions / 2).max(2);
            }
            _ => return Err(error),
        }
    }
}

fn try_build(options: &RingOptions) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_coop_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_cqsize(options.completions)
        .setup_clamp();
    if options.no_sqarray {
        builder.setup_no_sqarray();
    }
    builder.build(options.submissions)
}

fn finish(io: IoUring, no_sqarray: bool) -> io::Result<(IoUring, Features)> {
    let parameters = io.params();
    let complete = parameters.is_feature_nodrop()
        && parameters.is_feature_ext_arg()
        && parameters.is_feature_fast_poll()
        && parameters.is_feature_skip_cqe_on_success()
        && has_operations(&io)?;
    if !complete {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let no_iowait = parameters.is_feature_no_iowait();
    // Nothing here may ever need a kernel worker thread; if something does, one is plenty.
    let _ = io.submitter().register_iowq_max_workers(&mut [1, 1]);
    Ok((
        io,
        Features {
            no_sqarray,
            registered_ring: false,
            no_iowait,
        },
    ))
}

fn has_operations(io: &IoUring) -> io::Result<bool> {
    let mut probe = Probe::new();
    io.submitter().register_probe(&mut probe)?;
    let needed = [
        opcode::Accept::CODE,
        opcode::Recv::CODE,
        opcode::Send::CODE,
        opcode::SendMsg::CODE,
        opcode::Connect::CODE,
        opcode::PollAdd::CODE,
        opcode::AsyncCancel::CODE,
        opcode::Close::CODE,
    ];
    Ok(needed.into_iter().all(|code| probe.is_supported(code)))
}
