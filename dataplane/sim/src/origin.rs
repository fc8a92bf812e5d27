//! An origin's side: reads strictly what the machine sends, answers by plan, has planned accidents.

use std::net::SocketAddr;

use crate::agenda::{Action, Actor};
use crate::ledger::{Ledger, Outcome};
use crate::message::reader::{Finish, Head, Part, Reader};
use crate::message::{Accident, Framing, Half, RequestId, mismatch, response_bytes};
use crate::net::{Ending, LinkId, Net, Notice};
use crate::tunnel::Tunnel;

/// How the connections of an origin end by themselves.
#[derive(Clone, Copy, Debug)]
pub struct OriginHabits {
    /// Closes after so many requests, without saying so; 0 for never.
    pub close_after: u32,
    /// How: [`Ending::Close`] or [`Ending::Reset`].
    pub ending: Ending,
    /// Longest pause between the last answer and that close.
    pub close_delay: u64,
    /// Instead of closing when idle, it closes just as the next request arrives.
    pub on_request: bool,
}

/// One connection of an origin.
pub struct OriginConn {
    index: usize,
    /// Its link.
    pub link: LinkId,
    /// Address of its origin.
    pub address: SocketAddr,
    habits: OriginHabits,
    reader: Reader,
    served: u32,
    current: Option<Current>,
    last: Option<RequestId>,
    tunnel: Option<(RequestId, Tunnel)>,
    /// Why no further request may arrive here.
    spent: Option<&'static str>,
    written: u64,
    gone: bool,
}

/// The request being served.
struct Current {
    id: RequestId,
    body: u64,
    read: bool,
    answered: bool,
}

const RESPOND: u64 = 0;
const LEAVE: u64 = 1;

impl OriginConn {
    /// A connection just accepted.
    pub fn new(index: usize, link: LinkId, address: SocketAddr, habits: OriginHabits) -> Self {
        Self {
            index,
            link,
            address,
            habits,
            reader: Reader::default(),
            served: 0,
            current: None,
            last: None,
            tunnel: None,
            spent: None,
            written: 0,
            gone: false,
        }
    }

    /// Something happened on the connection.
    pub fn notice(&mut self, net: &mut Net, ledger: &mut Ledger, notice: Notice) {
        if self.gone {
            return;
        }
        match notice {
            Notice::Bytes(bytes) => {
                self.reader.push(&bytes);
                self.read(net, ledger);
            }
            Notice::End => self.ended(net, ledger, true),
            Notice::Reset => self.ended(net, ledger, false),
            Notice::Severed(_) => self.died(net, ledger),
        }
    }

    /// A wake that it asked for.
    pub fn woken(&mut self, net: &mut Net, ledger: &mut Ledger, token: u64) {
        if self.gone {
            return;
        }
        match (token & 0xff, token >> 8) {
            (RESPOND, id) => self.respond(net, ledger, id as RequestId),
            (_, served) if served == u64::from(self.served) && self.current.is_none() => {
                self.leave_idle(net, ledger);
            }
            _ => {}
        }
    }

    /// Closes an idle connection. A reset might take the last answer with it, so it waits until
    /// that one has arrived.
    fn leave_idle(&mut self, net: &mut Net, ledger: &mut Ledger) {
        let answered = self
            .last
            .is_none_or(|id| ledger.entry(id).outcome != Outcome::Waiting);
        if self.habits.ending == Ending::Reset && !answered {
            return self.wake(net, LEAVE, u64::from(self.served), 5_000_000);
        }
        self.leave_behind(net, ledger, self.habits.ending);
    }

    /// The whole origin dies.
    pub fn crash(&mut self, net: &mut Net, ledger: &mut Ledger) {
        if !self.gone {
            self.excuse_current(ledger);
            if let Some(last) = self.last {
                ledger.delivery_died(last, self.index); // its answer may be lost on the way
            }
            self.leave(net, ledger, Ending::Reset);
        }
    }

    fn wake(&self, net: &mut Net, kind: u64, number: u64, after: u64) {
        let token = kind | number << 8;
        net.agenda
            .after(after, Action::Wake(Actor::Origin(self.index), token));
    }

    // --- the request ---

    fn read(&mut self, net: &mut Net, ledger: &mut Ledger) {
        while !self.gone && net.trace.first_violation().is_none() {
            let part = match self.reader.poll_part() {
                Ok(Some(part)) => part,
                Ok(None) => return,
                Err(problem) => {
                    return net.violation(format!("origin {} cannot read: {problem}", self.index));
                }
            };
            let result = match part {
                Part::Head(head) => self.head(net, ledger, &head),
                Part::Data(bytes) => self.data(ledger, &bytes),
                Part::End(trailers) => self.request_end(net, ledger, &trailers),
            };
            if let Err(problem) = result {
                return net.violation(format!("origin connection {}: {problem}", self.index));
            }
        }
    }

    fn head(&mut self, net: &mut Net, ledger: &mut Ledger, head: &Head) -> Result<(), String> {
        if let Some(reason) = self.spent {
            return Err(format!("{:?} although {reason}", head.start));
        }
        if self.current.is_some() || net.unsent(self.link) > 0 {
            return Err(format!("{:?} before the last answer was read", head.start));
        }
        if self.stale(net, ledger, head)? {
            return Ok(());
        }
        let id = ledger.delivered(head, self.index, self.served > 0)?;
        let plan = ledger.entry(id).plan.clone();
        let index = self.index;
        net.mark(&[40, u64::from(id), index as u64], || {
            format!("ori  {index} serves request {id}: {}", head.start.join(" "))
        });
        let (framing, length) = head.framing()?;
        self.reader.frame(framing, length);
        self.current = Some(Current {
            id,
            body: 0,
            read: false,
            answered: false,
        });
        if head.values("expect").next().is_some() {
            self.write(net, b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        if plan.response.early {
            self.wake(net, RESPOND, u64::from(id), plan.response.delay);
        }
        Ok(())
    }

    /// Closes under a request that arrives on a connection used before. True if it did.
    fn stale(&mut self, net: &mut Net, ledger: &mut Ledger, head: &Head) -> Result<bool, String> {
        let habits = self.habits;
        let due = habits.close_after > 0 && self.served >= habits.close_after;
        if !due || !habits.on_request {
            return Ok(false);
        }
        let id = ledger.delivered(head, self.index, true)?;
        ledger.delivery_died(id, self.index);
        let entry = ledger.entry_mut(id);
        entry.may_fail |= !entry.plan.is_idempotent() || entry.plan.body.framing != Framing::None;
        entry.may_fail |= entry.plan.tunnel.is_some();
        self.leave(net, ledger, habits.ending);
        Ok(true)
    }

    fn data(&mut self, ledger: &Ledger, bytes: &[u8]) -> Result<(), String> {
        if let Some((_, tunnel)) = &mut self.tunnel {
            return tunnel.receive(bytes);
        }
        let current = self
            .current
            .as_mut()
            .ok_or("body bytes without a request")?;
        let id = current.id;
        let plan = &ledger.entry(id).plan;
        let left = (plan.body.len - current.body.min(plan.body.len)) as usize;
        let spoilt = plan.spoil.is_some(); // the last chunk of it may be no pattern
        let planned = if spoilt {
            &bytes[..bytes.len().min(left)]
        } else {
            bytes
        };
        if let Some(at) = mismatch(id, Half::Request, current.body, planned) {
            return Err(format!("request {id}: wrong byte at {at}"));
        }
        current.body += bytes.len() as u64;
        if current.body > plan.body.len && !spoilt {
            return Err(format!("request {id} is longer than the client's"));
        }
        Ok(())
    }

    fn request_end(
        &mut self,
        net: &mut Net,
        ledger: &mut Ledger,
        trailers: &[(String, String)],
    ) -> Result<(), String> {
        let current = self.current.as_mut().ok_or("an end without a request")?;
        let id = current.id;
        let plan = &ledger.entry(id).plan;
        if let Some(spoil) = plan.spoil {
            return Err(format!("request {id} looks complete in spite of {spoil:?}"));
        }
        if current.body != plan.body.len {
            let (got, planned) = (current.body, plan.body.len);
            return Err(format!(
                "request {id} looks complete with {got} of {planned} bytes"
            ));
        }
        if plan.body.framing == Framing::Chunked {
            ledger
                .check_trailers(&plan.body.trailers, trailers)
                .map_err(|problem| format!("request {id}: {problem}"))?;
        }
        current.read = true;
        if !plan.response.early {
            self.wake(net, RESPOND, u64::from(id), plan.response.delay);
        }
        if plan.tunnel.is_some() && plan.response.status == 101 {
            self.reader.tunnel();
        }
        self.finish_exchange(net, ledger);
        Ok(())
    }

    // --- the response ---

    fn respond(&mut self, net: &mut Net, ledger: &mut Ledger, id: RequestId) {
        let Some(current) = self.current.as_mut().filter(|current| current.id == id) else {
            return;
        };
        current.answered = true;
        let plan = ledger.entry(id).plan.clone();
        let accident = plan.response.accident;
        // Whoever is sent on this connection before the surplus arrives has to suffer for it.
        ledger.tolerance.errors |= accident == Accident::ExtraBytes;
        if accident.spoils() {
            ledger.entry_mut(id).may_fail = true;
        }
        let index = self.index;
        net.mark(&[41, u64::from(id)], || {
            let status = plan.response.status;
            format!("ori  {index} answers request {id} with {status}, accident {accident:?}")
        });
        let bytes = response_bytes(&plan, &mut net.dice.fork());
        self.write(net, &bytes);
        if plan.response.ends_connection(plan.method) {
            self.spent = Some("its last answer ended the connection");
        }
        if let Some(ending) = accident_ending(accident) {
            return self.leave_behind(net, ledger, ending);
        }
        if plan.tunnel.is_some() && plan.response.status == 101 && accident == Accident::None {
            return self.start_tunnel(net, ledger, id);
        }
        self.finish_exchange(net, ledger);
    }

    fn start_tunnel(&mut self, net: &mut Net, ledger: &Ledger, id: RequestId) {
        let Some(plan) = ledger.entry(id).plan.tunnel else {
            return;
        };
        let tunnel = Tunnel::start(
            net,
            self.link,
            (id, Half::Response),
            (0, plan.down),
            plan.up,
            !plan.client_ends_first,
        );
        self.reader.tunnel();
        self.tunnel = Some((id, tunnel));
    }

    /// The exchange is over once the request was read and the answer written.
    fn finish_exchange(&mut self, net: &mut Net, ledger: &mut Ledger) {
        let over = self
            .current
            .as_ref()
            .is_some_and(|current| current.read && current.answered);
        let Some(current) = self.current.take_if(|_| over && self.tunnel.is_none()) else {
            return;
        };
        let plan = &ledger.entry(current.id).plan;
        let accident = plan.response.accident;
        if matches!(accident, Accident::Silence | Accident::SilenceInBody) {
            self.current = Some(current); // for ever
            return;
        }
        self.served += 1;
        self.last = Some(current.id);
        if plan.response.ends_connection(plan.method) {
            return self.leave_behind(net, ledger, Ending::Close);
        }
        let due = self.habits.close_after > 0 && self.served >= self.habits.close_after;
        if due && !self.habits.on_request {
            let delay = net.dice.skewed(self.habits.close_delay);
            self.wake(net, LEAVE, u64::from(self.served), delay);
        }
    }

    fn write(&mut self, net: &mut Net, bytes: &[u8]) {
        self.written += bytes.len() as u64;
        net.write(self.link, bytes);
    }

    // --- ends ---

    /// Ends once all that is written has left.
    fn leave_behind(&mut self, net: &mut Net, ledger: &mut Ledger, ending: Ending) {
        net.end(self.link, ending);
        self.died(net, ledger);
    }

    /// Ends at once.
    fn leave(&mut self, net: &mut Net, ledger: &mut Ledger, ending: Ending) {
        net.end_far(self.link, ending);
        self.died(net, ledger);
    }

    fn died(&mut self, _net: &mut Net, ledger: &mut Ledger) {
        self.gone = true;
        if let Some(current) = &self.current {
            ledger.delivery_died(current.id, self.index);
        }
    }

    fn excuse_current(&mut self, ledger: &mut Ledger) {
        let tunnel = self.tunnel.as_ref().map(|(id, _)| *id);
        let current = self.current.as_ref().map(|current| current.id);
        for id in tunnel.into_iter().chain(current) {
            ledger.entry_mut(id).may_fail = true;
        }
    }

    /// The machine ended the connection, by FIN (`clean`) or RST.
    fn ended(&mut self, net: &mut Net, ledger: &mut Ledger, clean: bool) {
        if let Some((id, tunnel)) = &mut self.tunnel {
            let whole = clean && tunnel.end(net, self.link);
            if !whole && !ledger.excused(*id) {
                net.violation(format!(
                    "origin's end of {}, clean {clean}",
                    tunnel.progress()
                ));
            }
            self.gone = true;
            return;
        }
        if let Some(current) = &self.current {
            let id = current.id;
            let early = current.answered && !current.read;
            if !early && !ledger.excused(id) {
                net.violation(format!("request {id} is cut at the origin, clean {clean}"));
            }
        } else if self.reader.finish() == Finish::Truncated && !ledger.tolerance.cuts {
            net.violation(format!("origin {} gets half a head", self.index));
        }
        self.leave(net, ledger, Ending::Close);
    }
}

/// How the connection ends after an accident, if at once.
fn accident_ending(accident: Accident) -> Option<Ending> {
    match accident {
        Accident::CloseBefore | Accident::CloseInHead | Accident::CloseInBody => {
            Some(Ending::Close)
        }
        Accident::ResetBefore | Accident::ResetInBody => Some(Ending::Reset),
        _ => None,
    }
}
