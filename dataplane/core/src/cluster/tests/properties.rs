//! Whatever an engine does: counts agree, nothing leaks, ceilings hold.

use std::collections::{HashSet, VecDeque};

use proptest::prelude::*;

use super::*;

/// What an engine may do; numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    Configure(Vec<u32>),
    Leave,
    Begin,
    Finish(usize),
    /// The connection goes to the pool if it may.
    Idle(usize),
    Take,
    Die(usize),
    Wait(bool),
    Pending(bool),
    Serve,
    Forget(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => prop::collection::vec(0_u32..8, 0..6).prop_map(Step::Configure),
        1 => Just(Step::Leave),
        8 => Just(Step::Begin),
        6 => any::<usize>().prop_map(Step::Finish),
        6 => any::<usize>().prop_map(Step::Idle),
        6 => Just(Step::Take),
        3 => any::<usize>().prop_map(Step::Die),
        3 => any::<bool>().prop_map(Step::Wait),
        3 => any::<bool>().prop_map(Step::Pending),
        2 => Just(Step::Serve),
        2 => any::<usize>().prop_map(Step::Forget),
    ]
}

/// An engine that remembers everything it holds.
struct Model {
    world: World,
    /// Requests by endpoint.
    requests: Vec<EndpointKey>,
    /// Connections in use.
    busy: Vec<(EndpointKey, ConnId)>,
    /// Idle connections, the oldest first.
    idle: Vec<(EndpointKey, ConnId)>,
    /// HIGH first.
    lines: [VecDeque<(Ticket, Waiting)>; 2],
    conns: u32,
    waited: u64,
    /// Exchanges counted as pending.
    pending: u64,
    left: bool,
}

impl Model {
    fn new() -> Self {
        let limits = Thresholds {
            connections: 5,
            ..Thresholds::default()
        };
        Self {
            world: World::new(cluster(Policy::RoundRobin, &[&healthy(0..3)], limits)),
            requests: Vec::new(),
            busy: Vec::new(),
            idle: Vec::new(),
            lines: Default::default(),
            conns: 0,
            waited: 0,
            pending: 0,
            left: false,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Configure(ids) => {
                let rows: Vec<Row> = ids
                    .into_iter()
                    .map(|id| (id, 1 + id % 2, Health::Healthy))
                    .collect();
                match std::mem::take(&mut self.left) {
                    true => self.world.come_back(&[&rows]),
                    false => self.world.change(&[&rows]),
                }
                self.close_what_left();
            }
            Step::Leave => {
                self.world.leave();
                self.left = true;
                let mut stranded: HashSet<_> =
                    self.lines.iter().flatten().map(|&(_, it)| it).collect();
                while let Some(waiting) = self.world.clusters.poll_stranded() {
                    assert!(stranded.remove(&waiting));
                }
                assert!(stranded.is_empty());
                self.lines = Default::default();
                self.close_what_left();
            }
            Step::Begin => self.begin(),
            Step::Finish(which) => {
                if let Some(key) = any_of(&mut self.requests, which) {
                    self.world.clusters.ended(key);
                }
            }
            Step::Idle(which) => {
                if let Some((key, conn)) = any_of(&mut self.busy, which) {
                    match self.world.clusters.put(key, conn) {
                        None => self.idle.push((key, conn)),
                        Some(refused) => {
                            assert_eq!(refused, conn);
                            self.world.clusters.release_connection(key, false);
                        }
                    }
                }
            }
            Step::Take => self.take(),
            Step::Die(which) => {
                if let Some((key, conn)) = any_of(&mut self.idle, which) {
                    assert!(self.world.clusters.remove(key, conn));
                    assert!(!self.world.clusters.remove(key, conn));
                    self.world.clusters.release_connection(key, false);
                }
            }
            Step::Wait(high) => {
                self.waited += 1;
                let waiting = Waiting(self.waited);
                let id = self.world.cluster.id;
                if let Some(ticket) = self.world.clusters.wait(id, high, waiting) {
                    self.lines[usize::from(!high)].push_back((ticket, waiting));
                }
            }
            Step::Pending(true) => {
                let cluster = Arc::clone(&self.world.cluster);
                self.pending += u64::from(self.world.clusters.try_pending(&cluster, true));
            }
            Step::Pending(false) => {
                if self.pending > 0 {
                    let cluster = Arc::clone(&self.world.cluster);
                    self.world.clusters.release_pending(&cluster, true);
                    self.pending -= 1;
                }
            }
            Step::Serve => {
                let expect = self.lines.iter_mut().find_map(VecDeque::pop_front);
                let found = self.world.clusters.next_waiting(self.world.cluster.id);
                assert_eq!(found, expect.map(|(_, waiting)| waiting));
            }
            Step::Forget(which) => {
                let line = &mut self.lines[which % 2];
                if !line.is_empty() {
                    let (ticket, _) = line.remove(which % line.len()).expect("within the line");
                    assert!(self.world.clusters.forget_waiting(ticket));
                    assert!(!self.world.clusters.forget_waiting(ticket));
                }
            }
        }
    }

    fn begin(&mut self) {
        let Some(key) = self.world.pick() else {
            return;
        };
        self.world.clusters.started(key);
        self.requests.push(key);
        let open = self.busy.len() + self.idle.len();
        let first = self.world.clusters.endpoint(key).connections == 0;
        let allowed = self.world.clusters.try_connection(key, false);
        assert!(allowed || open >= 5, "refused below the ceiling");
        assert!(!allowed || first || open < 5, "allowed above the ceiling");
        if allowed {
            let conn = ConnId {
                slot: self.conns % 64,
                generation: self.conns,
            };
            self.conns += 1;
            self.busy.push((key, conn));
        }
    }

    fn take(&mut self) {
        let Some(key) = self.world.pick() else {
            return;
        };
        let newest = self.idle.iter().rposition(|&(at, _)| at == key);
        let expect = newest.map(|index| self.idle.remove(index));
        let found = self.world.clusters.take(key);
        assert_eq!(found, expect.map(|(_, conn)| conn));
        self.busy.extend(expect);
    }

    /// Idle connections to endpoints that left are closed.
    fn close_what_left(&mut self) {
        for conn in std::mem::take(&mut self.world.closing) {
            let index = self
                .idle
                .iter()
                .position(|&(_, idle)| idle == conn)
                .expect("was idle");
            let (key, _) = self.idle.remove(index);
            assert!(!self.world.clusters.endpoint(key).listed);
            self.world.clusters.release_connection(key, false);
        }
    }

    fn check(&self) {
        let clusters = &self.world.clusters;
        let counters = self.world.counters();
        let open = self.busy.len() + self.idle.len();
        assert_eq!(clusters.idle(), self.idle.len());
        assert_eq!(
            clusters.waiting(),
            self.lines.iter().map(VecDeque::len).sum::<usize>()
        );
        assert_eq!(counters.connections_idle.value(), self.idle.len() as u64);
        assert_eq!(counters.connections_active.value(), open as u64);
        assert_eq!(counters.requests_active.value(), self.requests.len() as u64);
        assert_eq!(counters.requests_pending.value(), self.pending);
        for &key in &self.requests {
            let here = self.requests.iter().filter(|&&other| other == key).count();
            assert_eq!(clusters.endpoint(key).active as usize, here);
        }
        assert!(self.world.cluster.breakers.default.connections.taken() <= 5);
    }

    /// Everything is let go: nothing may be left.
    fn end(mut self) {
        self.step(Step::Leave);
        for (key, _) in std::mem::take(&mut self.busy) {
            self.world.clusters.release_connection(key, false);
        }
        for key in std::mem::take(&mut self.requests) {
            self.world.clusters.ended(key);
        }
        while self.pending > 0 {
            self.step(Step::Pending(false));
        }
        self.check();
        assert_eq!(self.world.clusters.endpoints(), 0);
        assert!(self.world.clusters.states.iter().all(Option::is_none));
        assert_eq!(self.world.cluster.breakers.default.connections.taken(), 0);
    }
}

fn any_of<T>(all: &mut Vec<T>, which: usize) -> Option<T> {
    (!all.is_empty()).then(|| all.remove(which % all.len()))
}

proptest! {
    #[test]
    fn counts_agree_and_nothing_leaks(steps in prop::collection::vec(step(), 0..150)) {
        let mut model = Model::new();
        for step in steps {
            model.step(step);
            model.check();
        }
        model.end();
    }
}
