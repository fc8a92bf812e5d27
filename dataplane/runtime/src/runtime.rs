//! All workers as one thing: started, commanded and stopped from any thread off the data cores.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::process;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fastpath_sys::affinity;
use penstock_core::config::Snapshot;
use penstock_core::machine::Machine;
use penstock_core::stats::{PerWorker, WorkerIndex, WorkerStats};

use crate::driver::epoll::EpollDriver;
use crate::driver::uring::UringDriver;
use crate::driver::uring::caps::UringOptions;
use crate::driver::{self, Choice, Preference, Setup};
use crate::listen::{ListenGroup, ListenSocket};
use crate::mailbox::{self, Command, Inbox, Mailbox, Progress, Ticket};
use crate::placement::Placement;
use crate::worker::{LogWriter, Worker};

/// How the workers are to run.
#[derive(Clone)]
pub struct Options {
    /// How many, and where.
    pub placement: Placement,
    /// Which driver.
    pub driver: Preference,
    /// How io_uring may be used.
    pub uring: UringOptions,
    /// The counters of all workers, shared with the machines and with admin.
    pub stats: Arc<PerWorker<WorkerStats>>,
    /// Makes the log writer of a worker, on its thread.
    pub log: Arc<dyn Fn(WorkerIndex) -> LogWriter + Send + Sync>,
    /// Called on its thread when a worker died: it must end the process, because half a gateway is
    /// worse than none.
    pub on_death: fn(WorkerIndex, &str),
}

impl Options {
    /// Options with new counters, no access log, and exit code 1 when a worker dies.
    pub fn new(placement: Placement) -> Self {
        Self {
            stats: Arc::new(PerWorker::new(placement.workers())),
            placement,
            driver: Preference::Auto,
            uring: UringOptions::default(),
            log: Arc::new(|_| Box::new(|_, _| true)),
            on_death: exit_loudly,
        }
    }
}

fn exit_loudly(worker: WorkerIndex, why: &str) {
    eprintln!(
        "penstock: worker {} died: {why}; ending the process",
        worker.0
    );
    process::exit(1);
}

/// The workers.
pub struct Runtime {
    choice: Choice,
    placement: Placement,
    progress: Arc<Progress>,
    threads: Vec<JoinHandle<()>>,
    desk: Mutex<Desk>,
}

/// What sending needs; behind one lock, so that all workers get commands in the same order.
#[derive(Default)]
struct Desk {
    mailboxes: Vec<Mailbox>,
    last: Ticket,
    /// Every generation that a worker may still hold. Kept here so that the last reference is
    /// always dropped on the control side.
    archive: Vec<Arc<Snapshot>>,
}

impl Runtime {
    /// Chooses the driver, starts one named and pinned thread per worker, and gives each the
    /// snapshot and its sockets. Returns when every driver stands. `make_machine` runs on the
    /// worker's thread.
    pub fn start<M, F>(
        options: Options,
        snapshot: Arc<Snapshot>,
        groups: Vec<ListenGroup>,
        make_machine: F,
    ) -> Result<Runtime, StartError>
    where
        M: Machine + 'static,
        F: Fn(WorkerIndex) -> M + Send + Sync + 'static,
    {
        let choice = driver::choose(options.driver, &options.uring).map_err(StartError::Driver)?;
        let make_machine = Arc::new(make_machine);
        let runtime = match (
            Self::launch(&options, choice, &make_machine),
            options.driver,
        ) {
            (Err(StartError::Ring { cause, .. }), Preference::Auto) => {
                // The self-test's small ring could be made, those of the workers could not.
                let reason = format!("io_uring rings cannot be made: {cause}");
                let fallback = Some(reason);
                Self::launch(&options, Choice::Epoll { fallback }, &make_machine)?
            }
            (launched, _) => launched?,
        };
        runtime.apply(snapshot, groups);
        Ok(runtime)
    }

    /// Starts all workers on one driver; if one cannot start, none stays.
    fn launch<M, F>(
        options: &Options,
        choice: Choice,
        make_machine: &Arc<F>,
    ) -> Result<Runtime, StartError>
    where
        M: Machine + 'static,
        F: Fn(WorkerIndex) -> M + Send + Sync + 'static,
    {
        let workers = options.placement.workers();
        let (report, reports) = mpsc::channel();
        let mut runtime = Runtime {
            choice,
            placement: options.placement.clone(),
            progress: Arc::new(Progress::new(workers)),
            threads: Vec::with_capacity(workers),
            desk: Mutex::default(),
        };
        let mut outcome = Ok(());
        for index in (0..workers).map(|index| WorkerIndex(index as u16)) {
            let seated = runtime.seat(index, options, &report, make_machine);
            outcome = outcome.and(seated.map_err(|cause| StartError::Worker { index, cause }));
        }
        // Every thread reports once; those that could not be made do not.
        drop(report);
        for answer in reports {
            outcome = outcome.and(answer);
        }
        match outcome {
            Ok(()) => Ok(runtime),
            Err(error) => {
                runtime.stop();
                Err(error)
            }
        }
    }

    /// Starts the thread of one worker.
    fn seat<M, F>(
        &mut self,
        index: WorkerIndex,
        options: &Options,
        report: &Sender<Result<(), StartError>>,
        make_machine: &Arc<F>,
    ) -> io::Result<()>
    where
        M: Machine + 'static,
        F: Fn(WorkerIndex) -> M + Send + Sync + 'static,
    {
        let (mailbox, inbox) = mailbox::mailbox(index, Arc::clone(&self.progress))?;
        let seat = Seat {
            index,
            inbox,
            choice: self.choice.clone(),
            options: options.clone(),
            report: report.clone(),
        };
        let make_machine = Arc::clone(make_machine);
        let thread = thread::Builder::new()
            .name(format!("penstock-w{}", index.0))
            .spawn(move || seat.work(&*make_machine))?;
        self.threads.push(thread);
        self.desk().mailboxes.push(mailbox);
        Ok(())
    }

    /// The driver that all workers use.
    pub fn driver(&self) -> &Choice {
        &self.choice
    }

    /// Where the workers run.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Gives all workers a configuration, and to each its socket of every group. Groups name new or
    /// changed addresses only; a listener that stays keeps its sockets.
    pub fn apply(&self, snapshot: Arc<Snapshot>, groups: Vec<ListenGroup>) -> Ticket {
        let mut desk = self.desk();
        desk.archive.retain(|held| Arc::strong_count(held) > 1);
        desk.archive.push(Arc::clone(&snapshot));
        let mut shares = deal(groups, desk.mailboxes.len()).into_iter();
        desk.send_all(|| Command::Snapshot {
            snapshot: Arc::clone(&snapshot),
            sockets: shares.next().unwrap_or_default(),
        })
    }

    /// Tells all workers to finish what is open and take nothing new.
    pub fn drain(&self) -> Ticket {
        self.desk().send_all(|| Command::Drain)
    }

    /// Asks all workers for a sign of life.
    pub fn ping(&self) -> Ticket {
        self.desk().send_all(|| Command::Ping)
    }

    /// Waits until all workers have carried out a command; after `timeout` says which have not.
    pub fn wait(&self, ticket: Ticket, timeout: Duration) -> Result<(), Late> {
        let late = self
            .progress
            .wait(timeout, |progress| progress.late(ticket));
        if late.is_empty() {
            Ok(())
        } else {
            Err(Late(late))
        }
    }

    /// Waits, after [`Runtime::drain`], until nothing is open; after `timeout` says where something
    /// is.
    pub fn wait_drained(&self, timeout: Duration) -> Result<(), Late> {
        let late = self.progress.wait(timeout, Progress::undrained);
        if late.is_empty() {
            Ok(())
        } else {
            Err(Late(late))
        }
    }

    /// Frees configurations that no worker holds any more; says how many are still held, the
    /// current one included.
    pub fn sweep(&self) -> usize {
        let mut desk = self.desk();
        desk.archive.retain(|held| Arc::strong_count(held) > 1);
        desk.archive.len()
    }

    /// Stops all workers at once and waits for their threads. What is open is cut.
    pub fn stop(mut self) {
        self.desk().send_all(|| Command::Stop);
        for thread in self.threads.drain(..) {
            // A worker that panicked has been reported by its own thread.
            let _ = thread.join();
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    fn send_all(&mut self, mut command: impl FnMut() -> Command) -> Ticket {
        self.last = Ticket(self.last.0 + 1);
        for mailbox in &self.mailboxes {
            mailbox.send(self.last, command());
        }
        self.last
    }
}

/// One share per worker: its socket of every group.
fn deal(groups: Vec<ListenGroup>, workers: usize) -> Vec<Vec<ListenSocket>> {
    let mut shares: Vec<Vec<ListenSocket>> = (0..workers).map(|_| Vec::new()).collect();
    for group in groups {
        for (share, socket) in shares.iter_mut().zip(group.sockets) {
            share.push(socket);
        }
    }
    shares
}

/// What a worker's thread starts from.
struct Seat {
    index: WorkerIndex,
    inbox: Inbox,
    choice: Choice,
    options: Options,
    report: Sender<Result<(), StartError>>,
}

impl Seat {
    /// Runs the worker; ends the process if it dies.
    fn work<M: Machine>(self, make_machine: &(impl Fn(WorkerIndex) -> M + Send + Sync)) {
        let (index, on_death) = (self.index, self.options.on_death);
        let run = AssertUnwindSafe(|| self.run(make_machine));
        match panic::catch_unwind(run) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => on_death(index, &format!("its driver failed: {error}")),
            Err(panic) => on_death(index, panic_text(&*panic)),
        }
    }

    fn run<M: Machine>(
        self,
        make_machine: &(impl Fn(WorkerIndex) -> M + Send + Sync),
    ) -> io::Result<()> {
        if self.options.placement.pinned {
            let cpu = self.options.placement.cpus[self.index.0 as usize];
            if let Err(cause) = affinity::pin_thread(cpu) {
                let index = self.index;
                return self.give_up(StartError::Worker { index, cause });
            }
        }
        let setup = Setup {
            worker: self.index,
            bell: Arc::clone(self.inbox.bell()),
            stats: Arc::clone(&self.options.stats),
        };
        let index = self.index;
        // The one place where the driver's type is decided.
        match &self.choice {
            Choice::Uring(caps) => match UringDriver::new(setup, caps) {
                Ok(driver) => self.run_on(driver, make_machine),
                Err(cause) => self.give_up(StartError::Ring { index, cause }),
            },
            Choice::Epoll { .. } => match EpollDriver::new(setup) {
                Ok(driver) => self.run_on(driver, make_machine),
                Err(cause) => self.give_up(StartError::Worker { index, cause }),
            },
        }
    }

    fn run_on<D: driver::Driver, M: Machine>(
        self,
        driver: D,
        make_machine: &(impl Fn(WorkerIndex) -> M + Send + Sync),
    ) -> io::Result<()> {
        let machine = make_machine(self.index);
        let log = (self.options.log)(self.index);
        let worker = Worker {
            index: self.index,
            driver,
            machine,
            inbox: self.inbox,
            log,
            stats: self.options.stats,
            draining: false,
        };
        let _ = self.report.send(Ok(()));
        // Whoever starts us waits until nobody can report any more.
        drop(self.report);
        worker.run()
    }

    /// Could not start: whoever starts us hears why, and no process is ended.
    fn give_up(&self, error: StartError) -> io::Result<()> {
        let _ = self.report.send(Err(error));
        Ok(())
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it panicked")
}

/// Workers that have not answered in time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Late(pub Vec<WorkerIndex>);

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no answer from worker")?;
        self.0
            .iter()
            .try_for_each(|worker| write!(f, " {}", worker.0))
    }
}

impl Error for Late {}

/// The workers could not start.
#[derive(Debug)]
pub enum StartError {
    /// The driver that was asked for does not work here; the text says why and what to do.
    Driver(String),
    /// The io_uring of a worker could not be made, although the self-test passed: short of memory.
    Ring {
        /// Which worker.
        index: WorkerIndex,
        /// Why.
        cause: io::Error,
    },
    /// A thread or its driver could not be made.
    Worker {
        /// Which.
        index: WorkerIndex,
        /// Why.
        cause: io::Error,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Driver(why) => f.write_str(why),
            StartError::Ring { index, .. } => write!(
                f,
                "worker {} cannot make its io_uring; free memory, or choose another driver",
                index.0
            ),
            StartError::Worker { index, .. } => write!(f, "worker {} cannot start", index.0),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            StartError::Driver(_) => None,
            StartError::Ring { cause, .. } | StartError::Worker { cause, .. } => Some(cause),
        }
    }
}
