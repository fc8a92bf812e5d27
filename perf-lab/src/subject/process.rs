//! A subject that runs: a fresh process with its own folder, port and log, ended by its id.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Kind;
use super::find::Found;
use super::template::Marks;
use crate::cpu::{Group, Meter, family};
use crate::experiment::{Cell, Protocol};
use crate::load::{self, Load};

/// How long a subject may take to answer its first request.
const START: Duration = Duration::from_secs(10);
/// How long it may take to end.
const END: Duration = Duration::from_secs(5);
/// Ports that are tried: one that was free a moment ago may be taken by then.
const PORTS: usize = 4;
/// Pause between questions whether it is there.
const PAUSE: Duration = Duration::from_millis(20);
/// Attempts to gather all of its processes.
const GATHERINGS: usize = 3;
/// Lines of a log that a message shows.
const TAIL: usize = 12;

/// A subject that runs. Ends when dropped.
#[derive(Debug)]
pub struct Process {
    /// `None` for `direct`.
    child: Option<Child>,
    address: SocketAddr,
    log: PathBuf,
    name: String,
    /// Of it alone, where one can be made; outlives the process.
    group: Option<Arc<Group>>,
    churns: bool,
}

impl Process {
    /// Starts it between a free port and `origin`, and waits for its first right answer.
    ///
    /// # Errors
    /// If it does not start or does not answer; the message ends with its log.
    pub fn start(
        found: &Found,
        cell: &Cell,
        origin: SocketAddr,
        folder: &Path,
    ) -> io::Result<Self> {
        let origin = SocketAddr::from((Ipv4Addr::LOCALHOST, origin.port()));
        let mut last = io::Error::other("no port was tried");
        for _ in 0..PORTS {
            let mut process = Self::spawn(found, cell, origin, folder)?;
            match process.wait_ready(cell.protocol) {
                Ok(()) => {
                    process.gather();
                    return Ok(process);
                }
                Err(error) if process.lost_port() => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    fn spawn(found: &Found, cell: &Cell, origin: SocketAddr, folder: &Path) -> io::Result<Self> {
        let folder = folder.join(&found.choice.name);
        fs::create_dir_all(&folder)?;
        let mut process = Self {
            child: None,
            address: origin,
            log: folder.join("output.log"),
            name: found.choice.name.clone(),
            group: None,
            churns: cell.reload_every.is_some(),
        };
        if found.choice.like == Kind::Direct {
            return Ok(process);
        }
        process.address = free_address()?;
        let configuration = found.choice.like.configuration(cell.protocol);
        let file = folder.join(configuration.map_or("none", |(name, _)| name));
        let marks = Marks {
            port: process.address.port(),
            origin_port: origin.port(),
            folder: &folder,
            file: &file,
            modules: &found.modules,
            upstreams: cell.upstreams,
        };
        if let Some((_, text)) = configuration {
            fs::write(&file, marks.fill(text))?;
        }
        process.child = Some(
            process
                .command(found, cell, &marks)?
                .spawn()
                .map_err(|error| {
                    let program = found.program.display();
                    io::Error::other(format!(
                        "{}: {program} does not start: {error}",
                        process.name
                    ))
                })?,
        );
        Ok(process)
    }

    fn command(&self, found: &Found, cell: &Cell, marks: &Marks<'_>) -> io::Result<Command> {
        let log = File::create(&self.log)?;
        let mut command = Command::new(&found.program);
        for argument in found.choice.like.arguments(cell) {
            command.arg(marks.fill(argument));
        }
        command
            .args(&found.choice.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // What a terminal sends to us is not for it: we decide when it ends.
            .process_group(0);
        Ok(command)
    }

    /// Where the load connects.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its configuration and its log lie.
    pub fn folder(&self) -> &Path {
        self.log.parent().unwrap_or(Path::new("."))
    }

    /// Its process; ours for `direct`.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or_else(std::process::id, Child::id)
    }

    /// What reads its accounts.
    pub fn meter(&self) -> Meter {
        Meter {
            pid: self.pid(),
            group: self.group.clone(),
            churns: self.churns,
        }
    }

    /// Puts everything that it has started into a group of its own; what it starts later is in it
    /// by itself. One that cannot be gathered has no group, and its other accounts have to do.
    fn gather(&mut self) {
        let Some(child) = &self.child else {
            return;
        };
        let group = Group::create().filter(|group| {
            let all = || family(child.id()).unwrap_or_default();
            let is_whole = || {
                group
                    .pids()
                    .is_ok_and(|pids| all().iter().all(|one| pids.contains(one)))
            };
            // A process may start another one while it is taken in.
            (0..GATHERINGS).any(|_| {
                let taken = all().into_iter().all(|pid| group.take(pid).is_ok());
                taken && is_whole()
            })
        });
        self.group = group.map(Arc::new);
    }

    /// Fails if it is no longer there, with the end of its log.
    ///
    /// # Errors
    /// If it ended.
    pub fn check(&mut self) -> io::Result<()> {
        let Some(child) = &mut self.child else {
            return Ok(());
        };
        match child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                let what = format!("{} ended by itself ({status})", self.name);
                let remedy = "find there why it ended, or leave it out with --subjects";
                Err(io::Error::other(format!(
                    "{what}; {remedy}; {}",
                    self.tail()
                )))
            }
        }
    }

    /// Makes it read its configuration anew.
    ///
    /// # Errors
    /// If it is gone.
    pub fn reload(&self, signal: Signal) -> io::Result<()> {
        match &self.child {
            Some(child) => Ok(kill_process(Pid::from_child(child), signal)?),
            None => Ok(()),
        }
    }

    fn wait_ready(&mut self, protocol: Protocol) -> io::Result<()> {
        let mut load = Load::new(self.address, "/?size=1");
        (load.size, load.requests, load.connections) = (Some(1), Some(1), 1);
        if protocol == Protocol::Tcp {
            (load.protocol, load.body) = (load::Protocol::Tcp, Some(1));
        }
        let began = Instant::now();
        while began.elapsed() < START {
            if load.run()?.answered == 1 {
                return Ok(());
            }
            self.check()?;
            std::thread::sleep(PAUSE);
        }
        let seconds = START.as_secs();
        let what = format!("{} gave no right answer within {seconds} s", self.name);
        Err(io::Error::other(format!("{what}; {}", self.tail())))
    }

    /// True if it ended because somebody else took its port.
    fn lost_port(&mut self) -> bool {
        let ended = self.check().is_err();
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let log = log.to_ascii_lowercase();
        ended && (log.contains("address already in use") || log.contains("address in use"))
    }

    /// The end of its log, and where the rest is.
    fn tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let place = self.log.display();
        match lines.is_empty() {
            true => format!("it wrote nothing to {place}"),
            false => {
                let end = lines[lines.len().saturating_sub(TAIL)..].join("\n  ");
                format!("the end of {place}:\n  {end}")
            }
        }
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(child) = &mut self.child else {
            return Ok(());
        };
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        kill_process(Pid::from_child(child), Signal::TERM)?;
        let began = Instant::now();
        while began.elapsed() < END {
            if child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill()?;
        child.wait().map(drop)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A process that is gone already is what is wanted.
        let _ = self.end();
    }
}

/// A port that was free a moment ago.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?.local_addr()
}
