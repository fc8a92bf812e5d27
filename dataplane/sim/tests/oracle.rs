//! Is the oracle awake? An engine is sabotaged in ways that a real mistake could have, and the
//! simulator must notice each of them within a few seeds.

use penstock_core::buffer::{Buffer, BufferPool};
use penstock_core::engine::Engine;
use penstock_core::event::{Close, Event, Now, Op, Time};
use penstock_core::machine::Machine;
use penstock_sim::{Keep, run_with};

/// What is done to an engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sabotage {
    /// One byte in the middle of a body is another.
    FlipByte,
    /// A segment leaves twice.
    SendTwice,
    /// A segment never leaves.
    SendNever,
    /// Two segments change places.
    Swap,
    /// A buffer is kept.
    LeakBuffer,
    /// A connection is not closed.
    LeakConnection,
    /// A connection is closed twice.
    CloseTwice,
    /// A client is neither adopted nor refused.
    Ignore,
    /// A reset arrives as a clean end.
    PoliteReset,
    /// A timer that never stops.
    Spin,
}

struct Saboteur {
    engine: Engine,
    sabotage: Sabotage,
    opportunities: u32,
    held: Option<Op>,
    next: Option<Op>,
    leaked: Vec<Buffer>,
}

impl Saboteur {
    fn new(engine: Engine, sabotage: Sabotage) -> Self {
        Self {
            engine,
            sabotage,
            opportunities: 0,
            held: None,
            next: None,
            leaked: Vec::new(),
        }
    }

    /// True at the third opportunity, and only then.
    fn strikes(&mut self) -> bool {
        self.opportunities += 1;
        self.opportunities == 3
    }

    fn spoil(&mut self, op: Op) -> Option<Op> {
        match (self.sabotage, op) {
            (Sabotage::FlipByte, Op::Send { conn, mut segment }) => {
                if segment.len() > 4 && !segment.as_slice().starts_with(b"HTTP") && self.strikes() {
                    let middle = segment.len() / 2;
                    segment.as_mut_slice()[middle] ^= 1;
                }
                Some(Op::Send { conn, segment })
            }
            (Sabotage::SendTwice, Op::Send { conn, segment }) => {
                if self.strikes()
                    && let Some(mut copy) = self.engine.buffers().take()
                {
                    copy.append(segment.as_slice());
                    self.next = Some(Op::Send {
                        conn,
                        segment: copy,
                    });
                }
                Some(Op::Send { conn, segment })
            }
            (Sabotage::SendNever, Op::Send { conn, segment }) => {
                if !self.strikes() {
                    return Some(Op::Send { conn, segment });
                }
                self.engine.buffers().give(segment);
                self.poll_op()
            }
            (Sabotage::Swap, Op::Send { conn, segment }) => {
                if self.held.is_none() && self.strikes() {
                    self.held = Some(Op::Send { conn, segment });
                    return self.poll_op();
                }
                self.next = self.held.take();
                Some(Op::Send { conn, segment })
            }
            (Sabotage::LeakBuffer, op) => {
                if self.strikes() {
                    self.leaked.extend(self.engine.buffers().take());
                }
                Some(op)
            }
            (Sabotage::LeakConnection, Op::Close { .. }) if self.strikes() => self.poll_op(),
            (Sabotage::CloseTwice, Op::Close { conn, how }) => {
                if self.strikes() {
                    self.next = Some(Op::Close { conn, how });
                }
                Some(Op::Close { conn, how })
            }
            (Sabotage::Ignore, Op::Adopt { .. } | Op::Refuse { .. }) if self.strikes() => {
                self.poll_op()
            }
            (Sabotage::PoliteReset, Op::Close { conn, .. }) => Some(Op::Close {
                conn,
                how: Close::Normal,
            }),
            (_, op) => Some(op),
        }
    }
}

impl Machine for Saboteur {
    fn handle(&mut self, event: Event, now: Now) {
        self.engine.handle(event, now);
    }

    fn poll_op(&mut self) -> Option<Op> {
        if let Some(op) = self.next.take() {
            return Some(op);
        }
        match self.engine.poll_op() {
            Some(op) => self.spoil(op),
            None => self.held.take(),
        }
    }

    fn poll_timeout(&self) -> Time {
        match self.sabotage {
            Sabotage::Spin => Time(2_000_000_000).min(self.engine.poll_timeout()),
            _ => self.engine.poll_timeout(),
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        self.engine.handle_timeout(now);
    }

    fn buffers(&mut self) -> &mut BufferPool {
        self.engine.buffers()
    }

    fn is_drained(&self) -> bool {
        self.engine.is_drained()
    }

    fn log_pending(&self) -> bool {
        self.engine.log_pending()
    }

    fn take_log(&mut self, write: &mut dyn FnMut(penstock_core::config::SinkId, &[u8])) {
        self.engine.take_log(write);
    }
}

/// How many of the first seeds notice the sabotage.
fn noticed(sabotage: Sabotage, seeds: u64) -> usize {
    (0..seeds)
        .filter(|&seed| {
            let report = run_with(seed, Keep::Digest, |engine| Saboteur::new(engine, sabotage));
            report.violation.is_some()
        })
        .count()
}

#[test]
fn every_sabotage_is_noticed() {
    std::panic::set_hook(Box::new(|_| {})); // an engine that panics is noticed too
    for sabotage in [
        Sabotage::FlipByte,
        Sabotage::SendTwice,
        Sabotage::SendNever,
        Sabotage::Swap,
        Sabotage::LeakBuffer,
        Sabotage::LeakConnection,
        Sabotage::CloseTwice,
        Sabotage::Ignore,
        Sabotage::Spin,
    ] {
        let count = noticed(sabotage, 40);
        println!("{sabotage:?}: noticed by {count} of 40 seeds");
        assert!(
            count >= 10,
            "{sabotage:?} was noticed by {count} of 40 seeds"
        );
    }
    // Rare: it takes an answer that is cut on its way to an HTTP/1.0 client.
    let count = noticed(Sabotage::PoliteReset, 1500);
    println!("PoliteReset: noticed by {count} of 1500 seeds");
    assert!(
        count >= 1,
        "a reset that arrives as a clean end was never noticed"
    );
}
