//! The loop against a driver that is deaf: it sleeps to the end of every wait, whatever comes.

use std::sync::mpsc::{self, Receiver};

use penstock_core::buffer::BufferPool;
use penstock_core::config::ListenerId;
use penstock_core::event::{Incoming, Op};

use super::*;
use crate::mailbox::{Mailbox, Progress, Ticket, mailbox};

/// Has one event from the beginning, and hears of it only when the wait is over.
struct Deaf {
    event: Option<Event>,
    mailbox: Mailbox,
    never: Receiver<()>,
}

impl Driver for Deaf {
    fn wait(&mut self, _pool: &mut BufferPool, now: Time, until: Time) -> io::Result<()> {
        assert!(until <= now.after(WAIT_MAX), "a wait without a bound");
        let _ = self
            .never
            .recv_timeout(Duration::from_nanos(until.since(now)));
        Ok(())
    }

    fn poll_event(&mut self, _pool: &mut BufferPool) -> Option<Event> {
        let event = self.event.take();
        if event.is_none() {
            self.mailbox.send(Ticket(1), Command::Stop);
        }
        event
    }

    fn handle_op(&mut self, _op: Op, _pool: &mut BufferPool) {}

    fn listen(&mut self, _socket: ListenSocket) {}

    fn unlisten(&mut self, _listener: ListenerId) {}
}

/// Wants nothing.
struct Idle(BufferPool);

impl Machine for Idle {
    fn handle(&mut self, _event: Event, _now: Now) {}

    fn poll_op(&mut self) -> Option<Op> {
        None
    }

    fn poll_timeout(&self) -> Time {
        Time::NEVER
    }

    fn handle_timeout(&mut self, _now: Now) {}

    fn buffers(&mut self) -> &mut BufferPool {
        &mut self.0
    }

    fn is_drained(&self) -> bool {
        false
    }
}

#[test]
fn a_lost_wake_up_costs_a_second_and_is_counted() {
    let index = WorkerIndex(0);
    let (mailbox, inbox) = mailbox(index, Arc::new(Progress::new(1))).unwrap();
    let (_sender, never) = mpsc::channel();
    let any = "127.0.0.1:1".parse().unwrap();
    let event = Event::Accepted {
        listener: ListenerId(0),
        incoming: Incoming(0),
        remote: any,
        local: any,
    };
    let stats = Arc::new(PerWorker::new(1));
    let worker = Worker {
        index,
        driver: Deaf {
            event: Some(event),
            mailbox,
            never,
        },
        machine: Idle(BufferPool::new(1024, 1)),
        inbox,
        log: Box::new(|_, _| true),
        stats: Arc::clone(&stats),
        draining: false,
    };
    worker.run().unwrap();
    assert_eq!(stats.of(index).counters.late_wakeups.value(), 1);
}
