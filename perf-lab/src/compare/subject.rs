//! A gateway under measurement: started as a fresh process with its own configuration, and ended.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::load::Load;

const NGINX: &str = include_str!("../../subjects/nginx.conf");
const PENSTOCK: &str = include_str!("../../subjects/penstock.yaml");
/// How long a subject may take to answer its first request.
const START: Duration = Duration::from_secs(10);
/// How long it may take to end.
const END: Duration = Duration::from_secs(5);

/// What is measured.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its name in the result.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The program.
    pub program: PathBuf,
}

/// The kinds of subjects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Penstock with this driver.
    Penstock {
        /// `uring` or `epoll`.
        driver: String,
    },
    /// nginx.
    Nginx,
    /// The relay that parses nothing.
    Relay,
}

/// A subject that runs. Ends when dropped.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    address: SocketAddr,
}

impl Subject {
    /// Starts it between a free port and `origin`.
    pub(super) fn start(&self, origin: SocketAddr, folder: &Path) -> io::Result<Running> {
        let address = free_address()?;
        let folder = folder.join(&self.name);
        fs::create_dir_all(&folder)?;
        let mut command = Command::new(&self.program);
        match &self.kind {
            Kind::Penstock { driver } => {
                let file = write(&folder, "penstock.yaml", PENSTOCK, address, origin)?;
                command.args(["run", "--workers", "1", "--driver", driver, "-c"]);
                command.arg(file).args(["--log-level", "warn"]);
            }
            Kind::Nginx => {
                let file = write(&folder, "nginx.conf", NGINX, address, origin)?;
                command.arg("-p").arg(&folder).arg("-c").arg(file);
            }
            Kind::Relay => {
                let (listen, to) = (address.to_string(), origin.to_string());
                command.args(["relay", "--listen", &listen, "--to", &to]);
            }
        }
        let log = File::create(folder.join("output.log"))?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = command.spawn()?;
        Ok(Running { child, address })
    }
}

impl Running {
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the first right answer.
    pub(super) fn wait_ready(&self) -> io::Result<()> {
        let mut load = Load::new(self.address, "/?size=1");
        (load.size, load.requests, load.connections) = (Some(1), Some(1), 1);
        let began = Instant::now();
        while began.elapsed() < START {
            if load.run()?.answered == 1 {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let why = "a subject gives no right answer; see its output.log";
        Err(io::Error::other(why))
    }

    fn end(&mut self) -> io::Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM)?;
        let began = Instant::now();
        while began.elapsed() < END {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A process that is gone already is what is wanted.
        let _ = self.end();
    }
}

/// A port that was free a moment ago.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?.local_addr()
}

fn write(
    folder: &Path,
    name: &str,
    template: &str,
    address: SocketAddr,
    origin: SocketAddr,
) -> io::Result<PathBuf> {
    let text = template
        .replace("@PORT@", &address.port().to_string())
        .replace("@ORIGIN_PORT@", &origin.port().to_string())
        .replace("@ORIGIN@", &origin.to_string())
        .replace("@DIR@", &folder.display().to_string());
    let path = folder.join(name);
    fs::write(&path, text)?;
    Ok(path)
}
