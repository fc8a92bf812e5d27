//! A client that breaks the rules on purpose. Whatever it sends, no request of its may reach an
//! origin, it gets at most one refusal, and its connection is closed. One keeps to the grammar and
//! reads nothing: what waits for it must stay within the driver's bound.

use crate::agenda::{Action, Actor};
use crate::ledger::Tolerance;
use crate::message::Framing;
use crate::message::reader::{Part, Reader};
use crate::net::{Ending, Habits, LinkId, Net, Notice};

/// What it does.
#[derive(Clone, Debug)]
pub struct VandalPlan {
    /// Index of the listener.
    pub listener: usize,
    /// When it comes, in nanoseconds.
    pub start: u64,
    /// Row of [`PAYLOADS`].
    pub payload: usize,
    /// Its connection.
    pub habits: Habits,
}

/// Raw bytes and the statuses that may answer them (rule ids of the safety page in the names).
pub struct Payload {
    /// Name.
    pub name: &'static str,
    /// Bytes.
    pub bytes: &'static [u8],
    /// Bytes repeated so many times behind them, and what follows.
    pub padding: (&'static [u8], usize, &'static [u8]),
    /// Statuses; a close without an answer is allowed only if 0 is among them.
    pub statuses: &'static [u16],
}

macro_rules! payloads {
    ($($name:literal: $bytes:expr $(, $padding:expr)? => $statuses:expr;)*) => {
        /// Every way of breaking the rules that is tried.
        pub const PAYLOADS: &[Payload] = &[$(Payload {
            name: $name,
            bytes: $bytes,
            padding: payloads!(padding $($padding)?),
            statuses: $statuses,
        },)*];
    };
    (padding) => { (b"", 0, b"") };
    (padding $padding:expr) => { $padding };
}

payloads! {
    "f01_length_and_coding":
        b"POST /a HTTP/1.1\r\nHost: sim\r\nx-sim-id: 0\r\n\
          Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        => &[400];
    "f02_two_lengths":
        b"POST /a HTTP/1.1\r\nHost: sim\r\nx-sim-id: 0\r\n\
          Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"
        => &[400];
    "f03_signed_length":
        b"POST /a HTTP/1.1\r\nHost: sim\r\nx-sim-id: 0\r\nContent-Length: +3\r\n\r\nabc" => &[400];
    "f06_coding_list":
        b"POST /a HTTP/1.1\r\nHost: sim\r\nx-sim-id: 0\r\n\
          Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"
        => &[400];
    "f06_unknown_coding":
        b"POST /a HTTP/1.1\r\nHost: sim\r\nx-sim-id: 0\r\n\
          Transfer-Encoding: gzip\r\n\r\n" => &[501];
    "f07_coding_in_http10":
        b"POST /a HTTP/1.0\r\nHost: sim\r\nx-sim-id: 0\r\n\
          Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        => &[400];
    "l01_bare_lf": b"GET /a HTTP/1.1\nHost: sim\nx-sim-id: 0\n\n" => &[400];
    "l02_nul_in_value": b"GET /a HTTP/1.1\r\nHost: sim\r\nx-sim-id: 0\r\nx: a\0b\r\n\r\n" => &[400];
    "l04_obs_fold": b"GET /a HTTP/1.1\r\nHost: sim\r\nx-sim-id: 0\r\nx: a\r\n b\r\n\r\n" => &[400];
    "l05_space_before_colon": b"GET /a HTTP/1.1\r\nHost: sim\r\nx-sim-id : 0\r\n\r\n" => &[400];
    "l07_two_empty_lines": b"\r\n\r\nGET /a HTTP/1.1\r\nHost: sim\r\nx-sim-id: 0\r\n\r\n" => &[400];
    "t01_two_spaces": b"GET  /a HTTP/1.1\r\nHost: sim\r\nx-sim-id: 0\r\n\r\n" => &[400];
    "t03_http2_version": b"GET /a HTTP/2.0\r\nHost: sim\r\nx-sim-id: 0\r\n\r\n" => &[505];
    "t03_http09": b"GET /a\r\n\r\n" => &[400];
    "t04_fragment": b"GET /a#b HTTP/1.1\r\nHost: sim\r\nx-sim-id: 0\r\n\r\n" => &[400];
    "t05_authority_differs":
        b"GET http://other/a HTTP/1.1\r\nHost: sim\r\nx-sim-id: 0\r\n\r\n" => &[400];
    "t07_no_host": b"GET /a HTTP/1.1\r\nx-sim-id: 0\r\n\r\n" => &[400];
    "t07_two_hosts": b"GET /a HTTP/1.1\r\nHost: sim\r\nHost: sim\r\nx-sim-id: 0\r\n\r\n" => &[400];
    "n01_above_root": b"GET /../../a HTTP/1.1\r\nHost: sim\r\nx-sim-id: 0\r\n\r\n" => &[400];
    "c07_expectation":
        b"POST /a HTTP/1.1\r\nHost: sim\r\nx-sim-id: 0\r\n\
          Expect: 200-ok\r\nContent-Length: 3\r\n\r\nabc"
        => &[417];
    "t04_long_target": b"GET /", (b"x", 9000, b" HTTP/1.1\r\nHost: sim\r\n\r\n") => &[414];
    "l08_huge_head": b"GET /a HTTP/1.1\r\nHost: sim\r\n\
          x-sim-id: 0\r\nx: ", (b"y", 62_000, b"\r\n\r\n")
        => &[408, 431];
    "l08_many_fields": b"GET /a HTTP/1.1\r\n\
          Host: sim\r\nx-sim-id: 0\r\n", (b"x: y\r\n", 120, b"\r\n")
        => &[431];
    "t02_long_method": b"", (b"M", 40, b" /a HTTP/1.1\r\nHost: sim\r\n\r\n") => &[400];
    "tls_on_a_plain_port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" => &[0, 400, 408];
    "s03_half_a_head": b"GET /a HTTP/1.1\r\nHost: sim\r\nx-sim-id: 0\r\nx-slow: " => &[0, 408];
    "s07_nothing": b"" => &[0, 408];
    "s06_pipelines_and_reads_nothing":
        b"", (b"GET /d/ HTTP/1.1\r\nHost: sim\r\n\r\n", 400, b"") => &[0];
}

/// The row that breaks no rule of the grammar: it asks and never reads. It is the last one.
pub const PIPELINER: usize = PAYLOADS.len() - 1;

impl Payload {
    /// All its bytes.
    pub fn rendered(&self) -> Vec<u8> {
        let (pad, count, end) = self.padding;
        [self.bytes, &pad.repeat(count), end].concat()
    }
}

/// Nanoseconds after which it should have been shown the door: the longest timeout is that of an
/// idle connection, a minute. Where a window has to be filled first that may take ten times as
/// long.
const PATIENCE: u64 = 90_000_000_000;
/// Token of the wake at the end of its patience.
const SHOWN_OUT: u64 = 1;

/// A vandal.
pub struct Vandal {
    index: usize,
    plan: VandalPlan,
    link: Option<LinkId>,
    reader: Reader,
    status: u16,
    done: bool,
}

impl Vandal {
    /// A vandal; the world wakes it at its start.
    pub fn new(index: usize, plan: VandalPlan) -> Self {
        Self {
            index,
            plan,
            link: None,
            reader: Reader::default(),
            status: 0,
            done: false,
        }
    }

    /// It has been shown the door.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// What it does.
    pub fn plan(&self) -> &VandalPlan {
        &self.plan
    }

    /// For a person.
    pub fn state(&self) -> String {
        format!(
            "vandal {} ({}) is still connected",
            self.index,
            self.payload().name
        )
    }

    fn payload(&self) -> &'static Payload {
        &PAYLOADS[self.plan.payload]
    }

    /// There is no listener.
    pub fn refused(&mut self) {
        self.done = true;
    }

    /// The connection is there.
    pub fn connected(&mut self, net: &mut Net, link: LinkId) {
        self.link = Some(link);
        let (index, name) = (self.index, self.payload().name);
        net.mark(&[50, index as u64], || {
            format!("van  {index} begins {name}")
        });
        net.write(link, &self.payload().rendered());
        let wake = Action::Wake(Actor::Vandal(index), SHOWN_OUT);
        let fills_window = u64::from(self.plan.payload == PIPELINER);
        net.agenda.after(PATIENCE * (1 + 9 * fills_window), wake);
    }

    /// Its patience is over: it should have been shown the door. Who does not read does not
    /// learn of it.
    pub fn woken(&mut self, net: &mut Net) {
        let open = self.link.is_some_and(|link| net.link(link).near_open);
        if self.done || (self.plan.payload == PIPELINER && !open) {
            self.done = true;
        } else {
            net.violation(self.state());
        }
    }

    /// Something happened on the connection.
    pub fn notice(&mut self, net: &mut Net, tolerance: Tolerance, notice: Notice) {
        match notice {
            Notice::Bytes(bytes) => self.read(net, tolerance, &bytes),
            Notice::End => self.end(net, tolerance, true),
            Notice::Reset => self.end(net, tolerance, false),
            Notice::Severed(_) => self.done = true,
        }
    }

    fn read(&mut self, net: &mut Net, tolerance: Tolerance, bytes: &[u8]) {
        self.reader.push(bytes);
        loop {
            match self.reader.poll_part() {
                Ok(Some(Part::Head(head))) => {
                    let status = head.start[1].parse().unwrap_or(0);
                    self.judge(net, tolerance, status);
                    match head.framing() {
                        Ok((Framing::None, _)) => self.reader.frame(Framing::ToClose, 0),
                        Ok((framing, length)) => self.reader.frame(framing, length),
                        Err(problem) => return net.violation(problem),
                    }
                    if !head.connection_has("close") {
                        net.violation(format!("{}: refusal without close", self.payload().name));
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(problem) => return net.violation(problem),
            }
            if net.trace.first_violation().is_some() {
                return;
            }
        }
    }

    fn judge(&mut self, net: &mut Net, tolerance: Tolerance, status: u16) {
        let name = self.payload().name;
        if self.status != 0 {
            net.violation(format!(
                "{name}: a second answer {status} after {}",
                self.status
            ));
        }
        self.status = status;
        let planned = self.payload().statuses.contains(&status);
        let excused = tolerance.errors && status >= 400;
        if !planned && !excused {
            net.violation(format!("{name}: answered with {status}"));
        }
    }

    fn end(&mut self, net: &mut Net, tolerance: Tolerance, clean: bool) {
        let silent = self.status == 0 && !self.payload().statuses.contains(&0);
        if silent && !tolerance.errors && !tolerance.idle_close && clean {
            net.violation(format!("{}: closed without an answer", self.payload().name));
        }
        if let Some(link) = self.link {
            net.end_far(link, Ending::Close);
        }
        self.done = true;
    }
}
