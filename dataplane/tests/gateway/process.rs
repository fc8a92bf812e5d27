//! A gateway as a child process, and the origins around it.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use perf_lab::origin::{Behaviour, Origin};

/// Longest wait for anything that must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Any free port of this machine.
pub(crate) const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The drivers that work here.
pub(crate) fn drivers() -> Vec<&'static str> {
    let output = penstock().args(["version", "--json"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    match text.contains("\"uring\":{\"works\":true") {
        true => vec!["uring", "epoll"],
        false => {
            eprintln!(
                "io_uring is skipped, it does not work here: {}",
                text.trim()
            );
            vec!["epoll"]
        }
    }
}

/// The binary, without the environment of whoever runs the tests.
pub(crate) fn penstock() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_penstock"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PENSTOCK_") {
            command.env_remove(name);
        }
    }
    command
}

pub(crate) fn fast_origin() -> Origin {
    Origin::start("fast", Behaviour::Fast, ANY).unwrap()
}

/// A file of one test; gone with it.
pub(crate) struct File(PathBuf);

impl File {
    pub(crate) fn new(text: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Relaxed);
        let name = format!("penstock-test-{}-{number}.yaml", std::process::id());
        let file = Self(std::env::temp_dir().join(name));
        file.write(text);
        file
    }

    pub(crate) fn write(&self, text: &str) {
        fs::write(&self.0, text).unwrap();
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A running gateway. Killed when dropped.
pub(crate) struct Gateway {
    child: Child,
    log: Receiver<String>,
    /// What the log said at start, up to the end of the start-up block.
    pub(crate) block: Vec<String>,
    pub(crate) file: File,
    /// Where the last listener is bound: the only one, in most tests.
    pub(crate) address: SocketAddr,
    /// Where each listener is bound, by its name.
    pub(crate) listeners: HashMap<String, SocketAddr>,
    pub(crate) admin: SocketAddr,
}

impl Gateway {
    pub(crate) fn start(driver: &str, text: &str) -> Self {
        Self::start_with(driver, text, "", &[])
    }

    /// After `limits` (shell commands such as `ulimit -n 100`), with further options.
    pub(crate) fn start_with(driver: &str, text: &str, limits: &str, options: &[&str]) -> Self {
        let file = File::new(text);
        let run = penstock();
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{limits}\nexec \"$0\" \"$@\"")]);
        command.arg(run.get_program());
        command.args([
            "run",
            "-c",
            file.path(),
            "--driver",
            driver,
            "--workers",
            "2",
        ]);
        command.args(options);
        for (name, _) in run.get_envs() {
            command.env_remove(name);
        }
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = lines(&mut child);
        let (mut address, mut admin) = (ANY, ANY);
        let mut seen = Vec::new();
        let mut listeners = HashMap::new();
        while let Ok(line) = log.recv_timeout(PATIENCE) {
            if let Some((name, place)) = line.split_once(" on 127.0.0.1:") {
                address.set_port(place.parse().unwrap());
                let name = name.rsplit(' ').next().unwrap_or_default();
                listeners.insert(name.to_owned(), address);
            }
            if let Some((_, place)) = line.split_once("http://127.0.0.1:") {
                admin.set_port(place.trim_end_matches('/').parse().unwrap());
            }
            let is_last = line.contains(" limits ");
            seen.push(line);
            if is_last {
                return Self {
                    child,
                    log,
                    block: seen,
                    file,
                    address,
                    listeners,
                    admin,
                };
            }
        }
        panic!("the gateway did not start:\n{}", seen.join("\n"));
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let line = format!("kill -{name} {}", self.pid());
        assert!(
            Command::new("sh")
                .args(["-c", &line])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for a line of the log that holds `text`.
    pub(crate) fn wait_log(&self, text: &str) -> String {
        loop {
            match self.log.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return line,
                Ok(_) => {}
                Err(_) => panic!("the log never said `{text}`"),
            }
        }
    }

    /// Waits for the end and returns what the log said until then.
    pub(crate) fn wait_end(&mut self) -> (ExitStatus, String) {
        let mut lines = Vec::new();
        while let Ok(line) = self.log.recv_timeout(PATIENCE) {
            lines.push(line);
        }
        (self.child.wait().unwrap(), lines.join("\n"))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of standard error as they come; ends with the process.
fn lines(child: &mut Child) -> Receiver<String> {
    let stderr = child.stderr.take().unwrap();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        while lines.next().is_some_and(|line| sender.send(line).is_ok()) {}
    });
    receiver
}

/// A gateway's file with these HTTP options, routes (YAML lists) and one cluster `origin`.
pub(crate) fn configuration(origin: SocketAddr, http: &str, routes: &str) -> String {
    const FILE: &str = include_str!("minimal.yaml");
    let indent = |text: &str, by: usize| {
        let lines = text
            .lines()
            .map(|line| format!("{}{line}\n", " ".repeat(by)));
        lines.collect::<String>()
    };
    FILE.replace("@PORT@", &origin.port().to_string())
        .replace("@HTTP@\n", &indent(http, 16))
        .replace("@ROUTES@\n", &indent(routes, 24))
}

/// Everything to the origin.
pub(crate) const ALL: &str = "- match: { prefix: / }\n  route: { cluster: origin }";
