//! An io_uring whose operations own what the kernel may touch.
//!
//! Starting an operation moves its memory into the ring ([`Ring`] keeps it in a record per
//! operation in flight); its final completion moves it back out. Safe code can therefore neither
//! free nor look at memory that the kernel may still read or write. Receive buffers of the
//! provided-buffer ring work the same way: a [`Block`] goes in by [`Ring::stock`] and comes back in
//! the [`Completion`] that filled it. A ring that is dropped cancels everything first, and leaks
//! what the kernel does not give back.
//!
//! Descriptors are not owned: an operation borrows one for the call alone, and the kernel looks
//! the number up when the entry is submitted, at the next [`Ring::enter`] or when the queue is
//! full. Who closes it in between, other than by [`Ring::close`], which waits its turn in the same
//! queue, lets the operation fail or, worse, meet whatever has the number by then. No memory is at
//! stake.
//!
//! It does not know connections: callers give each operation a token of their own.

mod block;
mod enter;
mod flights;
mod group;
mod loan;
mod parcel;
mod setup;

use std::collections::VecDeque;
use std::io;
use std::marker::PhantomData;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::time::Duration;

use io_uring::squeue::{Entry, Flags};
use io_uring::{IoUring, cqueue, opcode, types};

pub use self::block::Block;
pub use self::parcel::Parcel;
pub use self::setup::{Features, RingOptions};

use self::enter::RegisteredRing;
use self::flights::{Cargo, Flights};
use self::group::Group;
use self::loan::Loan;
use self::parcel::Contents;
use crate::address::RawAddress;

/// The only buffer group of a ring.
const GROUP: u16 = 0;
/// `user_data` of operations whose outcome does not matter; no flight has it.
const UNHEEDED: u64 = 0;
/// How often, and how long each time, a ring that is dropped waits for what it cancelled.
const FAREWELLS: u32 = 100;
const FAREWELL: Duration = Duration::from_millis(10);

/// Names an operation in flight. One that has ended names nothing, also after its record is used
/// again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flight(std::num::NonZeroU64);

/// How many completions an operation yields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shots {
    /// One.
    Once,
    /// One per happening, until one says that no more will follow.
    Multi,
}

/// When the last bytes of a send leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Push {
    /// At once.
    Now,
    /// With the FIN, which the caller sends as soon as the send has completed: one packet less.
    WithFin,
}

/// What a poll waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Readiness {
    /// Bytes to receive or a FIN.
    Readable,
    /// Room to send, or an error.
    Writable,
    /// Only an error or a full hang-up (see [`is_error`]); the kernel reports a FIN, too.
    HangUp,
}

/// True if the bits that a poll yields say that the socket has an error to take.
pub fn is_error(bits: u32) -> bool {
    bits & libc::POLLERR as u32 != 0
}

/// True if they say that nothing more will happen on it: an error, or an end in both directions.
pub fn is_hang_up(bits: u32) -> bool {
    bits & (libc::POLLERR | libc::POLLHUP) as u32 != 0
}

/// What became of an operation.
#[derive(Debug)]
pub struct Completion {
    /// As given when it was started.
    pub token: u64,
    /// Bytes, poll bits or 0; or the error number.
    pub result: Result<u32, i32>,
    /// The operation goes on: more completions follow.
    pub more: bool,
    /// What comes back.
    pub cargo: Returned,
}

/// Things that an operation gives back.
#[derive(Debug)]
pub enum Returned {
    /// None.
    Nothing,
    /// A received block; its window is what arrived.
    Received(Block),
    /// The blocks of a send.
    Sent(Box<Parcel>),
    /// An accepted connection.
    Accepted(OwnedFd),
}

/// An io_uring of the thread that made it.
pub struct Ring {
    // Order matters: the ring closes before the memory behind it goes.
    io: IoUring,
    registered: Option<RegisteredRing>,
    flights: Flights,
    group: Option<Group>,
    /// Parcels for the next sends.
    #[expect(
        clippy::vec_box,
        reason = "they are large, and leave and come back as boxes"
    )]
    parcels: Vec<Box<Parcel>>,
    /// Entries that the full submission queue could not take.
    backlog: VecDeque<Entry>,
    features: Features,
    counts: Counts,
    /// SINGLE_ISSUER: only the thread that made the ring may use it.
    thread: PhantomData<*const ()>,
}

/// What went wrong without harm, counted up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// The submission queue was full in mid-turn.
    pub sq_full: u64,
    /// The completion queue overflowed into kernel memory.
    pub cq_overflow: u64,
    /// Cancels that had to be repeated because they did not find what goes on.
    pub cancels_missed: u64,
}

impl Ring {
    /// Sets a ring up for the calling thread. Errors are the kernel's: `EPERM` (denied by seccomp
    /// or by `kernel.io_uring_disabled`), `ENOSYS` (not there), `EINVAL` (older than 6.1),
    /// `ENOMEM`.
    pub fn new(options: &RingOptions) -> io::Result<Self> {
        let (io, mut features) = setup::build(options)?;
        let registered = match options.registered_ring {
            true => RegisteredRing::new(io.as_raw_fd()).ok(),
            false => None,
        };
        features.registered_ring = registered.is_some();
        let group = match options.buffers {
            0 => None,
            entries => Some(Group::register(&io, entries)?),
        };
        Ok(Self {
            io,
            registered,
            flights: Flights::default(),
            group,
            parcels: Vec::new(),
            backlog: VecDeque::new(),
            features,
            counts: Counts::default(),
            thread: PhantomData,
        })
    }

    /// What the set-up found.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// Counts since the set-up.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Operations in flight.
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// Blocks that the kernel may receive into now.
    pub fn stocked(&self) -> usize {
        self.group.as_ref().map_or(0, Group::stocked)
    }

    /// Blocks that the provided-buffer ring can hold.
    pub fn stock_limit(&self) -> usize {
        self.group.as_ref().map_or(0, Group::limit)
    }

    /// Gives the kernel a block to receive into its window; hands it back if the ring is full.
    ///
    /// # Panics
    /// If the window does not lie inside the block.
    pub fn stock(&mut self, block: Block) -> Result<(), Block> {
        match &mut self.group {
            Some(group) => group.stock(block),
            None => Err(block),
        }
    }

    /// Accepts from a listening socket (which must be blocking, or it does not wait). Connections
    /// are non-blocking and come as [`Returned::Accepted`].
    pub fn accept(&mut self, listener: BorrowedFd<'_>, shots: Shots, token: u64) -> Flight {
        let fd = types::Fd(listener.as_raw_fd());
        let entry = match shots {
            Shots::Multi => opcode::AcceptMulti::new(fd)
                .flags(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK)
                .build(),
            Shots::Once => opcode::Accept::new(fd, std::ptr::null_mut(), std::ptr::null_mut())
                .flags(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK)
                .build(),
        };
        self.start(entry, token, Cargo::Accept)
    }

    /// Receives into stocked blocks, which come as [`Returned::Received`]. It waits for bytes also
    /// with `O_NONBLOCK`.
    pub fn recv(&mut self, socket: BorrowedFd<'_>, shots: Shots, token: u64) -> Flight {
        let fd = types::Fd(socket.as_raw_fd());
        let entry = match shots {
            Shots::Multi => opcode::RecvMulti::new(fd, GROUP).build(),
            // No memory is named: the kernel takes a block of the group, and all of it.
            Shots::Once => opcode::Recv::new(fd, std::ptr::null_mut(), 0)
                .buf_group(GROUP)
                .build()
                .flags(Flags::BUFFER_SELECT),
        };
        self.start(entry, token, Cargo::None)
    }

    /// An empty parcel to fill for [`Ring::send`].
    pub fn parcel(&mut self) -> Box<Parcel> {
        self.parcels.pop().unwrap_or_default()
    }

    /// Takes an empty parcel back for the next send.
    pub fn keep_parcel(&mut self, mut parcel: Box<Parcel>) {
        parcel.clear();
        self.parcels.push(parcel);
    }

    /// Sends all windows of a parcel in their order; the kernel goes on after a short send by
    /// itself, also with `O_NONBLOCK`. The result may still be short if the connection breaks or
    /// the send is cancelled.
    pub fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        parcel: Box<Parcel>,
        push: Push,
        token: u64,
    ) -> Flight {
        let fd = types::Fd(socket.as_raw_fd());
        let more = match push {
            Push::Now => 0,
            Push::WithFin => libc::MSG_MORE,
        };
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL | more;
        let loan = Loan::new(parcel);
        // SAFETY: the kernel does not know of the parcel yet, so that this reference is the only
        // one; it ends with the match, and what it yields points into the loan, which stays in its
        // record until the send is over.
        let entry = match unsafe { &mut *loan.as_ptr() }.contents() {
            Contents::Window(start, len) => opcode::Send::new(fd, start, len).flags(flags).build(),
            Contents::Message(message) => opcode::SendMsg::new(fd, message)
                .flags(flags as u32)
                .build(),
        };
        self.start(entry, token, Cargo::Send(loan))
    }

    /// Connects a socket; it waits for the outcome also with `O_NONBLOCK`.
    pub fn connect(&mut self, socket: BorrowedFd<'_>, address: SocketAddr, token: u64) -> Flight {
        let fd = types::Fd(socket.as_raw_fd());
        let loan = Loan::new(Box::new(RawAddress::from(address)));
        // SAFETY: nobody else knows of the address yet, and it is only read from here on.
        let (start, len) = unsafe { ((*loan.as_ptr()).as_ptr(), (*loan.as_ptr()).len()) };
        let entry = opcode::Connect::new(fd, start, len).build();
        self.start(entry, token, Cargo::Address(loan))
    }

    /// Waits for readiness; with [`Shots::Multi`] for every edge of it.
    pub fn poll(
        &mut self,
        fd: BorrowedFd<'_>,
        what: Readiness,
        shots: Shots,
        token: u64,
    ) -> Flight {
        let bits = match what {
            Readiness::Readable => libc::POLLIN | libc::POLLRDHUP,
            Readiness::Writable => libc::POLLOUT,
            Readiness::HangUp => libc::POLLERR | libc::POLLHUP,
        };
        let entry = opcode::PollAdd::new(types::Fd(fd.as_raw_fd()), bits as u32)
            .multi(shots == Shots::Multi)
            .build();
        self.start(entry, token, Cargo::None)
    }

    /// Asks for the end of an operation. Its final completion comes all the same, cancelled or not.
    pub fn cancel(&mut self, flight: Flight) {
        let entry = opcode::AsyncCancel::new(flight.0.get()).build();
        let name = Flights::cancel_name(flight);
        self.push(entry.flags(Flags::SKIP_SUCCESS).user_data(name));
    }

    /// A cancel failed (ENOENT, EALREADY). Mostly the operation ended by itself. But one that just
    /// has work to do is not found either, and may wait anew when that is done: it is asked again.
    fn cancel_again(&mut self, name: u64) {
        if let Some(flight) = self.flights.missed(name) {
            self.counts.cancels_missed += 1;
            self.cancel(flight);
        }
    }

    /// Closes a descriptor behind everything that was started before. What is in flight on it must
    /// be cancelled and reaped first, or the connection lives on until it is.
    pub fn close(&mut self, fd: OwnedFd) {
        let entry = opcode::Close::new(types::Fd(fd.into_raw_fd())).build();
        self.push(entry.flags(Flags::SKIP_SUCCESS).user_data(UNHEEDED));
    }

    /// Submits everything, runs deferred kernel work, and waits until `want` completions are there
    /// or `timeout` is over (`None`: for ever). Does not wait if completions are there already.
    pub fn enter(&mut self, want: u32, timeout: Option<Duration>) -> io::Result<()> {
        self.move_backlog();
        if self.io.submission().cq_overflow() {
            self.counts.cq_overflow += 1;
        }
        let waiting = !self.io.completion().is_empty() || !self.backlog.is_empty();
        let want = if waiting { 0 } else { want };
        let submit = self.io.submission().len() as u32;
        match self.ring_name().enter(submit, want, timeout) {
            Ok(()) => Ok(()),
            Err(error) => forgive(error),
        }
    }

    /// The next completion that is there.
    pub fn poll_completion(&mut self) -> Option<Completion> {
        loop {
            let entry = self.io.completion().next()?;
            match entry.user_data() {
                UNHEEDED => {}
                name if flights::is_cancel(name) => self.cancel_again(name),
                _ => return Some(self.complete(&entry)),
            }
        }
    }

    /// True if completions are there.
    pub fn has_completions(&mut self) -> bool {
        !self.io.completion().is_empty()
    }

    fn complete(&mut self, entry: &cqueue::Entry) -> Completion {
        let result = u32::try_from(entry.result()).map_err(|_| -entry.result());
        let more = cqueue::more(entry.flags());
        let (token, cargo) = self.flights.land(entry.user_data(), more);
        let received = cqueue::buffer_select(entry.flags())
            .and_then(|id| self.unstock(id, result.unwrap_or(0)));
        let cargo = match (received, cargo, result) {
            (Some(block), _, _) => Returned::Received(block),
            (None, Cargo::Send(loan), _) => Returned::Sent(loan.into_box()),
            (None, Cargo::Accept, Ok(fd)) => {
                // SAFETY: the kernel made this descriptor for the accept that just completed, and
                // tells it to nobody else.
                Returned::Accepted(unsafe { OwnedFd::from_raw_fd(fd as i32) })
            }
            (None, Cargo::None | Cargo::Accept | Cargo::Address(_), _) => Returned::Nothing,
        };
        Completion {
            token,
            result,
            more,
            cargo,
        }
    }

    /// Takes a block out of the group; without bytes in it, it goes straight back in.
    fn unstock(&mut self, id: u16, count: u32) -> Option<Block> {
        let group = self.group.as_mut()?;
        let block = group.take(id, count)?;
        if count > 0 {
            return Some(block);
        }
        // There is room: the block was in the group a moment ago.
        group.restock(block);
        None
    }

    fn start(&mut self, entry: Entry, token: u64, cargo: Cargo) -> Flight {
        let flight = self.flights.take_off(token, cargo);
        self.push(entry.user_data(flight.0.get()));
        flight
    }

    /// Queues an entry. Everything that it points to must be owned by `flights` or be static.
    fn push(&mut self, entry: Entry) {
        if self.backlog.is_empty() {
            // SAFETY: the memory that an entry names is in the cargo of its flight (on the heap, so
            // that moving the record does not move it) and stays there until the final completion.
            if unsafe { self.io.submission().push(&entry) }.is_ok() {
                return;
            }
            self.counts.sq_full += 1;
            self.submit_some();
        }
        self.backlog.push_back(entry);
        self.move_backlog();
    }

    /// Makes room in the submission queue without waiting. Errors show again at the next enter.
    fn submit_some(&mut self) {
        let submit = self.io.submission().len() as u32;
        let _ = self.ring_name().submit(submit);
    }

    fn move_backlog(&mut self) {
        while let Some(entry) = self.backlog.pop_front() {
            // SAFETY: as in `push`, through which every entry of the backlog came.
            if unsafe { self.io.submission().push(&entry) }.is_err() {
                self.backlog.push_front(entry);
                return;
            }
        }
    }

    fn ring_name(&self) -> enter::RingName {
        let name = match &self.registered {
            Some(registered) => registered.name(),
            None => enter::RingName::descriptor(self.io.as_raw_fd()),
        };
        name.without_iowait(self.features.no_iowait)
    }

    fn cancel_everything(&mut self) {
        let any = types::CancelBuilder::any();
        self.push(opcode::AsyncCancel2::new(any).build().user_data(UNHEEDED));
        for _ in 0..FAREWELLS {
            while self.poll_completion().is_some() {}
            // Descriptors to close wait in the queue as well: it must be empty, too.
            let submitted = self.backlog.is_empty() && self.io.submission().is_empty();
            if submitted && self.flights.is_empty() {
                return;
            }
            let want = u32::from(!self.flights.is_empty());
            if self.enter(want, Some(FAREWELL)).is_err() {
                return;
            }
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.cancel_everything();
        if !self.flights.is_empty() {
            // The kernel still holds memory of ours: it is safer lost than used again.
            mem::forget(mem::take(&mut self.flights));
            mem::forget(self.group.take());
        }
        self.registered = None;
        if self.group.is_some() {
            // Closing the ring would do it as well, but at a time that nobody tells us.
            let _ = self.io.submitter().unregister_buf_ring(GROUP);
        }
    }
}

/// Errors of enter that mean nothing more than: reap, then come again.
fn forgive(error: io::Error) -> io::Result<()> {
    match error.raw_os_error() {
        Some(libc::ETIME | libc::EINTR | libc::EAGAIN | libc::EBUSY) => Ok(()),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests;
