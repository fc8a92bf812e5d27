//! The oracle: what became of every request, and what may have become of it.
//!
//! A request is known by its id on both sides of the machine. The ledger says at once when
//! something arrives that cannot be right; what must still arrive is checked when the run is over.

use crate::message::reader::Head;
use crate::message::{FieldPair, Framing, RequestId, RequestPlan};

/// What the weather of a run allows beyond success.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tolerance {
    /// Any exchange may be answered with an error of the machine, or be cut.
    pub errors: bool,
    /// A connection may be closed between two exchanges without being announced.
    pub idle_close: bool,
    /// A client may find no way in.
    pub refusals: bool,
    /// An exchange may be cut by its client, or excused from the start.
    pub cuts: bool,
}

/// Switches of the configuration that decide what is right.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// `enable_trailers`.
    pub forward_trailers: bool,
    /// `proxy_100_continue`.
    pub proxy_continue: bool,
    /// The upgrade is configured.
    pub upgrades: bool,
}

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Nothing yet.
    Waiting,
    /// Answered by the origin, whole.
    Answered,
    /// Answered by the machine with this status.
    Declined(u16),
    /// The answer was cut, or the connection ended without one.
    Cut,
    /// The client gave it up by itself.
    Abandoned,
    /// No connection was to be had.
    Unserved,
}

/// One arrival at an origin.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// Which origin connection.
    pub conn: usize,
    /// It had served a request before.
    pub reused: bool,
    /// It ended without an answer.
    pub dead: bool,
}

/// One request.
#[derive(Debug)]
pub struct Entry {
    /// What was planned.
    pub plan: RequestPlan,
    /// Where it arrived.
    pub deliveries: Vec<Delivery>,
    /// What became of it.
    pub outcome: Outcome,
    /// A fault was injected that excuses an error.
    pub may_fail: bool,
    /// Its client sent it again after a connection was closed without a word.
    pub repeated: bool,
}

/// All requests of a run.
pub struct Ledger {
    entries: Vec<Entry>,
    /// What is excused everywhere.
    pub tolerance: Tolerance,
    /// What the configuration says.
    pub rules: Rules,
}

/// Who wrote a response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Author {
    /// The origin.
    Origin,
    /// The machine, because something went wrong.
    Machine,
    /// The machine, because the route says so.
    Route,
}

impl Ledger {
    /// A ledger of planned requests; ids count from 1 in the order given.
    pub fn new(plans: Vec<RequestPlan>, tolerance: Tolerance, rules: Rules) -> Self {
        let entry = |plan| Entry {
            plan,
            deliveries: Vec::new(),
            outcome: Outcome::Waiting,
            may_fail: false,
            repeated: false,
        };
        Self {
            entries: plans.into_iter().map(entry).collect(),
            tolerance,
            rules,
        }
    }

    /// The entry of a request that exists.
    pub fn entry(&self, id: RequestId) -> &Entry {
        &self.entries[id as usize - 1]
    }

    /// The entry of a request that exists, to change.
    pub fn entry_mut(&mut self, id: RequestId) -> &mut Entry {
        &mut self.entries[id as usize - 1]
    }

    /// All entries with their ids.
    pub fn entries(&self) -> impl Iterator<Item = (RequestId, &Entry)> {
        (1..).zip(&self.entries)
    }

    /// May this exchange end in an error?
    pub fn excused(&self, id: RequestId) -> bool {
        self.tolerance.errors || self.entry(id).may_fail
    }

    /// Notes what became of a request.
    pub fn settle(&mut self, id: RequestId, outcome: Outcome) -> Result<(), String> {
        let entry = self.entry_mut(id);
        if entry.outcome != Outcome::Waiting {
            return Err(format!(
                "request {id} was {:?} and is now {outcome:?}",
                entry.outcome
            ));
        }
        entry.outcome = outcome;
        Ok(())
    }

    // --- at the origin ---

    /// A request head arrived at an origin.
    pub fn delivered(
        &mut self,
        head: &Head,
        conn: usize,
        reused: bool,
    ) -> Result<RequestId, String> {
        let id = head
            .sim_id()?
            .ok_or("a request without id reached an origin")?;
        if id == 0 || id as usize > self.entries.len() {
            return Err(format!(
                "request {id}, which must not get through, reached an origin"
            ));
        }
        let rules = self.rules;
        let entry = self.entry_mut(id);
        check_request_head(&entry.plan, head, rules)
            .map_err(|problem| format!("request {id} at the origin: {problem}"))?;
        entry.check_delivery(id)?;
        entry.deliveries.push(Delivery {
            conn,
            reused,
            dead: false,
        });
        Ok(id)
    }

    /// The origin connection died before it answered.
    pub fn delivery_died(&mut self, id: RequestId, conn: usize) {
        for delivery in &mut self.entry_mut(id).deliveries {
            delivery.dead |= delivery.conn == conn;
        }
    }

    // --- at the client ---

    /// A final response head arrived for `id`: who wrote it.
    pub fn answered(&self, id: RequestId, status: u16, head: &Head) -> Result<Author, String> {
        let entry = self.entry(id);
        let problem = |text: String| format!("response to request {id}: {text}");
        match head.sim_id()? {
            Some(other) if other != id => Err(problem(format!("it belongs to request {other}"))),
            Some(_) => {
                entry.check_response_head(status, head).map_err(problem)?;
                Ok(Author::Origin)
            }
            None if entry.plan.direct && status == 200 => Ok(Author::Route),
            None if status < 400 => Err(problem(format!("{status} without the origin's id"))),
            None if !self.excused(id) => Err(problem(format!(
                "{status} of the machine, with nothing wrong"
            ))),
            None => Ok(Author::Machine),
        }
    }

    /// How the trailers must arrive.
    pub fn check_trailers(&self, planned: &[FieldPair], got: &[FieldPair]) -> Result<(), String> {
        let lower = |fields: &[FieldPair]| -> Vec<FieldPair> {
            fields
                .iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
                .collect()
        };
        let expected = if self.rules.forward_trailers {
            lower(planned)
        } else {
            Vec::new()
        };
        if lower(got) != expected {
            return Err(format!("trailers {got:?} instead of {expected:?}"));
        }
        Ok(())
    }
}

impl Entry {
    fn check_delivery(&self, id: RequestId) -> Result<(), String> {
        if self.plan.direct {
            return Err(format!(
                "request {id} reached an origin, but its route answers by itself"
            ));
        }
        if self.outcome == Outcome::Answered {
            return Err(format!(
                "request {id} reached an origin after it was {:?}",
                self.outcome
            ));
        }
        let Some(first) = self.deliveries.first().filter(|_| !self.repeated) else {
            return Ok(());
        };
        if self.deliveries.len() > 1 {
            return Err(format!("request {id} reached an origin a third time"));
        }
        if !self.plan.is_idempotent() {
            return Err(format!("{} request {id} was sent again", self.plan.method));
        }
        if !first.dead || !first.reused {
            return Err(format!(
                "request {id} was sent again, but {first:?} was no stale connection"
            ));
        }
        Ok(())
    }

    fn check_response_head(&self, status: u16, head: &Head) -> Result<(), String> {
        let response = &self.plan.response;
        if self.deliveries.is_empty() {
            return Err("no origin has seen the request".into());
        }
        if response.accident.before_head() {
            return Err(format!("the origin's {:?} got through", response.accident));
        }
        if status != response.status {
            return Err(format!("status {status} instead of {}", response.status));
        }
        check_fields(&response.fields, &response.hop_fields, head)?;
        if !response.has_body(self.plan.method) || self.plan.method == "CONNECT" {
            return Ok(());
        }
        let (framing, length) = head.framing()?;
        let planned = &response.body;
        let fits = match planned.framing {
            Framing::Length => (framing, length) == (Framing::Length, planned.len),
            _ if self.plan.http10 => framing == Framing::None,
            _ => framing == Framing::Chunked,
        };
        if !fits {
            return Err(format!(
                "{framing:?} {length} for a body {:?} {}",
                planned.framing, planned.len
            ));
        }
        Ok(())
    }
}

fn check_request_head(plan: &RequestPlan, head: &Head, rules: Rules) -> Result<(), String> {
    let line = [plan.method, plan.target.as_str(), "HTTP/1.1"];
    if head.start != line {
        return Err(format!("{:?} instead of {line:?}", head.start));
    }
    if head.one("host")? != Some(plan.host.as_str()) {
        return Err(format!("Host {:?}", head.one("host")?));
    }
    check_fields(&plan.fields, &plan.hop_fields, head)?;
    let tunnel = plan.tunnel.is_some() && rules.upgrades && plan.body.framing == Framing::None;
    for name in ["keep-alive", "proxy-connection", "te"] {
        if head.values(name).next().is_some() {
            return Err(format!("hop-by-hop field {name}"));
        }
    }
    if !tunnel && head.values("upgrade").next().is_some() {
        return Err("Upgrade that must not pass".into());
    }
    let expects = plan.expect && rules.proxy_continue && !plan.http10;
    if !expects && head.values("expect").next().is_some() {
        return Err("Expect that must not pass".into());
    }
    let (framing, length) = head.framing()?;
    let fits = match plan.body.framing {
        Framing::None => framing == Framing::None || (framing, length) == (Framing::Length, 0),
        Framing::Length => (framing, length) == (Framing::Length, plan.body.len),
        _ => framing == Framing::Chunked,
    };
    if !fits {
        return Err(format!("{framing:?} {length} for a body {:?}", plan.body));
    }
    Ok(())
}

/// Planned fields are there, whole and in order; fields of the hop are not.
fn check_fields(fields: &[FieldPair], hop: &[FieldPair], head: &Head) -> Result<(), String> {
    for (name, _) in fields {
        let name = name.to_ascii_lowercase();
        let planned: Vec<&str> = fields
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(&name))
            .map(|(_, value)| value.as_str())
            .collect();
        let got: Vec<&str> = head.values(&name).collect();
        if got != planned {
            return Err(format!("field {name}: {got:?} instead of {planned:?}"));
        }
    }
    for (name, _) in hop {
        if head.values(&name.to_ascii_lowercase()).next().is_some() {
            return Err(format!("hop-by-hop field {name} got through"));
        }
    }
    Ok(())
}
