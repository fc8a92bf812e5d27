//! A client that keeps the protocol: sends its requests one after the other or pipelined, reads
//! strictly, and comes back with what was not served when the machine closes a connection as it
//! may.

use std::collections::VecDeque;

use crate::agenda::{Action, Actor};
use crate::ledger::{Author, Ledger, Outcome};
use crate::message::reader::{Finish, Head, Part, Reader};
use crate::message::{DIRECT_BODY, Framing, Half, RequestId, body_bytes, mismatch, request_bytes};
use crate::net::{Ending, Habits, LinkId, Net, Notice};
use crate::tunnel::Tunnel;
use crate::vandal::PAYLOADS;

/// Nanoseconds without any sign of life after which a client says that the machine hangs.
const PATIENCE: u64 = 900_000_000_000;
/// Connections a client opens for one request before it gives up.
const TRIES_MAX: u32 = 12;

/// What a client is going to do.
#[derive(Clone, Debug)]
pub struct ClientPlan {
    /// Index of the listener.
    pub listener: usize,
    /// When it comes, in nanoseconds.
    pub start: u64,
    /// Its requests.
    pub requests: Vec<RequestId>,
    /// Requests under way at once.
    pub depth: usize,
    /// Pause between a response and the next request.
    pub think: u64,
    /// Its connections, in turn.
    pub habits: Vec<Habits>,
    /// Shuts its sending side down after the last request.
    pub half_close: bool,
    /// Sends this row of the vandals' [`PAYLOADS`] right behind its last request.
    pub parting_shot: Option<usize>,
    /// How it leaves when all is answered: closes, resets, or waits for the idle timeout (`Stall`).
    pub leave: Ending,
}

/// What a client asks of the world.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    /// Nothing.
    Nothing,
    /// A connection.
    Connect,
}

/// One client.
pub struct Client {
    index: usize,
    plan: ClientPlan,
    waiting: VecDeque<RequestId>,
    conn: Option<Conn>,
    generation: u64,
    tries: u32,
    done: bool,
}

/// One connection of a client.
struct Conn {
    link: LinkId,
    outstanding: VecDeque<Flying>,
    reader: Reader,
    receiving: Option<Receiving>,
    tunnel: Option<Tunnel>,
    written: u64,
    will_close: bool,
    finished_sending: bool,
    thinking: bool,
    shot: bool,
    deaf: bool,
    silent_since: u64,
    sent_before: u64,
}

/// A request whose response is awaited.
struct Flying {
    id: RequestId,
    held_body: Option<Vec<u8>>,
    continued: bool,
    whole_at: u64,
    interims: usize,
}

struct Receiving {
    id: RequestId,
    status: u16,
    author: Author,
    body: bool,
    to_close: bool,
    offset: u64,
}

const CONNECT: u64 = 0;
const NEXT: u64 = 1;
const CONTINUE: u64 = 2;
const PATIENT: u64 = 3;

impl Client {
    /// A client; the world wakes it at its start.
    pub fn new(index: usize, plan: ClientPlan) -> Self {
        Self {
            index,
            waiting: plan.requests.iter().copied().collect(),
            plan,
            conn: None,
            generation: 0,
            tries: 0,
            done: false,
        }
    }

    /// Nothing is left to do.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Index of the listener it uses.
    pub fn listener(&self) -> usize {
        self.plan.listener
    }

    /// Habits of its next connection.
    pub fn habits(&self) -> Habits {
        self.plan.habits[self.tries as usize % self.plan.habits.len()]
    }

    /// What it still waits for, for a person.
    pub fn state(&self) -> String {
        let flying: Vec<RequestId> = self.conn.iter().flat_map(Conn::ids).collect();
        format!(
            "client {}: unsent {:?}, unanswered {flying:?}",
            self.index, self.waiting
        )
    }

    // --- connections ---

    /// The connection is there.
    pub fn connected(&mut self, net: &mut Net, ledger: &mut Ledger, link: LinkId) {
        self.tries += 1;
        self.generation += 1;
        self.conn = Some(Conn::new(link, net.now().0));
        self.wake(net, PATIENT, PATIENCE);
        self.send_more(net, ledger);
    }

    /// There is no listener (any more).
    pub fn refused(&mut self, net: &mut Net, ledger: &mut Ledger) {
        if !ledger.tolerance.refusals {
            net.violation(format!("client {} finds the listener closed", self.index));
        }
        self.give_up(net, ledger);
    }

    fn give_up(&mut self, net: &mut Net, ledger: &mut Ledger) {
        for id in std::mem::take(&mut self.waiting) {
            settle(net, ledger, id, Outcome::Unserved);
        }
        self.done = true;
    }

    /// The connection is over: come again, or be done.
    fn part(&mut self, net: &mut Net, ledger: &mut Ledger) {
        self.conn = None;
        self.generation += 1;
        if self.waiting.is_empty() {
            self.done = true;
        } else if self.tries > TRIES_MAX + self.plan.requests.len() as u32 {
            if !ledger.tolerance.refusals && !ledger.tolerance.errors {
                net.violation(format!("client {} cannot get through", self.index));
            }
            self.give_up(net, ledger);
        } else {
            self.wake(net, CONNECT, 1_000_000);
        }
    }

    fn wake(&self, net: &mut Net, kind: u64, after: u64) {
        let token = kind | self.generation << 8;
        net.agenda
            .after(after, Action::Wake(Actor::Client(self.index), token));
    }

    /// A wake that it asked for.
    pub fn woken(&mut self, net: &mut Net, ledger: &mut Ledger, token: u64) -> Ask {
        if token >> 8 != self.generation || self.done {
            return Ask::Nothing;
        }
        match token & 0xff {
            CONNECT => return Ask::Connect,
            NEXT => self.think_over(net, ledger),
            CONTINUE => self.send_held(net, None),
            _ => self.check_patience(net, ledger),
        }
        Ask::Nothing
    }

    fn think_over(&mut self, net: &mut Net, ledger: &mut Ledger) {
        if let Some(conn) = &mut self.conn {
            conn.thinking = false;
        }
        self.send_more(net, ledger);
    }

    fn check_patience(&mut self, net: &mut Net, ledger: &mut Ledger) {
        let now = net.now().0;
        let Some(conn) = &mut self.conn else { return };
        let sent = net.link(conn.link).inward.sent_total;
        if sent > std::mem::replace(&mut conn.sent_before, sent) {
            conn.silent_since = now; // a slow upload is no silence
        }
        let waited = now - conn.silent_since;
        if waited < PATIENCE {
            return self.wake(net, PATIENT, PATIENCE - waited);
        }
        if net.link(conn.link).habits.read.1 == u64::MAX {
            return self.abandon(net, ledger, Ending::Reset); // it is the one that does not read
        }
        net.violation(format!("hangs: {}", self.state()));
    }

    // --- sending ---

    fn send_more(&mut self, net: &mut Net, ledger: &mut Ledger) {
        while let Some(id) = self.next_request(ledger) {
            self.waiting.pop_front();
            let plan = ledger.entry(id).plan.clone();
            let (head, mut body) = {
                let mut dice = net.dice.fork();
                request_bytes(&plan, &mut dice)
            };
            if let Some(tunnel) = plan.tunnel {
                body = body_bytes(id, Half::Request, 0, tunnel.eager);
            }
            let (index, generation) = (self.index, self.generation);
            net.mark(&[30, u64::from(id)], || {
                format!(
                    "cli  {index}.{generation} sends {} request {id} {}",
                    plan.method, plan.target
                )
            });
            let Some(conn) = &mut self.conn else { return };
            conn.send(net, id, &head, body, plan.expect);
            if plan.expect {
                let patience = net.dice.between(0, 2_000_000_000);
                self.wake(net, CONTINUE, patience);
            }
        }
        self.finish_if_idle(net, ledger);
    }

    /// The next request that may be sent now.
    fn next_request(&self, ledger: &Ledger) -> Option<RequestId> {
        let conn = self.conn.as_ref()?;
        let id = *self.waiting.front()?;
        let last_ends = conn.last_ends(ledger);
        let free = conn.outstanding.len() < self.plan.depth;
        let ready = free && !conn.will_close && !conn.thinking && !last_ends;
        (ready && conn.tunnel.is_none() && !conn.finished_sending).then_some(id)
    }

    fn finish_if_idle(&mut self, net: &mut Net, ledger: &mut Ledger) {
        let leave = self.plan.leave;
        let Some(conn) = &mut self.conn else { return };
        if !self.waiting.is_empty() || conn.tunnel.is_some() {
            return;
        }
        let tunnels = conn.has_tunnel(ledger);
        if self.plan.half_close && !conn.finished_sending && !conn.holds_body() && !tunnels {
            conn.finished_sending = true;
            net.end(conn.link, Ending::Finish);
        }
        let last_ends = conn.last_ends(ledger);
        if let Some(row) = self.plan.parting_shot
            && !last_ends
            && !conn.finished_sending
            && !conn.shot
        {
            conn.shot = true;
            conn.finished_sending = true;
            net.write(conn.link, &PAYLOADS[row].rendered());
        }
        if conn.shot {
            return; // what it deserves is an answer and a closed connection
        }
        if conn.outstanding.is_empty() && !conn.will_close && leave != Ending::Stall {
            net.end(conn.link, leave);
            self.part(net, ledger);
        }
    }

    /// Sends a body that waited for a 100; of any request, or of this one.
    fn send_held(&mut self, net: &mut Net, only: Option<RequestId>) {
        let Some(conn) = &mut self.conn else { return };
        let Some(flying) = conn.outstanding.back_mut() else {
            return;
        };
        if only.is_some_and(|id| id != flying.id) || conn.will_close {
            return;
        }
        if let Some(body) = flying.held_body.take() {
            conn.written += body.len() as u64;
            flying.whole_at = conn.written;
            net.write(conn.link, &body);
        }
    }

    // --- receiving ---

    /// Something happened on its connection.
    pub fn notice(&mut self, net: &mut Net, ledger: &mut Ledger, link: LinkId, notice: Notice) {
        let Some(conn) = self.conn.as_mut().filter(|conn| conn.link == link) else {
            return;
        };
        conn.silent_since = net.now().0;
        match notice {
            Notice::Bytes(_) if conn.deaf => {}
            Notice::Bytes(bytes) => {
                conn.reader.push(&bytes);
                self.read(net, ledger);
            }
            Notice::End => self.ended(net, ledger, true),
            Notice::Reset => self.ended(net, ledger, false),
            Notice::Severed(ending) => self.severed(net, ledger, ending),
        }
    }

    fn read(&mut self, net: &mut Net, ledger: &mut Ledger) {
        while let Some(conn) = self.conn.as_mut().filter(|conn| !conn.deaf) {
            match conn.reader.poll_part() {
                Ok(None) => return,
                Ok(Some(Part::Head(head))) => self.head(net, ledger, &head),
                Ok(Some(Part::Data(bytes))) => self.data(net, ledger, &bytes),
                Ok(Some(Part::End(trailers))) => self.complete(net, ledger, &trailers),
                Err(problem) => {
                    let index = self.index;
                    return net.violation(format!("client {index} cannot read: {problem}"));
                }
            }
            if net.trace.first_violation().is_some() {
                return;
            }
        }
    }

    fn head(&mut self, net: &mut Net, ledger: &mut Ledger, head: &Head) {
        let index = self.index;
        net.mark(&[31], || {
            format!("cli  {index} reads {}", head.start.join(" "))
        });
        let Some(conn) = &mut self.conn else { return };
        let Some(flying) = conn.outstanding.front_mut() else {
            if conn.shot {
                return self.shot_answered(net, head);
            }
            return net.violation(format!(
                "client {index} gets a response that nobody asked for"
            ));
        };
        let id = flying.id;
        let status = head.start[1].parse::<u16>().unwrap_or(0);
        match status {
            100 => self.interim_continue(net, ledger, id),
            101 => self.switch(net, ledger, id, head),
            102..=199 => self.interim(net, ledger, head),
            200..=599 => self.final_head(net, ledger, id, status, head),
            _ => net.violation(format!("status line {:?}", head.start)),
        }
    }

    /// The answer to its parting shot.
    fn shot_answered(&mut self, net: &mut Net, head: &Head) {
        let refused = head.start[1].starts_with(['4', '5']) && head.connection_has("close");
        if !refused {
            net.violation(format!("answer to a parting shot: {:?}", head.start));
        }
        if let Some(conn) = &mut self.conn {
            conn.will_close = true;
            conn.deaf = true;
        }
    }

    fn interim_continue(&mut self, net: &mut Net, ledger: &Ledger, id: RequestId) {
        let plan = &ledger.entry(id).plan;
        let expected = plan.expect && !plan.http10;
        let Some(conn) = &mut self.conn else { return };
        let flying = &mut conn.outstanding[0];
        if !expected || flying.continued {
            net.violation(format!("100 for request {id}, which does not wait for it"));
        }
        flying.continued = true;
        conn.reader.expect_head();
        self.send_held(net, Some(id));
    }

    fn interim(&mut self, net: &mut Net, ledger: &Ledger, head: &Head) {
        let Some(conn) = &mut self.conn else { return };
        let flying = &mut conn.outstanding[0];
        let plan = &ledger.entry(flying.id).plan;
        let planned = &plan.response.interims;
        let fits = head.sim_id() == Ok(Some(flying.id))
            && (flying.interims < planned.len() || ledger.excused(flying.id))
            && !plan.http10;
        if !fits {
            net.violation(format!(
                "interim response {:?} to request {}",
                head.start, flying.id
            ));
        }
        flying.interims += 1;
        conn.reader.expect_head();
    }

    fn switch(&mut self, net: &mut Net, ledger: &mut Ledger, id: RequestId, head: &Head) {
        let plan = ledger.entry(id).plan.clone();
        let Some(conn) = &mut self.conn else { return };
        let Some(tunnel) = plan.tunnel.filter(|_| plan.response.status == 101) else {
            return net.violation(format!("101 for request {id}, which is no tunnel"));
        };
        if head.sim_id() != Ok(Some(id)) || head.values("upgrade").next() != Some("websocket") {
            net.violation(format!("101 for request {id}: {:?}", head.fields));
        }
        conn.reader.tunnel();
        conn.tunnel = Some(Tunnel::start(
            net,
            conn.link,
            (id, Half::Request),
            (tunnel.eager, tunnel.up),
            tunnel.down,
            tunnel.client_ends_first,
        ));
    }

    fn final_head(
        &mut self,
        net: &mut Net,
        ledger: &mut Ledger,
        id: RequestId,
        status: u16,
        head: &Head,
    ) {
        let author = match ledger.answered(id, status, head) {
            Ok(author) => author,
            Err(problem) => return net.violation(problem),
        };
        let plan = &ledger.entry(id).plan;
        let Some(conn) = &mut self.conn else { return };
        let body = plan.method != "HEAD" && status != 204 && status != 304;
        let (framing, length) = match head.framing() {
            Ok(_) if !body => (Framing::None, 0),
            Ok((Framing::None, _)) => (Framing::ToClose, 0),
            Ok(framing) => framing,
            Err(problem) => return net.violation(format!("response to request {id}: {problem}")),
        };
        conn.reader.frame(framing, length);
        let stays = head.connection_has("keep-alive");
        let ends = head.connection_has("close") || !plan.keep_alive || plan.http10 && !stays;
        conn.will_close |= ends || framing == Framing::ToClose;
        conn.receiving = Some(Receiving {
            id,
            status,
            author,
            body,
            to_close: framing == Framing::ToClose,
            offset: 0,
        });
    }

    fn data(&mut self, net: &mut Net, ledger: &Ledger, bytes: &[u8]) {
        let Some(conn) = &mut self.conn else { return };
        if let Some(tunnel) = &mut conn.tunnel {
            if let Err(problem) = tunnel.receive(bytes) {
                net.violation(problem);
            }
            return;
        }
        let Some(receiving) = &mut conn.receiving else {
            return;
        };
        let id = receiving.id;
        if receiving.author == Author::Origin {
            if let Some(at) = mismatch(id, Half::Response, receiving.offset, bytes) {
                net.violation(format!("response {id}: wrong byte at {at}"));
            }
            if receiving.offset + bytes.len() as u64 > ledger.entry(id).plan.response.body.len {
                net.violation(format!("response {id} is longer than the origin's"));
            }
        }
        let direct = DIRECT_BODY.get(receiving.offset as usize..).unwrap_or(b"");
        if receiving.author == Author::Route && !direct.starts_with(bytes) {
            net.violation(format!("direct response {id} has a wrong body"));
        }
        receiving.offset += bytes.len() as u64;
    }

    /// A response is complete.
    fn complete(&mut self, net: &mut Net, ledger: &mut Ledger, trailers: &[(String, String)]) {
        let Some(conn) = &mut self.conn else { return };
        let Some(receiving) = conn.receiving.take() else {
            return;
        };
        let id = receiving.id;
        let entry = ledger.entry(id);
        if receiving.author == Author::Origin && receiving.body {
            let planned = &entry.plan.response.body;
            if receiving.offset != planned.len {
                net.violation(format!(
                    "response {id} looks complete with {} of {} bytes",
                    receiving.offset, planned.len
                ));
            }
            let chunked = planned.framing == Framing::Chunked && !entry.plan.http10;
            if chunked && let Err(problem) = ledger.check_trailers(&planned.trailers, trailers) {
                net.violation(format!("response {id}: {problem}"));
            }
        }
        // A refusal that was given before the method was known has a body, even for HEAD.
        conn.deaf = conn.will_close && receiving.author == Author::Machine && !receiving.body;
        let outcome = match receiving.author {
            Author::Origin => Outcome::Answered,
            Author::Machine => Outcome::Declined(receiving.status),
            Author::Route => Outcome::Answered,
        };
        if receiving.author == Author::Route
            && receiving.body
            && receiving.offset != DIRECT_BODY.len() as u64
        {
            net.violation(format!(
                "direct response {id} has {} bytes",
                receiving.offset
            ));
        }
        settle(net, ledger, id, outcome);
        self.after_response(net, ledger, id);
    }

    fn after_response(&mut self, net: &mut Net, ledger: &mut Ledger, id: RequestId) {
        let Some(conn) = &mut self.conn else { return };
        let flying = conn.outstanding.pop_front();
        let whole_at = flying.map_or(0, |flying| match flying.held_body {
            Some(_) => u64::MAX,
            None => flying.whole_at,
        });
        let left = net.link(conn.link).inward.sent_total;
        let spoilt = ledger.entry(id).plan.spoil.is_some();
        if (whole_at > left || spoilt) && !conn.will_close {
            net.violation(format!(
                "response {id} came before its request was read, without close"
            ));
        }
        if conn.will_close {
            return self.leave_closing(net, ledger);
        }
        conn.thinking = self.plan.think > 0 && conn.outstanding.is_empty();
        if conn.thinking {
            self.wake(net, NEXT, self.plan.think);
        }
        self.send_more(net, ledger);
    }

    /// The machine said that it closes: unanswered requests were not served and come again.
    fn leave_closing(&mut self, net: &mut Net, ledger: &mut Ledger) {
        self.take_back(net, ledger);
        let Some(conn) = &self.conn else { return };
        if net.dice.one_in(2) {
            net.end_far(conn.link, Ending::Close);
            self.part(net, ledger);
        }
    }

    /// Unanswered requests go back in front of the queue; none of them may have been served.
    fn take_back(&mut self, net: &mut Net, ledger: &mut Ledger) {
        let Some(conn) = &mut self.conn else { return };
        while let Some(flying) = conn.outstanding.pop_back() {
            if ledger.entry(flying.id).deliveries.is_empty() {
                // Where errors are excused, it may have left the machine just before the end.
                ledger.entry_mut(flying.id).repeated =
                    ledger.excused(flying.id) && !conn.will_close;
                self.waiting.push_front(flying.id);
                continue;
            }
            if !ledger.excused(flying.id) {
                net.violation(format!(
                    "request {} was served and never answered",
                    flying.id
                ));
            }
            settle(net, ledger, flying.id, Outcome::Cut);
        }
    }

    // --- ends ---

    /// The machine's side ended, by FIN (`clean`) or by RST.
    fn ended(&mut self, net: &mut Net, ledger: &mut Ledger, clean: bool) {
        if let Some(conn) = &mut self.conn
            && let Some(tunnel) = &mut conn.tunnel
        {
            let id = conn.outstanding[0].id;
            // What it has still to send may meet its planned accident when nobody looks any more.
            ledger.entry_mut(id).may_fail |= net.link(conn.link).habits.cut.is_some();
            let whole = clean && tunnel.end(net, conn.link);
            if !whole && !ledger.excused(id) {
                net.violation(format!(
                    "client's end of {}, clean {clean}",
                    tunnel.progress()
                ));
            }
            settle(
                net,
                ledger,
                id,
                if whole {
                    Outcome::Answered
                } else {
                    Outcome::Cut
                },
            );
            return self.part(net, ledger);
        }
        if let Some(conn) = &mut self.conn
            && clean
            && conn.in_body_to_close()
        {
            conn.reader.expect_head();
            self.complete(net, ledger, &[]);
        }
        self.check_cut(net, ledger, clean);
        self.take_back(net, ledger);
        if let Some(conn) = &self.conn {
            net.end_far(conn.link, Ending::Close);
            self.part(net, ledger);
        }
    }

    /// Was the end of the connection in order?
    fn check_cut(&mut self, net: &mut Net, ledger: &mut Ledger, clean: bool) {
        let index = self.index;
        let Some(conn) = &mut self.conn else { return };
        let partial = !conn.deaf && conn.reader.finish() != Finish::Clean;
        let Some(first) = conn.outstanding.front() else {
            if partial && !conn.shot {
                net.violation(format!("client {index} gets bytes that nobody asked for"));
            }
            return;
        };
        let id = first.id;
        if !clean
            && conn
                .outstanding
                .iter()
                .any(|flying| ledger.excused(flying.id))
        {
            // The reset that makes one response visibly incomplete may take others with it.
            conn.outstanding
                .iter()
                .for_each(|flying| ledger.entry_mut(flying.id).may_fail = true);
        }
        if partial {
            if !ledger.excused(id) {
                net.violation(format!(
                    "response {id} is cut, clean {clean}, with nothing wrong"
                ));
            }
            conn.outstanding.pop_front();
            return settle(net, ledger, id, Outcome::Cut);
        }
        let allowed = conn.will_close || ledger.tolerance.idle_close || ledger.excused(id);
        if !allowed {
            net.violation(format!(
                "client {index} is closed out while it waits for {id}"
            ));
        }
    }

    /// Its own planned accident happened.
    fn severed(&mut self, net: &mut Net, ledger: &mut Ledger, ending: Ending) {
        let Some(conn) = &self.conn else { return };
        match ending {
            Ending::Finish | Ending::Stall => {
                for flying in &conn.outstanding {
                    ledger.entry_mut(flying.id).may_fail = true;
                }
                if let Some(conn) = &mut self.conn {
                    conn.finished_sending = true;
                }
            }
            Ending::Close | Ending::Reset => self.abandon(net, ledger, ending),
        }
    }

    /// Leaves its unanswered requests behind.
    fn abandon(&mut self, net: &mut Net, ledger: &mut Ledger, ending: Ending) {
        if let Some(conn) = &mut self.conn {
            for flying in std::mem::take(&mut conn.outstanding) {
                ledger.entry_mut(flying.id).may_fail = true;
                settle(net, ledger, flying.id, Outcome::Abandoned);
            }
            net.end_far(conn.link, ending);
        }
        self.part(net, ledger);
    }
}

impl Conn {
    fn new(link: LinkId, now: u64) -> Self {
        Self {
            link,
            outstanding: VecDeque::new(),
            reader: Reader::default(),
            receiving: None,
            tunnel: None,
            written: 0,
            will_close: false,
            finished_sending: false,
            thinking: false,
            shot: false,
            deaf: false,
            silent_since: now,
            sent_before: 0,
        }
    }

    fn send(&mut self, net: &mut Net, id: RequestId, head: &[u8], body: Vec<u8>, hold: bool) {
        self.written += head.len() as u64;
        net.write(self.link, head);
        let held_body = if hold {
            Some(body)
        } else {
            self.written += body.len() as u64;
            net.write(self.link, &body);
            None
        };
        self.outstanding.push_back(Flying {
            id,
            held_body,
            continued: false,
            whole_at: self.written,
            interims: 0,
        });
    }

    fn ids(&self) -> impl Iterator<Item = RequestId> {
        self.outstanding.iter().map(|flying| flying.id)
    }

    fn holds_body(&self) -> bool {
        self.outstanding
            .iter()
            .any(|flying| flying.held_body.is_some())
    }

    /// Nothing may be sent behind the last request: it ends the connection, or its body waits.
    fn last_ends(&self, ledger: &Ledger) -> bool {
        self.outstanding.back().is_some_and(|flying| {
            let plan = &ledger.entry(flying.id).plan;
            !plan.keep_alive || plan.tunnel.is_some() || flying.held_body.is_some()
        })
    }

    fn has_tunnel(&self, ledger: &Ledger) -> bool {
        self.ids().any(|id| ledger.entry(id).plan.tunnel.is_some())
    }

    fn in_body_to_close(&self) -> bool {
        self.receiving
            .as_ref()
            .is_some_and(|receiving| receiving.to_close)
    }
}

fn settle(net: &mut Net, ledger: &mut Ledger, id: RequestId, outcome: Outcome) {
    net.mark(&[32, u64::from(id)], || {
        format!("     request {id} is {outcome:?}")
    });
    if let Err(problem) = ledger.settle(id, outcome) {
        net.violation(problem);
    }
}
