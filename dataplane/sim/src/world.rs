//! The world: virtual time, and everything that acts in it around one machine.
//!
//! A turn is what a worker does: events in, the timeout if it is due, operations out until there
//! are none. Between turns the world acts. The run is over when nothing is planned any more; then
//! the books are checked.

mod audit;

use std::net::SocketAddr;
use std::sync::Arc;

use penstock_core::config::{ListenerId, Snapshot};
use penstock_core::event::{ConnId, Event, IoFault, Now, Op, Time};
use penstock_core::machine::Machine;
use penstock_core::stats::{PerWorker, WorkerStats};

use crate::agenda::{Action, Actor};
use crate::client::{Ask, Client};
use crate::config::{Configurator, listener_address, origin_address};
use crate::dice::Dice;
use crate::driver::{Driver, event_conn};
use crate::ledger::{Ledger, Outcome};
use crate::net::{LinkId, Net, Notice};
use crate::origin::OriginConn;
use crate::scenario::{MS, SECOND, Scenario, Step, Weather};
use crate::trace::{Keep, Trace};
use crate::vandal::Vandal;

/// Turns that may pass without the clock moving.
const TURNS_PER_INSTANT_MAX: u32 = 100_000;
/// Turns of a run that serve nothing but a timeout.
const IDLE_TURNS_MAX: u32 = 50_000;
/// Operations in one turn, beside those that answer events.
const OPS_PER_TURN_MAX: usize = 50_000;
/// A run that is not over by then never will be.
const TIME_MAX: Time = Time(20_000 * SECOND);

/// What a run came to.
#[derive(Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Digest of the whole trace.
    pub digest: u64,
    /// Events, operations and packets.
    pub marks: u64,
    /// Virtual nanoseconds.
    pub lasted: u64,
    /// How requests ended: answered, declined, cut or unserved.
    pub outcomes: [u32; 4],
    /// What the machine's own counters say, by name.
    pub counters: Vec<(&'static str, u64)>,
    /// Bytes that the driver relayed by itself.
    pub relayed: u64,
    /// The first broken rule.
    pub violation: Option<String>,
    /// The lines of the trace, if kept.
    pub lines: Vec<String>,
}

/// Everything around one machine.
pub struct World<'m, M> {
    scenario: Scenario,
    machine: &'m mut M,
    net: Net,
    driver: Driver,
    ledger: Ledger,
    clients: Vec<Client>,
    vandals: Vec<Vandal>,
    origins: Vec<Origin>,
    origin_conns: Vec<OriginConn>,
    configurator: Configurator,
    worker_stats: Arc<PerWorker<WorkerStats>>,
    endpoints: [u8; 2],
    listeners: [bool; 2],
    clusters: [bool; 2],
    drained: bool,
    rebound: bool,
    /// When the last client of a listener is offered.
    last_offer: [u64; 2],
    /// How long sockets take to close.
    farewells: Dice,
    log_lines: u64,
    buffers_inside: usize,
    snapshots: Vec<Arc<Snapshot>>,
    pace: Pace,
}

/// An origin server.
struct Origin {
    address: SocketAddr,
    up: bool,
}

/// Guards against a machine that spins.
#[derive(Default)]
struct Pace {
    turns_now: u32,
    idle_turns: u32,
}

impl<'m, M: Machine> World<'m, M> {
    /// The world of a scenario around `machine`, whose worker counts in `worker_stats`.
    pub fn new(
        scenario: Scenario,
        machine: &'m mut M,
        worker_stats: Arc<PerWorker<WorkerStats>>,
        keep: Keep,
    ) -> Self {
        let mut ledger = Ledger::new(
            scenario.requests.clone(),
            scenario.tolerance,
            scenario.rules,
        );
        for (id, &excused) in (1..).zip(&scenario.excused) {
            ledger.entry_mut(id).may_fail = excused;
        }
        let dice = Dice::new(scenario.seed ^ 0xd1ce);
        let all = scenario.origins.map(|count| ((1u16 << count) - 1) as u8);
        Self {
            machine,
            net: Net::new(dice, Trace::new(keep)),
            driver: Driver::new(scenario.driver),
            ledger,
            clients: (0..)
                .zip(&scenario.clients)
                .map(|(i, plan)| Client::new(i, plan.clone()))
                .collect(),
            vandals: (0..)
                .zip(&scenario.vandals)
                .map(|(i, plan)| Vandal::new(i, plan.clone()))
                .collect(),
            origins: origins(&scenario),
            origin_conns: Vec::new(),
            configurator: Configurator::new(&scenario),
            worker_stats,
            endpoints: all,
            listeners: [true, true],
            clusters: [true, true],
            drained: false,
            rebound: false,
            last_offer: [0; 2],
            farewells: Dice::new(scenario.seed ^ 0xfa2e),
            log_lines: 0,
            buffers_inside: 0,
            snapshots: Vec::new(),
            pace: Pace::default(),
            scenario,
        }
    }

    /// Runs to the end and checks the books.
    pub fn run(&mut self) {
        self.begin();
        while !self.failed() {
            let next = self.next_time();
            if next == Time::NEVER {
                if self.drained {
                    break;
                }
                self.drain();
                continue;
            }
            if next > TIME_MAX {
                self.net
                    .violation("the run does not come to an end".to_owned());
                break;
            }
            self.step(next);
        }
        if !self.failed() {
            self.audit();
        }
    }

    /// What the run came to so far.
    pub fn report(&self) -> Report {
        let mut outcomes = [0; 4];
        for (_, entry) in self.ledger.entries() {
            outcomes[match entry.outcome {
                Outcome::Answered => 0,
                Outcome::Declined(_) => 1,
                Outcome::Cut | Outcome::Abandoned | Outcome::Waiting => 2,
                Outcome::Unserved => 3,
            }] += 1;
        }
        Report {
            seed: self.scenario.seed,
            digest: self.net.trace.digest(),
            marks: self.net.trace.marks(),
            lasted: self.net.now().0,
            outcomes,
            counters: self.configurator.counters(),
            relayed: self.driver.relays.moved,
            violation: self.net.trace.first_violation().map(str::to_owned),
            lines: self.net.trace.lines().to_vec(),
        }
    }

    fn failed(&self) -> bool {
        self.net.trace.first_violation().is_some()
    }

    fn begin(&mut self) {
        let first = self.snapshot();
        self.net.agenda.after(0, Action::Event(first));
        for (index, plan) in self.scenario.clients.iter().enumerate() {
            let wake = Action::Wake(Actor::Client(index), 0);
            self.net.agenda.after(plan.start + MS, wake);
        }
        for (index, plan) in self.scenario.vandals.iter().enumerate() {
            let wake = Action::Wake(Actor::Vandal(index), 0);
            self.net.agenda.after(plan.start + MS, wake);
        }
        for (index, &(at, _)) in self.scenario.script.iter().enumerate() {
            self.net.agenda.after(at + 2 * MS, Action::Script(index));
        }
    }

    fn next_time(&self) -> Time {
        let timeout = self.machine.poll_timeout();
        let due = Time(timeout.0.saturating_add(self.scenario.lateness));
        self.net.agenda.next_time().min(due)
    }

    /// Everything that is due by `next` or a little later, then one turn of the machine.
    fn step(&mut self, next: Time) {
        let before = self.net.now();
        let slack = self.net.dice.below(self.scenario.batch + 1);
        self.net.agenda.now = Time(next.0.max(before.0).saturating_add(slack));
        let mut batch = Vec::new();
        let mut acted = 0;
        while let Some(action) = self.net.agenda.take_due() {
            self.act(action, &mut batch);
            acted += 1;
            assert!(acted < 10_000_000, "the simulator itself spins");
            if self.failed() {
                return;
            }
        }
        let due = self.machine.poll_timeout() <= self.net.now();
        if !batch.is_empty() || due {
            self.pace_turn(before, batch.is_empty());
            self.turn(batch, due);
        }
        self.hurry_end();
    }

    fn act(&mut self, action: Action, batch: &mut Vec<Event>) {
        match action {
            Action::Event(event) => batch.push(event),
            Action::Arrive(link, direction) => {
                if self.net.arrive(link, direction) {
                    self.readable(link);
                }
            }
            Action::Pump(link) => self.net.pump_planned(link),
            Action::Read(link) => {
                if let Some(notice) = self.net.read(link) {
                    self.notify(link, notice);
                }
                if let Some(conn) = self.net.link(link).conn {
                    self.driver.pump(&mut self.net, conn);
                }
            }
            Action::Severed(link) => {
                if let Some(cut) = self.net.link(link).severed() {
                    self.notify(link, Notice::Severed(cut));
                }
            }
            Action::Wake(actor, token) => self.wake(actor, token),
            Action::Script(index) => self.script(self.scenario.script[index].1, batch),
        }
    }

    fn readable(&mut self, link: LinkId) {
        if let Some(conn) = self.net.link(link).conn {
            self.driver
                .readable(&mut self.net, self.machine.buffers(), conn);
        }
    }

    fn notify(&mut self, link: LinkId, notice: Notice) {
        match self.net.link(link).actor {
            Actor::Client(index) => {
                self.clients[index].notice(&mut self.net, &mut self.ledger, link, notice);
            }
            Actor::Vandal(index) => {
                self.vandals[index].notice(&mut self.net, self.ledger.tolerance, notice);
            }
            Actor::Origin(index) => {
                self.origin_conns[index].notice(&mut self.net, &mut self.ledger, notice);
            }
        }
    }

    fn wake(&mut self, actor: Actor, token: u64) {
        match actor {
            Actor::Client(index) => {
                let client = &mut self.clients[index];
                if client.woken(&mut self.net, &mut self.ledger, token) == Ask::Connect {
                    self.client_connects(index);
                }
            }
            Actor::Vandal(index) if token == 0 => self.vandal_connects(index),
            Actor::Vandal(index) => self.vandals[index].woken(&mut self.net),
            Actor::Origin(index) => {
                self.origin_conns[index].woken(&mut self.net, &mut self.ledger, token);
            }
        }
    }

    // --- clients come ---

    fn client_connects(&mut self, index: usize) {
        let listener = self.clients[index].listener();
        if !self.listens(listener) {
            return self.clients[index].refused(&mut self.net, &mut self.ledger);
        }
        let habits = self.clients[index].habits();
        let link = self.net.open(Actor::Client(index), habits);
        self.offer(listener, link, index);
        self.clients[index].connected(&mut self.net, &mut self.ledger, link);
    }

    fn vandal_connects(&mut self, index: usize) {
        let plan = self.vandals[index].plan().clone();
        if !self.listens(plan.listener) {
            return self.vandals[index].refused();
        }
        let link = self.net.open(Actor::Vandal(index), plan.habits);
        self.offer(plan.listener, link, 100 + index);
        self.vandals[index].connected(&mut self.net, link);
    }

    fn listens(&self, listener: usize) -> bool {
        let id = ListenerId(listener as u32);
        !self.driver.unlistened.contains(&id)
    }

    /// The kernel accepts; the machine hears of it a little later.
    fn offer(&mut self, listener: usize, link: LinkId, host: usize) {
        let incoming = self.driver.incoming(link);
        let remote = SocketAddr::from(([10, 0, 0, host as u8], 40_000 + link.0 as u16));
        let delay = self.net.dice.skewed(MS);
        self.last_offer[listener] = self.net.now().0 + delay;
        let accepted = Event::Accepted {
            listener: ListenerId(listener as u32),
            incoming,
            remote,
            local: listener_address(listener),
        };
        self.net.agenda.after(delay, Action::Event(accepted));
    }

    // --- the script ---

    fn script(&mut self, step: Step, batch: &mut Vec<Event>) {
        self.net.mark(&[60], || format!("---- {step:?}"));
        match step {
            Step::Endpoints(sets) => {
                self.endpoints = sets;
                batch.push(self.snapshot());
            }
            Step::RemoveListener => {
                self.listeners[1] = false;
                batch.push(self.snapshot());
            }
            Step::RestoreListener if !self.drained => {
                self.listeners[1] = true;
                batch.push(self.snapshot());
                self.rebound = true;
            }
            Step::RestoreListener => {}
            Step::Rename => {
                self.configurator.rename();
                batch.push(self.snapshot());
            }
            Step::Clusters(clusters) => {
                self.clusters = clusters;
                batch.push(self.snapshot());
            }
            Step::Drain => self.drain_now(batch),
            Step::AcceptFailed => batch.push(Event::AcceptFailed {
                listener: ListenerId(0),
                fault: IoFault::Exhausted,
            }),
            Step::Crash(origin) => self.crash(origin),
            Step::Restart(origin) => self.origins[origin].up = true,
        }
    }

    fn snapshot(&mut self) -> Event {
        let snapshot = self
            .configurator
            .snapshot(self.endpoints, self.listeners, self.clusters);
        self.snapshots.push(Arc::clone(&snapshot));
        Event::Snapshot(snapshot)
    }

    fn drain_now(&mut self, batch: &mut Vec<Event>) {
        if !self.drained {
            self.drained = true;
            batch.push(Event::Drain);
        }
    }

    /// The end of every run: drain what is still open.
    fn drain(&mut self) {
        self.drained = true;
        self.ledger.tolerance.idle_close = true;
        self.net.agenda.after(0, Action::Event(Event::Drain));
    }

    /// Once every client is done, half of the runs do not wait for idle timeouts.
    fn hurry_end(&mut self) {
        let done =
            self.clients.iter().all(Client::is_done) && self.vandals.iter().all(Vandal::is_done);
        if done && self.scenario.hasty_end && !self.drained {
            self.drain();
        }
    }

    fn crash(&mut self, origin: usize) {
        self.origins[origin].up = false;
        let address = self.origins[origin].address;
        for conn in &mut self.origin_conns {
            if conn.address == address {
                conn.crash(&mut self.net, &mut self.ledger);
            }
        }
    }

    // --- the machine's turn ---

    fn turn(&mut self, batch: Vec<Event>, timeout_due: bool) {
        let now = Now {
            time: self.net.now(),
            wall: 1_700_000_000 * SECOND + self.net.now().0,
        };
        let mut offered = Vec::new();
        let events = batch.len();
        let mut received = Vec::new();
        for event in batch {
            if let Event::Accepted { incoming, .. } = &event {
                offered.push(incoming.0);
            }
            let Some(event) = self.driver.before_event(self.machine.buffers(), event) else {
                continue;
            };
            self.mark_event(&event);
            received.extend(event_conn(&event).filter(|_| is_received(&event)));
            self.machine.handle(event, now);
        }
        if timeout_due {
            self.net.mark(&[2], || "tick".to_owned());
            self.machine.handle_timeout(now);
        }
        self.drain_ops(OPS_PER_TURN_MAX + 100 * events);
        self.driver.begin_relays(&mut self.net);
        for conn in received {
            self.driver
                .readable(&mut self.net, self.machine.buffers(), conn);
        }
        self.driver
            .feed_starved(&mut self.net, self.machine.buffers());
        if std::mem::take(&mut self.rebound) {
            self.driver.unlistened.retain(|id| id.0 != 1); // bound again once the machine knows it
        }
        self.after_turn(&offered);
    }

    fn mark_event(&mut self, event: &Event) {
        let conn = event_conn(event).map_or(0, |conn| u64::from(conn.slot) + 1);
        self.net
            .mark(&[1, conn], || format!("  → {}", event_line(event)));
        if let Event::Received { buffer, .. } = event {
            self.net.trace.bytes(buffer.as_slice());
        }
    }

    fn drain_ops(&mut self, bound: usize) {
        let mut count = 0;
        while let Some(op) = self.machine.poll_op() {
            count += 1;
            if count > bound {
                return self
                    .net
                    .violation(format!("{count} operations in one turn"));
            }
            self.net.mark(&[3], || format!("  ← {}", op_line(&op)));
            self.carry_out(op);
        }
    }

    fn carry_out(&mut self, op: Op) {
        let (net, pool) = (&mut self.net, self.machine.buffers());
        match op {
            Op::Adopt { incoming, conn } => {
                if self.driver.adopt(net, incoming.0, conn).is_some() {
                    self.driver.readable(net, pool, conn);
                }
            }
            Op::Refuse { incoming } => self.refuse(incoming.0),
            Op::Connect { conn, address } => self.connect(conn, address),
            Op::Send { conn, segment } => {
                net.trace.bytes(segment.as_slice());
                self.driver.send(net, pool, conn, segment);
            }
            Op::Relay { from, to, bytes } => self.driver.relay(net, from, to, bytes),
            Op::ReceiveOn { conn } => self.driver.receive(net, pool, conn, true),
            Op::ReceiveOff { conn } => self.driver.receive(net, pool, conn, false),
            Op::Shutdown { conn } => self.driver.shutdown(net, conn),
            Op::Close { conn, how } => self.driver.close(net, pool, conn, how),
            Op::Unlisten { listener } => self.unlisten(listener),
        }
    }

    /// Only what is full may refuse a client whose connection stands, its listener gone or not.
    fn refuse(&mut self, incoming: u32) {
        if self.scenario.weather != Weather::Storm {
            self.net
                .violation(format!("client {incoming} is refused without need"));
        }
        self.driver.refuse(&mut self.net, incoming);
    }

    fn unlisten(&mut self, listener: ListenerId) {
        if self.driver.unlistened.contains(&listener) {
            self.net.violation(format!("{listener:?} is closed twice"));
        }
        self.driver.unlistened.push(listener);
        let offered = self.last_offer[listener.0 as usize].max(self.net.now().0);
        let closed = Time(offered + self.farewells.skewed(SECOND / 2));
        let answer = Action::Event(Event::Unlistened { listener });
        self.net.agenda.at(closed, answer);
    }

    fn connect(&mut self, conn: ConnId, address: SocketAddr) {
        let faults = self.scenario.connect_faults;
        let up = self.origins.iter().find(|origin| origin.address == address);
        let up = up.is_some_and(|origin| origin.up);
        let (low, high) = self.scenario.origin_link.latency;
        let delay = self.net.dice.between(low, high) * 2;
        let faulty = [
            IoFault::Refused,
            IoFault::Unreachable,
            IoFault::Exhausted,
            IoFault::TimedOut,
        ];
        let outcome = if self.net.dice.percent(faults.silent) {
            None
        } else if self.net.dice.percent(faults.fails) {
            Some(Err(self.net.dice.pick(&faulty)))
        } else if !up {
            Some(Err(IoFault::Refused))
        } else {
            let local = SocketAddr::from(([192, 0, 2, 1], 50_000 + self.origin_conns.len() as u16));
            Some(Ok((self.accept_at_origin(address), local)))
        };
        self.driver.connect(&mut self.net, conn, outcome, delay);
        if let Some(Ok((link, _))) = outcome {
            self.net.link_mut(link).conn = Some(conn);
        }
    }

    fn accept_at_origin(&mut self, address: SocketAddr) -> LinkId {
        let index = self.origin_conns.len();
        let link = self
            .net
            .open(Actor::Origin(index), self.scenario.origin_link);
        let habits = self.scenario.origin;
        self.origin_conns
            .push(OriginConn::new(index, link, address, habits));
        link
    }

    fn pace_turn(&mut self, before: Time, idle: bool) {
        let pace = &mut self.pace;
        let moved = self.net.now() != before;
        pace.turns_now = if moved { 0 } else { pace.turns_now + 1 };
        pace.idle_turns += u32::from(idle);
        if pace.turns_now > TURNS_PER_INSTANT_MAX || pace.idle_turns > IDLE_TURNS_MAX {
            self.net.violation("the machine spins".to_owned());
        }
    }
}

fn origins(scenario: &Scenario) -> Vec<Origin> {
    let mut origins = Vec::new();
    for (cluster, &count) in scenario.origins.iter().enumerate() {
        for member in 0..count {
            origins.push(Origin {
                address: origin_address(cluster, member),
                up: true,
            });
        }
    }
    origins
}

fn is_received(event: &Event) -> bool {
    matches!(event, Event::Received { .. } | Event::Connected { .. })
}

fn short(conn: ConnId) -> String {
    format!("c{}.{}", conn.slot, conn.generation)
}

fn event_line(event: &Event) -> String {
    match event {
        Event::Received { conn, buffer } => format!(
            "Received {} {}",
            short(*conn),
            crate::trace::printable(buffer.as_slice())
        ),
        Event::Sent { conn, bytes, .. } => format!("Sent {} {bytes}", short(*conn)),
        Event::End { conn } => format!("End {}", short(*conn)),
        Event::Closed { conn } => format!("Closed {}", short(*conn)),
        Event::Snapshot(snapshot) => format!("Snapshot {}", snapshot.generation),
        other => format!("{other:?}"),
    }
}

fn op_line(op: &Op) -> String {
    match op {
        Op::Send { conn, segment } => format!(
            "Send {} {}",
            short(*conn),
            crate::trace::printable(segment.as_slice())
        ),
        Op::ReceiveOn { conn } => format!("ReceiveOn {}", short(*conn)),
        Op::ReceiveOff { conn } => format!("ReceiveOff {}", short(*conn)),
        Op::Close { conn, how } => format!("Close {} {how:?}", short(*conn)),
        other => format!("{other:?}"),
    }
}
