//! Writes the requests of a scenario and the answers to them.

use super::{MS, Weather};
use crate::dice::Dice;
use crate::ledger::Rules;
use crate::message::{
    Accident, BodyPlan, FieldPair, Framing, RequestPlan, ResponsePlan, Spoil, TunnelPlan,
};

/// What kind of messages a scenario has.
pub(super) struct Author {
    weather: Weather,
    rules: Rules,
    bodies: bool,
    http10: u64,
    tunnels: bool,
    early: bool,
    accidents: u64,
    body_max: u64,
}

impl Author {
    pub(super) fn new(weather: Weather, body_max: u64, rules: Rules, dice: &mut Dice) -> Self {
        Self {
            weather,
            rules,
            bodies: !dice.one_in(4),
            http10: dice.pick(&[0, 10, 10, 60]),
            tunnels: dice.one_in(4),
            early: dice.one_in(4),
            accidents: if weather == Weather::Calm {
                0
            } else {
                dice.pick(&[0, 10, 40])
            },
            body_max,
        }
    }

    pub(super) fn request(&self, id: u32, body_max: u64, dice: &mut Dice) -> RequestPlan {
        let body_max = body_max.min(self.body_max);
        let method = dice.pick(&[
            "GET", "GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE", "OPTIONS", "BREW",
        ]);
        let http10 = dice.percent(self.http10);
        // Where no upgrade is configured the answer is 403.
        let possible = self.tunnels && self.rules.upgrades;
        let wants_tunnel = possible && !http10 && dice.one_in(3);
        let tunnel = wants_tunnel.then(|| tunnel(body_max, dice));
        let body = match (tunnel, method) {
            (Some(_), _) => BodyPlan::none(),
            (None, "POST" | "PUT" | "BREW") => self.request_body(http10, body_max, dice),
            _ if self.bodies && dice.one_in(10) => self.request_body(http10, body_max, dice),
            _ => BodyPlan::none(),
        };
        let mut plan = RequestPlan {
            id,
            method: if tunnel.is_some() { "GET" } else { method },
            http10,
            keep_alive: if http10 {
                dice.one_in(2)
            } else {
                !dice.one_in(8)
            },
            target: target(id, dice),
            host: dice.pick(&["sim.example", "sim.example:8080"]).to_owned(),
            absolute: !http10 && dice.one_in(10),
            fields: end_to_end(dice),
            hop_fields: hop(dice),
            expect: body.len > 0 && !http10 && dice.one_in(5),
            body,
            spoil: None,
            direct: tunnel.is_none() && dice.one_in(12),
            tunnel,
            response: self.response(http10, body_max, dice),
        };
        if plan.direct {
            plan.target = plan.target.replacen(['a', 'b', 'w'], "d", 1);
        }
        self.fit_tunnel(&mut plan, dice);
        self.fit_accident(&mut plan);
        let chunked = plan.body.framing == Framing::Chunked;
        if chunked && self.weather != Weather::Calm && dice.one_in(8) {
            plan.spoil = Some(dice.pick(&Spoil::ALL));
            plan.body.trailers.clear();
        }
        plan
    }

    /// Whether an upgrade is agreed to is up to the origin.
    fn fit_tunnel(&self, plan: &mut RequestPlan, dice: &mut Dice) {
        if plan.tunnel.is_none() {
            return;
        }
        plan.response.early = true; // an upgrade has no body to wait for
        if !dice.one_in(4) {
            plan.response.status = 101;
            plan.response.interims.clear();
            plan.response.close = false;
            plan.response.http10 = false;
            plan.response.accident = Accident::None;
            plan.response.body = BodyPlan::none();
        } else if let Some(tunnel) = &mut plan.tunnel {
            tunnel.eager = 0;
        }
    }

    /// An accident needs an answer to which it can happen.
    fn fit_accident(&self, plan: &mut RequestPlan) {
        let has_body = plan.response.has_body(plan.method);
        let response = &mut plan.response;
        let framing = response.body.framing;
        let possible = match response.accident {
            Accident::CloseInBody | Accident::SilenceInBody => {
                has_body && response.body.len > 1 && framing != Framing::ToClose
            }
            Accident::ResetInBody => has_body && response.body.len > 1,
            Accident::BadChunk => has_body && framing == Framing::Chunked,
            Accident::LengthAndCoding | Accident::TwoLengths => has_body,
            Accident::ExtraBytes => framing != Framing::ToClose && !response.close,
            Accident::Switching => plan.tunnel.is_none(),
            _ => true,
        };
        if !possible {
            response.accident = Accident::None;
        }
        if response.accident == Accident::BadChunk {
            response.body.trailers.clear();
        }
    }

    fn request_body(&self, http10: bool, body_max: u64, dice: &mut Dice) -> BodyPlan {
        if !self.bodies {
            return BodyPlan {
                framing: Framing::Length,
                ..BodyPlan::none()
            };
        }
        let framing = if http10 || dice.one_in(2) {
            Framing::Length
        } else {
            Framing::Chunked
        };
        body(framing, body_max, dice)
    }

    fn response(&self, http10: bool, body_max: u64, dice: &mut Dice) -> ResponsePlan {
        let status = dice.pick(&[200, 200, 200, 200, 204, 304, 404, 503]);
        let framing = dice.pick(&[
            Framing::Length,
            Framing::Length,
            Framing::Chunked,
            Framing::ToClose,
        ]);
        let old = dice.one_in(10);
        let framing = if old && framing == Framing::Chunked {
            Framing::Length
        } else {
            framing
        };
        let interims = if http10 || old || dice.percent(85) {
            Vec::new()
        } else {
            vec![dice.pick(&[102, 103]); dice.between(1, 3) as usize]
        };
        let mut plan = body(framing, body_max, dice);
        if !self.bodies {
            plan.len = 0;
        }
        ResponsePlan {
            status,
            http10: old,
            interims,
            fields: end_to_end(dice),
            hop_fields: hop(dice),
            body: plan,
            close: dice.one_in(8),
            delay: dice.pick(&[0, 0, MS, 50 * MS]),
            early: self.early && dice.one_in(3),
            accident: self.accident(dice),
        }
    }

    fn accident(&self, dice: &mut Dice) -> Accident {
        if self.weather == Weather::Calm || !dice.percent(self.accidents) {
            return Accident::None;
        }
        dice.pick(&Accident::ALL)
    }
}

fn tunnel(body_max: u64, dice: &mut Dice) -> TunnelPlan {
    let up = dice.skewed(body_max);
    TunnelPlan {
        up,
        down: dice.skewed(body_max),
        eager: if dice.one_in(4) {
            dice.skewed(up.min(64))
        } else {
            0
        },
        client_ends_first: dice.one_in(2),
    }
}

fn body(framing: Framing, body_max: u64, dice: &mut Dice) -> BodyPlan {
    let chunked = framing == Framing::Chunked;
    let trailers = if chunked && dice.one_in(4) {
        vec![
            ("x-checksum".to_owned(), dice.bits().to_string()),
            ("x-second".to_owned(), "2".to_owned()),
        ]
    } else {
        Vec::new()
    };
    let len = dice.skewed(body_max);
    let chunk_max = dice.pick(&[20, 100, 5000, 100_000]);
    let few = len / chunk_max < 200; // the extensions of one message may come to 16 KiB (F10)
    BodyPlan {
        framing,
        len,
        chunk_max,
        extensions: chunked && few && dice.one_in(5),
        trailers,
    }
}

fn target(id: u32, dice: &mut Dice) -> String {
    let route = dice.pick(&["/a/", "/b/", "/w/"]);
    let query = dice.pick(&["", "", "?q=1", "?a=b&c=%2F"]);
    format!("{route}r{id}{query}")
}

fn end_to_end(dice: &mut Dice) -> Vec<FieldPair> {
    let mut fields = Vec::new();
    for index in 0..dice.skewed(6) {
        let value = "v".repeat(dice.skewed(200) as usize);
        fields.push((format!("X-E2e-{}", index % 4), format!("{index}{value}")));
    }
    fields
}

fn hop(dice: &mut Dice) -> Vec<FieldPair> {
    if !dice.one_in(6) {
        return Vec::new();
    }
    vec![("x-hop".to_owned(), "only for you".to_owned())]
}
