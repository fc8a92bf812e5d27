//! A seed becomes a world: who comes, what they say, what the network is like, what goes wrong.
//!
//! Every feature is switched on or off per seed, so that runs differ in kind and not only in
//! numbers. Three weathers: in `Calm` everything must succeed; `Accidents` excuses single
//! exchanges; `Storm` excuses any of them, but never a wrong byte, a second answer or a leak.

mod messages;

use crate::client::ClientPlan;
use crate::dice::Dice;
use crate::driver::{DriverHabits, RelayHabits};
use crate::ledger::{Rules, Tolerance};
use crate::message::{Framing, RequestPlan};
use crate::net::{Cut, Direction, Ending, Habits};
use crate::origin::OriginHabits;
use crate::vandal::{PAYLOADS, PIPELINER, VandalPlan};
use messages::Author;

/// A millisecond in nanoseconds.
pub const MS: u64 = 1_000_000;
/// A second in nanoseconds.
pub const SECOND: u64 = 1_000 * MS;

/// How much goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Weather {
    /// Nothing fails.
    Calm,
    /// Single exchanges fail.
    Accidents,
    /// Anything may fail.
    Storm,
}

/// What happens to the machine from outside, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// A new configuration in which each cluster has these endpoints (bits).
    Endpoints([u8; 2]),
    /// A new configuration without the second listener.
    RemoveListener,
    /// A new configuration in which it is back.
    RestoreListener,
    /// A new configuration with these clusters.
    Clusters([bool; 2]),
    /// A new configuration in which both clusters have other names.
    Rename,
    /// Drain.
    Drain,
    /// Accepting failed.
    AcceptFailed,
    /// An origin dies: its connections are reset, new ones refused.
    Crash(usize),
    /// It is back.
    Restart(usize),
}

/// Numbers of the machine and its configuration.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes of a buffer.
    pub buffer_payload: usize,
    /// Buffers.
    pub buffers_limit: usize,
    /// Connections, both sides.
    pub connections_limit: usize,
    /// Connections per listener.
    pub listener_limit: u32,
    /// `per_connection_buffer_limit_bytes`, both sides.
    pub buffer_limit: u32,
    /// `request_headers_timeout`.
    pub head_timeout: u64,
    /// `idle_timeout`, downstream.
    pub idle_timeout: u64,
    /// `stream_idle_timeout`.
    pub stream_idle_timeout: u64,
    /// `request_timeout`; 0 is off.
    pub request_timeout: u64,
    /// Route timeout; 0 is off.
    pub route_timeout: u64,
    /// `connect_timeout`.
    pub connect_timeout: u64,
    /// `idle_timeout` of pooled connections.
    pub pool_idle_timeout: u64,
    /// `max_requests_per_connection`, downstream; 0 is off.
    pub downstream_requests_max: u32,
    /// `max_requests_per_connection`, upstream; 0 is off.
    pub upstream_requests_max: u32,
    /// Ceiling of the circuit breakers of requests and waiting requests.
    pub breaker: u32,
    /// Ceiling of the circuit breaker of connections; above it requests wait.
    pub breaker_connections: u32,
    /// `max_connection_duration`; 0 is off.
    pub connection_duration_max: u64,
    /// 0 round robin, 1 random, 2 least request.
    pub policy: u8,
    /// Bytes of a body still to come from which on the driver is offered to relay it.
    pub relay_bytes_min: u64,
    /// Seed of the engine.
    pub engine_seed: u64,
}

/// What may go wrong on the way to an origin, per hundred connects.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectFaults {
    /// Refused, unreachable, out of descriptors.
    pub fails: u64,
    /// Never answered.
    pub silent: u64,
}

/// A whole world.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// How much goes wrong.
    pub weather: Weather,
    /// What that excuses.
    pub tolerance: Tolerance,
    /// What the configuration makes right.
    pub rules: Rules,
    /// Numbers.
    pub settings: Settings,
    /// The driver.
    pub driver: DriverHabits,
    /// Requests by id.
    pub requests: Vec<RequestPlan>,
    /// Requests that are excused from the start.
    pub excused: Vec<bool>,
    /// Clients.
    pub clients: Vec<ClientPlan>,
    /// Vandals.
    pub vandals: Vec<VandalPlan>,
    /// Endpoints per cluster.
    pub origins: [usize; 2],
    /// How origins end connections.
    pub origin: OriginHabits,
    /// The links to origins.
    pub origin_link: Habits,
    /// On the way to origins.
    pub connect_faults: ConnectFaults,
    /// What happens from outside, by time.
    pub script: Vec<(u64, Step)>,
    /// How far a turn may look past the next thing that is due.
    pub batch: u64,
    /// How late timeouts may be served.
    pub lateness: u64,
    /// Drain at the end without waiting for idle timeouts.
    pub hasty_end: bool,
}

impl Scenario {
    /// The world of a seed.
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x5e3d);
        let weather = match dice.below(10) {
            0..=3 => Weather::Calm,
            4..=6 => Weather::Accidents,
            _ => Weather::Storm,
        };
        let mut draft = Draft::new(seed, weather, &mut dice);
        draft.people(&mut dice);
        draft.script(&mut dice);
        draft.world
    }

    /// One line for a person.
    pub fn summary(&self) -> String {
        let settings = &self.settings;
        format!(
            "{:?}, {} requests by {} clients, {} vandals, payload {}, {} buffers, script {:?}",
            self.weather,
            self.requests.len(),
            self.clients.len(),
            self.vandals.len(),
            settings.buffer_payload,
            settings.buffers_limit,
            self.script
        )
    }
}

/// A scenario under construction.
struct Draft {
    world: Scenario,
    /// Most bytes of a body, so that tiny packets do not make endless runs.
    body_max: u64,
}

impl Draft {
    fn new(seed: u64, weather: Weather, dice: &mut Dice) -> Self {
        let payload = dice.pick(&[8, 16, 64, 200, 1024, 4096, 16_384, 16_384]);
        let settings = settings(weather, payload, dice);
        let origin_link = habits(dice);
        let mut tolerance = Tolerance::default();
        // Dice of their own: worlds keep what they had before there were relays.
        let mut relay_dice = Dice::new(seed ^ 0x4e1a);
        let relay_bytes_min = relay_dice.pick(&[1, 1, 1, 100, 2000, u64::MAX]);
        let storm = weather == Weather::Storm;
        let small_pool = storm && dice.one_in(3);
        let connect_faults = connect_faults(storm, dice);
        tolerance.cuts = weather != Weather::Calm;
        tolerance.errors = storm;
        // A connection that is too old is closed while it is idle, whatever may be on its way.
        tolerance.idle_close = storm || settings.connection_duration_max > 0;
        tolerance.refusals = storm;
        let receives = dice.between(1, 4) as u32;
        // The watermark, what was under way when it was reached, and one head.
        let under_way = receives as usize + 12;
        let queue_bytes = settings.buffer_limit as usize + under_way * payload + 80 * 1024;
        let queue_segments =
            settings.buffer_limit as usize / 1024 + under_way + 80 * 1024 / payload;
        let world = Scenario {
            seed,
            weather,
            tolerance,
            rules: Rules {
                forward_trailers: dice.one_in(2),
                proxy_continue: dice.one_in(3),
                upgrades: dice.one_in(2),
            },
            settings: Settings {
                buffers_limit: if small_pool {
                    dice.between(24, 80) as usize
                } else {
                    8192
                },
                relay_bytes_min,
                ..settings
            },
            driver: DriverHabits {
                relays: relay_habits(&mut relay_dice),
                ..driver_habits(dice, receives, (queue_bytes, queue_segments))
            },
            requests: Vec::new(),
            excused: Vec::new(),
            clients: Vec::new(),
            vandals: Vec::new(),
            origins: [dice.between(1, 3) as usize, dice.between(1, 2) as usize],
            origin: origin_habits(dice),
            origin_link,
            connect_faults,
            script: Vec::new(),
            batch: dice.pick(&[0, 0, 10_000, MS]),
            lateness: dice.pick(&[0, 0, 100_000, 20 * MS]),
            hasty_end: dice.one_in(2),
        };
        Self {
            body_max: body_max(payload, &world),
            world,
        }
    }

    /// Clients, their requests, and vandals.
    fn people(&mut self, dice: &mut Dice) {
        let author = Author::new(self.world.weather, self.body_max, self.world.rules, dice);
        for _ in 0..dice.between(1, 7) {
            self.client(&author, dice);
        }
        let vandals = if self.world.weather == Weather::Calm {
            0
        } else {
            dice.below(4)
        };
        for _ in 0..vandals {
            self.world.vandals.push(VandalPlan {
                listener: dice.below(2) as usize,
                start: dice.skewed(2 * SECOND),
                payload: dice.below(PIPELINER as u64) as usize,
                habits: habits(dice),
            });
        }
        self.pipeliner();
    }

    /// Its dice are its own: worlds keep what they had before there was one.
    fn pipeliner(&mut self) {
        let mut dice = Dice::new(self.world.seed ^ 0x9109);
        if self.world.weather == Weather::Calm || !dice.one_in(4) {
            return;
        }
        self.world.vandals.push(VandalPlan {
            listener: dice.below(2) as usize,
            start: dice.skewed(2 * SECOND),
            payload: PIPELINER,
            habits: Habits {
                read: (0, u64::MAX),
                ..habits(&mut dice)
            },
        });
    }

    fn client(&mut self, author: &Author, dice: &mut Dice) {
        let first = self.world.requests.len() as u32 + 1;
        let count = dice.between(1, 6) as u32;
        let links = self.client_links(dice);
        let slow = links.iter().any(is_slow);
        let narrow = links
            .iter()
            .map(|link| link.piece.0.min(link.piece.1))
            .min();
        let narrow = if slow { 5 } else { narrow.unwrap_or(1) };
        let body_max = self.body_max.min(narrow.saturating_mul(400));
        for id in first..first + count {
            let plan = author.request(id, body_max, dice);
            let bodiless = plan.body.framing == Framing::None && plan.tunnel.is_none();
            let resendable = plan.is_idempotent() && bodiless;
            let stale = self.world.origin.close_after > 0 && !resendable;
            let excused = slow || stale || plan.spoil.is_some();
            self.world.excused.push(excused);
            self.world.requests.push(plan);
        }
        self.world.clients.push(ClientPlan {
            listener: dice.below(2) as usize,
            start: dice.skewed(2 * SECOND),
            requests: (first..first + count).collect(),
            depth: dice.pick(&[1, 1, 1, 2, 5]),
            think: dice.pick(&[0, 0, MS, 200 * MS]),
            habits: links,
            half_close: dice.one_in(6),
            parting_shot: self.parting_shot(dice),
            leave: dice.pick(&[Ending::Close, Ending::Close, Ending::Reset, Ending::Stall]),
        });
    }

    /// Only what is refused at its head: a vandal that merely waits would keep the client waiting.
    fn parting_shot(&self, dice: &mut Dice) -> Option<usize> {
        let row = dice.below(PIPELINER as u64) as usize;
        let refused = !PAYLOADS[row].statuses.contains(&0);
        (refused && self.world.weather != Weather::Calm && dice.one_in(6)).then_some(row)
    }

    /// The connections of one client, in turn.
    fn client_links(&mut self, dice: &mut Dice) -> Vec<Habits> {
        let good = habits(dice);
        let mut links = vec![good];
        if self.world.weather == Weather::Calm || !dice.one_in(3) {
            return links;
        }
        let mut bad = habits(dice);
        match dice.below(4) {
            0 => bad.send_gap = dice.between(50 * MS, 8 * SECOND),
            1 => bad.read = (dice.between(1, 64), dice.between(50 * MS, 4 * SECOND)),
            2 => bad.read = (dice.between(1, 64), u64::MAX),
            _ => {
                bad.cut = Some(Cut {
                    direction: dice.pick(&[
                        Direction::Inward,
                        Direction::Inward,
                        Direction::Outward,
                    ]),
                    after: dice.skewed(self.body_max + 2000) + 1,
                    ending: dice.pick(&[
                        Ending::Reset,
                        Ending::Close,
                        Ending::Finish,
                        Ending::Stall,
                    ]),
                });
            }
        }
        links.insert(dice.below(2) as usize, bad);
        links
    }

    fn script(&mut self, dice: &mut Dice) {
        let world = &mut self.world;
        let storm = world.weather == Weather::Storm;
        let mut script = Vec::new();
        if dice.one_in(3) {
            for _ in 0..dice.between(1, 6) {
                let sets = world
                    .origins
                    .map(|count| dice.between(1, (1 << count) - 1) as u8);
                script.push((dice.skewed(3 * SECOND), Step::Endpoints(sets)));
            }
        }
        if dice.one_in(8) {
            let at = dice.between(0, 3 * SECOND);
            script.push((at, Step::RemoveListener));
            if dice.one_in(2) {
                script.push((at + dice.skewed(SECOND), Step::RestoreListener));
            }
            world.tolerance.idle_close = true;
            world.tolerance.refusals = true;
        }
        if dice.one_in(5) {
            let at = dice.between(0, 3 * SECOND);
            script.push((at, Step::Drain));
            world.tolerance.idle_close = true;
            world.tolerance.refusals = true;
        }
        if dice.one_in(6) {
            script.push((dice.skewed(3 * SECOND), Step::AcceptFailed));
        }
        if storm && dice.one_in(4) {
            let at = dice.between(0, 3 * SECOND);
            let left = dice.one_in(2);
            script.push((at, Step::Clusters([left, !left])));
            script.push((at + dice.skewed(SECOND), Step::Clusters([true, true])));
        }
        if storm && dice.one_in(2) {
            let origin = dice.below((world.origins[0] + world.origins[1]) as u64) as usize;
            let at = dice.skewed(2 * SECOND);
            script.push((at, Step::Crash(origin)));
            script.push((at + dice.skewed(5 * SECOND), Step::Restart(origin)));
        }
        // Dice of their own, as above.
        let mut rename_dice = Dice::new(world.seed ^ 0x4e4a);
        if rename_dice.one_in(4) {
            for _ in 0..rename_dice.between(1, 6) {
                script.push((rename_dice.skewed(3 * SECOND), Step::Rename));
            }
        }
        script.sort_by_key(|&(at, _)| at);
        world.script = script;
    }
}

/// Slow enough for a timeout to be right.
fn is_slow(link: &Habits) -> bool {
    link.send_gap >= 50 * MS || link.read.1 >= 50 * MS
}

fn settings(weather: Weather, payload: usize, dice: &mut Dice) -> Settings {
    let storm = weather == Weather::Storm;
    let short = storm && dice.one_in(3);
    let cramped = storm && dice.one_in(4);
    let time = |dice: &mut Dice, long: u64, low: u64, high: u64| {
        if short { dice.between(low, high) } else { long }
    };
    Settings {
        buffer_payload: payload,
        buffers_limit: 8192,
        connections_limit: if cramped {
            dice.between(2, 12) as usize
        } else {
            1024
        },
        listener_limit: if cramped {
            dice.between(1, 8) as u32
        } else {
            1024
        },
        buffer_limit: dice
            .pick(&[payload as u32, 4 * payload as u32, 32_768])
            .min(64 * payload as u32),
        head_timeout: time(dice, 10 * SECOND, 100 * MS, 3 * SECOND),
        idle_timeout: time(dice, 60 * SECOND, 50 * MS, 5 * SECOND),
        stream_idle_timeout: time(dice, 300 * SECOND, 200 * MS, 5 * SECOND),
        request_timeout: if short {
            dice.between(100 * MS, 5 * SECOND)
        } else {
            0
        },
        route_timeout: if weather == Weather::Calm {
            0
        } else {
            time(dice, 300 * SECOND, 50 * MS, 5 * SECOND)
        },
        connect_timeout: time(dice, 5 * SECOND, 1, SECOND),
        pool_idle_timeout: dice.pick(&[10 * MS, SECOND, 60 * SECOND]),
        downstream_requests_max: if dice.one_in(5) {
            dice.between(1, 4) as u32
        } else {
            0
        },
        upstream_requests_max: if dice.one_in(5) {
            dice.between(1, 4) as u32
        } else {
            0
        },
        breaker: rarely(dice, storm, (1, 4), 1024) as u32,
        breaker_connections: rarely(dice, weather != Weather::Accidents, (1, 3), 1024) as u32,
        connection_duration_max: rarely(dice, true, (10 * MS, 2 * SECOND), 0),
        policy: dice.below(3) as u8,
        relay_bytes_min: u64::MAX,
        engine_seed: dice.bits(),
    }
}

/// Once in four worlds, if `possible`, a number of this range, otherwise the usual one.
fn rarely(dice: &mut Dice, possible: bool, (low, high): (u64, u64), usual: u64) -> u64 {
    let rare = dice.between(low, high);
    if dice.one_in(4) && possible {
        rare
    } else {
        usual
    }
}

/// Links that are odd but whole and fast enough.
fn habits(dice: &mut Dice) -> Habits {
    let low = dice.pick(&[1_000, 50_000, MS]);
    let pieces = [7, 100, 1460, 65_536];
    Habits {
        latency: (low, low * dice.pick(&[1, 1, 5, 20])),
        piece: (dice.pick(&pieces), dice.pick(&pieces)),
        window: (
            dice.pick(&[64, 4096, 65_536]),
            dice.pick(&[64, 4096, 65_536]),
        ),
        send_gap: dice.pick(&[0, 0, 0, 100_000]),
        read: (
            dice.pick(&[64, 1460, 65_536]),
            dice.pick(&[0, 0, 0, 200_000]),
        ),
        keep_on_reset: dice.one_in(2),
        cut: None,
    }
}

fn driver_habits(dice: &mut Dice, receives: u32, queue_bound: (usize, usize)) -> DriverHabits {
    DriverHabits {
        delay: dice.pick(&[0, 1_000, 100_000, 2 * MS]),
        withhold_one_in: dice.pick(&[0, 0, 3, 20]),
        receives,
        receive_piece: dice.pick(&[3, 50, 2000, 65_536, 65_536]),
        end_while_off: dice.one_in(2),
        strays: dice.one_in(2),
        queue_bound,
        relays: RelayHabits::default(),
    }
}

fn relay_habits(dice: &mut Dice) -> RelayHabits {
    RelayHabits {
        takes: dice.pick(&[0, 50, 100, 100, 100, 100]),
        gives_up_one_in: dice.pick(&[0, 0, 3, 20]),
        pipe: dice.pick(&[1, 100, 5000, 65_536]),
        seed: dice.bits(),
    }
}

fn origin_habits(dice: &mut Dice) -> OriginHabits {
    OriginHabits {
        close_after: if dice.one_in(3) {
            dice.between(1, 3) as u32
        } else {
            0
        },
        ending: dice.pick(&[Ending::Close, Ending::Reset]),
        close_delay: dice.pick(&[0, MS, 500 * MS]),
        on_request: dice.one_in(2),
    }
}

fn connect_faults(storm: bool, dice: &mut Dice) -> ConnectFaults {
    if !storm || dice.one_in(2) {
        return ConnectFaults::default();
    }
    ConnectFaults {
        fails: dice.pick(&[0, 10, 50]),
        silent: dice.pick(&[0, 10, 30]),
    }
}

/// Bounds the work of a run: bytes by the smallest unit in which they move.
fn body_max(payload: usize, world: &Scenario) -> u64 {
    let unit = (payload as u64)
        .min(world.driver.receive_piece)
        .min(world.origin_link.piece.0)
        .min(world.origin_link.piece.1)
        .min(world.origin_link.window.0 as u64)
        .min(world.origin_link.window.1 as u64);
    (unit * 400).min(200_000)
}
