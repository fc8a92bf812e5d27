//! What is measured: gateways and relays as kinds, and what an experiment asks for by name.
//!
//! Each kind knows its configuration (`subjects/`), its arguments and what it cannot do. `find`
//! looks for programs, `process` starts and ends them.

pub mod find;
pub mod process;
mod template;

use std::fmt;
use std::path::PathBuf;

use rustix::process::Signal;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use crate::experiment::{Cell, Protocol};

/// The kinds of subjects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Nothing between load and origin: the cost of the test bed itself.
    Direct,
    /// The relay that parses nothing: a bare loop of read and write on epoll.
    RelayEpoll,
    /// The same on io_uring, with multishot receive and a ring of buffers.
    RelayUring,
    /// Penstock on io_uring.
    PenstockUring,
    /// Penstock on epoll.
    PenstockEpoll,
    /// nginx.
    Nginx,
    /// HAProxy.
    Haproxy,
    /// Envoy.
    Envoy,
}

/// One subject as an experiment asks for it.
///
/// In a file either the name of a kind, or a mapping: `{name: mine, like: penstock-uring,
/// program: path, arguments: [...]}`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Choice {
    /// Its name in tables.
    pub name: String,
    /// Which configuration and arguments it gets.
    pub like: Kind,
    /// The program, if not the one that is found by itself.
    pub program: Option<PathBuf>,
    /// Further arguments.
    pub arguments: Vec<String>,
}

impl Choice {
    /// A kind under its own name.
    pub fn of(like: Kind) -> Self {
        Self {
            name: like.name().to_owned(),
            like,
            program: None,
            arguments: Vec::new(),
        }
    }
}

impl Kind {
    /// Every kind with its name.
    pub const ALL: [(Kind, &'static str); 8] = [
        (Kind::Direct, "direct"),
        (Kind::RelayEpoll, "relay-epoll"),
        (Kind::RelayUring, "relay-uring"),
        (Kind::PenstockUring, "penstock-uring"),
        (Kind::PenstockEpoll, "penstock-epoll"),
        (Kind::Nginx, "nginx"),
        (Kind::Haproxy, "haproxy"),
        (Kind::Envoy, "envoy"),
    ];

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter();
        all.find(|(_, known)| *known == name).map(|(kind, _)| *kind)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// What it is, whatever the driver.
    pub fn product(self) -> &'static str {
        match self {
            Kind::Direct => "direct",
            Kind::RelayEpoll | Kind::RelayUring => "relay",
            Kind::PenstockUring | Kind::PenstockEpoll => "penstock",
            Kind::Nginx => "nginx",
            Kind::Haproxy => "haproxy",
            Kind::Envoy => "envoy",
        }
    }

    /// What moves its bytes, where we know.
    pub fn driver(self) -> &'static str {
        match self {
            Kind::RelayUring | Kind::PenstockUring => "io_uring",
            Kind::RelayEpoll | Kind::PenstockEpoll => "epoll",
            Kind::Direct | Kind::Nginx | Kind::Haproxy | Kind::Envoy => "",
        }
    }

    /// Its configuration: name of the file and text; `None` where arguments say all.
    pub fn configuration(self, protocol: Protocol) -> Option<(&'static str, &'static str)> {
        Some(match (self, protocol) {
            (Kind::Direct | Kind::RelayEpoll | Kind::RelayUring, _) => return None,
            (Kind::PenstockUring | Kind::PenstockEpoll, _) => {
                ("penstock.yaml", include_str!("../subjects/penstock.yaml"))
            }
            (Kind::Nginx, Protocol::Http1) => {
                ("nginx.conf", include_str!("../subjects/nginx.conf"))
            }
            (Kind::Nginx, Protocol::Tcp) => {
                ("nginx-tcp.conf", include_str!("../subjects/nginx-tcp.conf"))
            }
            (Kind::Haproxy, Protocol::Http1) => {
                ("haproxy.cfg", include_str!("../subjects/haproxy.cfg"))
            }
            (Kind::Haproxy, Protocol::Tcp) => (
                "haproxy-tcp.cfg",
                include_str!("../subjects/haproxy-tcp.cfg"),
            ),
            (Kind::Envoy, Protocol::Http1) => {
                ("envoy.yaml", include_str!("../subjects/envoy.yaml"))
            }
            (Kind::Envoy, Protocol::Tcp) => {
                ("envoy-tcp.yaml", include_str!("../subjects/envoy-tcp.yaml"))
            }
        })
    }

    /// Its arguments under `cell`; marks between @ are filled in when it starts.
    pub fn arguments(self, cell: &Cell) -> Vec<&'static str> {
        match self {
            Kind::Direct => Vec::new(),
            Kind::RelayEpoll => relay(&[]),
            Kind::RelayUring => relay(&["--driver", "uring"]),
            Kind::PenstockUring => penstock("uring"),
            Kind::PenstockEpoll => penstock("epoll"),
            Kind::Nginx => vec!["-p", "@DIR@", "-c", "@FILE@"],
            // Only a master can reload; without one there is one process less to account for.
            Kind::Haproxy if cell.reload_every.is_some() => vec!["-W", "-db", "-f", "@FILE@"],
            Kind::Haproxy => vec!["-db", "-f", "@FILE@"],
            Kind::Envoy => vec![
                "--concurrency",
                "1",
                "--disable-hot-restart",
                "--log-level",
                "warning",
                "-c",
                "@FILE@",
            ],
        }
    }

    /// What makes it read its configuration anew.
    pub fn reload_signal(self) -> Option<Signal> {
        match self {
            Kind::PenstockUring | Kind::PenstockEpoll | Kind::Nginx => Some(Signal::HUP),
            Kind::Haproxy => Some(Signal::USR2),
            Kind::Direct | Kind::RelayEpoll | Kind::RelayUring | Kind::Envoy => None,
        }
    }

    /// Why it cannot run `cell`, if it cannot.
    pub fn unfit_for(self, cell: &Cell) -> Option<&'static str> {
        if cell.protocol == Protocol::Tcp && self.product() == "penstock" {
            return Some("Penstock does not serve TCP proxying yet");
        }
        if cell.upstreams > 1 && matches!(self.product(), "relay" | "direct") {
            return Some("it knows one origin only");
        }
        if cell.reload_every.is_some() && self.reload_signal().is_none() {
            return Some("it reloads on no signal");
        }
        None
    }
}

fn relay(further: &[&'static str]) -> Vec<&'static str> {
    let listen = "127.0.0.1:@PORT@";
    let to = "127.0.0.1:@ORIGIN_PORT@";
    [&["relay", "--listen", listen, "--to", to], further].concat()
}

fn penstock(driver: &'static str) -> Vec<&'static str> {
    let quiet = ["--log-level", "warn"];
    let start = ["run", "--workers", "1", "--driver", driver, "-c", "@FILE@"];
    [start.as_slice(), quiet.as_slice()].concat()
}

impl<'de> Deserialize<'de> for Choice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ChoiceVisitor)
    }
}

struct ChoiceVisitor;

impl<'de> Visitor<'de> for ChoiceVisitor {
    type Value = Choice;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a subject, or a mapping with `name` and `like`")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Choice, E> {
        kind(name).map(Choice::of)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Choice, A::Error> {
        let entry = Entry::deserialize(MapAccessDeserializer::new(map))?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if entry.name.is_empty() || !entry.name.chars().all(is_plain) {
            let name = entry.name;
            return Err(de::Error::custom(format!(
                "subject name `{name}`: use letters, digits, `-`, `.` and `_`"
            )));
        }
        Ok(Choice {
            name: entry.name,
            like: kind(&entry.like)?,
            program: entry.program,
            arguments: entry.arguments,
        })
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    like: String,
    program: Option<PathBuf>,
    #[serde(default)]
    arguments: Vec<String>,
}

fn kind<E: de::Error>(name: &str) -> Result<Kind, E> {
    Kind::named(name).ok_or_else(|| {
        let names = Kind::ALL.map(|(_, name)| name).join(", ");
        E::custom(format!("`{name}` is no subject; known are {names}"))
    })
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn kinds_and_names_agree() {
        for (kind, name) in Kind::ALL {
            assert_eq!((Kind::named(name), kind.name()), (Some(kind), name));
        }
        assert_eq!(Kind::named("apache"), None);
    }
}
