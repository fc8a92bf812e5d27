//! The block of lines that says at start what runs where.

use std::fmt;
use std::net::SocketAddr;

use crate::admin::Listening;

/// Everything that the block says.
#[derive(Clone, Debug)]
pub struct Startup<'a> {
    /// Version, and the revision it was built from if known.
    pub version: &'a str,
    /// See there.
    pub revision: Option<&'a str>,
    /// Bootstrap file.
    pub file: &'a str,
    /// The CPU of each worker; `None` where it is not pinned.
    pub cpus: &'a [Option<usize>],
    /// Name of the driver.
    pub driver: &'a str,
    /// What the driver uses of the kernel.
    pub features: &'a [&'a str],
    /// What it could use and does not, and why.
    pub lacks: Option<&'a str>,
    /// Why it is this driver and not the preferred one.
    pub fallback: Option<&'a str>,
    /// Listeners and where they are bound.
    pub listeners: &'a [Listening],
    /// Admin interface.
    pub admin: Option<SocketAddr>,
    /// Soft limit of descriptors.
    pub descriptors: u64,
    /// Connections from clients that are let in at most.
    pub connections_max: u64,
}

impl Startup<'_> {
    /// Logs the block.
    pub fn log(&self) {
        for line in self.lines() {
            tracing::info!("{line}");
        }
    }

    /// The lines, without line ends.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.title(), self.workers(), self.driver()];
        lines.extend(self.lacks.map(|what| format!("  without    {what}")));
        lines.extend(self.fallback.map(|why| format!("  fallback   {why}")));
        lines.extend(self.listeners.iter().map(listener));
        lines.extend(
            self.admin
                .map(|address| format!("  admin      http://{address}/")),
        );
        lines.push(self.limits());
        lines
    }

    fn title(&self) -> String {
        let revision = fmt::from_fn(|out| match self.revision {
            Some(revision) => write!(out, " ({revision})"),
            None => Ok(()),
        });
        format!(
            "penstock {}{revision}, configuration {}",
            self.version, self.file
        )
    }

    fn workers(&self) -> String {
        let cpus = self.cpus.iter().map(|cpu| match cpu {
            Some(cpu) => cpu.to_string(),
            None => "any".into(),
        });
        let cpus: Vec<String> = cpus.collect();
        format!("  workers    {}, on CPU {}", cpus.len(), cpus.join(", "))
    }

    fn driver(&self) -> String {
        match self.features {
            [] => format!("  driver     {}", self.driver),
            features => format!("  driver     {}: {}", self.driver, features.join(", ")),
        }
    }

    fn limits(&self) -> String {
        format!(
            "  limits     {} descriptors, {} connections",
            self.descriptors, self.connections_max
        )
    }
}

fn listener(listening: &Listening) -> String {
    format!("  listener   {} on {}", listening.name, listening.address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_says_what_runs_where() {
        let listeners = [Listening {
            name: "main".into(),
            address: ([127, 0, 0, 1], 8080).into(),
        }];
        let startup = Startup {
            version: "0.1.0",
            revision: Some("abc123"),
            file: "a.yaml",
            cpus: &[Some(0), Some(3), None],
            driver: "epoll",
            features: &["reuseport"],
            lacks: Some("off: zero-copy"),
            fallback: Some("io_uring is forbidden here (EPERM)"),
            listeners: &listeners,
            admin: Some(([127, 0, 0, 1], 9901).into()),
            descriptors: 1024,
            connections_max: 438,
        };
        let expect = [
            "penstock 0.1.0 (abc123), configuration a.yaml",
            "  workers    3, on CPU 0, 3, any",
            "  driver     epoll: reuseport",
            "  without    off: zero-copy",
            "  fallback   io_uring is forbidden here (EPERM)",
            "  listener   main on 127.0.0.1:8080",
            "  admin      http://127.0.0.1:9901/",
            "  limits     1024 descriptors, 438 connections",
        ];
        assert_eq!(startup.lines(), expect);
    }
}
