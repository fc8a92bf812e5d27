//! Where the programs are, and which version they say they have.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Resource, getrlimit};

use super::{Choice, Kind};
use crate::experiment::{Cell, Protocol};
use crate::record;

/// Folders that are searched after PATH: servers live where users do not look.
const FURTHER: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"];
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Open files of a process beside the connections of the load: those to the origin, and its own.
const FILES_BESIDE: u64 = 1_000;

/// A subject that is on this machine.
#[derive(Clone, Debug)]
pub struct Found {
    /// As it was asked for.
    pub choice: Choice,
    /// Its program; empty for `direct`.
    pub program: PathBuf,
    /// As it prints it.
    pub version: String,
    /// Revision that Penstock says it was built from; empty if it says none, and of all others.
    pub revision: String,
    /// Folder of nginx's modules.
    pub modules: String,
}

/// Looks for the program of `choice`.
///
/// # Errors
/// If it is not there: cause and remedy in one line.
pub fn find(choice: &Choice) -> Result<Found, String> {
    let program = match &choice.program {
        Some(program) if program.is_file() => program.clone(),
        Some(program) => return Err(format!("there is no program {}", program.display())),
        None => by_kind(choice.like)?,
    };
    Ok(Found {
        choice: choice.clone(),
        version: version(choice.like, &program),
        revision: match choice.like.product() {
            "penstock" => revision(&says(&program, "version")).to_owned(),
            _ => String::new(),
        },
        modules: match choice.like {
            Kind::Nginx => modules(&program),
            _ => String::new(),
        },
        program,
    })
}

impl Found {
    /// What to say if the measured program may be another one than that of the tree at `revision`,
    /// which is empty where there is no tree.
    pub fn is_of_another_tree(&self, revision: &str) -> Option<String> {
        let name = &self.choice.name;
        let is_same = |own: &str| own.starts_with(revision) || revision.starts_with(own);
        match self.revision.as_str() {
            _ if self.choice.like.product() != "penstock" || revision.is_empty() => None,
            "" => Some(format!(
                "{name} does not say which revision it was built from, the tree is at {revision}; \
                 build it with PENSTOCK_REVISION=$(git rev-parse --short=12 HEAD)"
            )),
            own if is_same(own) => None,
            own => Some(format!(
                "{name} was built from {own}, the tree is at {revision}; build it anew, or say so \
                 with the result"
            )),
        }
    }

    /// Why it cannot run `cell`, if it cannot.
    pub fn unfit_for(&self, cell: &Cell) -> Option<String> {
        if self.choice.like == Kind::Nginx && cell.protocol == Protocol::Tcp {
            let module = Path::new(&self.modules).join("ngx_stream_module.so");
            let missing = "nginx has no stream module; `cargo xtask peers` installs it";
            return (!module.is_file()).then(|| missing.to_owned());
        }
        let unfit = self.choice.like.unfit_for(cell).map(str::to_owned);
        unfit.or_else(|| self.too_many_files(cell))
    }

    /// A relay has a connection to the origin for each of the load, and so has the origin.
    fn too_many_files(&self, cell: &Cell) -> Option<String> {
        let each = match self.choice.like.product() {
            "relay" | "direct" => 2,
            _ => 1,
        };
        let need = u64::from(cell.connections + cell.idle) * each + FILES_BESIDE;
        let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        let what = format!(
            "{need} descriptors are needed and the limit is {limit}; raise it (ulimit -Hn) to \
             measure this"
        );
        (need > limit).then_some(what)
    }

    /// As it is recorded, with the commands and configurations that the cells give it.
    pub fn record(&self, cells: &[Cell]) -> record::Subject {
        let kind = self.choice.like;
        let starts = self.starts(cells);
        let first = starts.first().cloned().unwrap_or_default();
        record::Subject {
            name: self.choice.name.clone(),
            product: kind.product().to_owned(),
            version: self.version.clone(),
            revision: self.revision.clone(),
            driver: kind.driver().to_owned(),
            workers: u32::from(kind != Kind::Direct),
            command: first.command,
            configuration: first.configuration,
            starts,
        }
    }

    /// Cells that it can serve, those together in which it is started alike.
    fn starts(&self, cells: &[Cell]) -> Vec<record::Start> {
        let mut starts: Vec<record::Start> = Vec::new();
        let fit = cells.iter().enumerate();
        for (at, cell) in fit.filter(|(_, cell)| self.unfit_for(cell).is_none()) {
            let (command, configuration) = (self.command(cell), self.configuration(cell));
            let alike = starts
                .iter_mut()
                .find(|start| (&start.command, &start.configuration) == (&command, &configuration));
            match alike {
                Some(start) => start.cells.push(at),
                None => starts.push(record::Start {
                    cells: vec![at],
                    command,
                    configuration,
                }),
            }
        }
        starts
    }

    fn command(&self, cell: &Cell) -> Vec<String> {
        let kind = self.choice.like;
        if kind == Kind::Direct {
            return Vec::new();
        }
        let program = self.program.display().to_string();
        let arguments = kind.arguments(cell).into_iter().map(str::to_owned);
        let command = [program].into_iter().chain(arguments);
        command.chain(self.choice.arguments.clone()).collect()
    }

    fn configuration(&self, cell: &Cell) -> String {
        let configuration = self.choice.like.configuration(cell.protocol);
        configuration.map_or_else(String::new, |(_, text)| text.to_owned())
    }
}

fn by_kind(kind: Kind) -> Result<PathBuf, String> {
    let own = env::current_exe().map_err(|error| format!("this program is nowhere: {error}"))?;
    let beside = |name| own.parent().map(|folder| folder.join(name));
    let missing = |name: &str| {
        format!("{name} is not installed; `cargo xtask peers` installs it where it can")
    };
    match kind {
        Kind::Direct => Ok(PathBuf::new()),
        Kind::RelayEpoll | Kind::RelayUring => Ok(own),
        Kind::PenstockUring | Kind::PenstockEpoll => beside("penstock")
            .filter(|path| path.is_file())
            .or_else(|| on_path("penstock"))
            .ok_or_else(|| {
                "no `penstock` beside perf-lab or on PATH; `cargo build --release -p penstock`"
                    .to_owned()
            }),
        Kind::Nginx => on_path("nginx").ok_or_else(|| missing("nginx")),
        Kind::Haproxy => on_path("haproxy").ok_or_else(|| missing("haproxy")),
        Kind::Envoy => on_path("envoy")
            .or_else(|| installed("envoy"))
            .ok_or_else(|| missing("envoy")),
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(FURTHER.map(PathBuf::from));
    folders
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// In the folder that `cargo xtask peers` fills.
fn installed(name: &str) -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let path = cache.or_else(home)?.join("penstock-peers").join(name);
    path.is_file().then_some(path)
}

/// What the program says of itself; empty if it says nothing.
fn version(kind: Kind, program: &Path) -> String {
    let argument = match kind {
        Kind::Direct => return String::new(),
        Kind::RelayEpoll | Kind::RelayUring => return VERSION.to_owned(),
        Kind::Nginx | Kind::Haproxy => "-v",
        Kind::PenstockUring | Kind::PenstockEpoll | Kind::Envoy => "--version",
    };
    let text = says(program, argument);
    let line = text.lines().find(|line| !line.trim().is_empty());
    number(line.unwrap_or("")).to_owned()
}

fn says(program: &Path, argument: &str) -> String {
    let Ok(output) = Command::new(program).arg(argument).output() else {
        return String::new();
    };
    let texts = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into());
    let texts: [String; 2] = texts;
    texts.concat()
}

/// The revision in `penstock 0.1.0 (REVISION)`, the first line of `penstock version`.
fn revision(text: &str) -> &str {
    let line = text.lines().next().unwrap_or("").trim_end();
    let rest = line
        .strip_prefix("penstock ")
        .and_then(|rest| rest.split_once(" ("));
    rest.and_then(|(_, rest)| rest.strip_suffix(')'))
        .unwrap_or("")
}

/// The first thing in the line that looks like a version: digits with a dot between them.
fn number(line: &str) -> &str {
    let parts = line.split([' ', '/', ',']);
    let looks = |part: &&str| {
        let part = part.trim_start_matches('v');
        part.starts_with(|c: char| c.is_ascii_digit()) && part.contains('.')
    };
    parts.into_iter().find(looks).unwrap_or_else(|| line.trim())
}

/// `--modules-path` of `nginx -V`.
fn modules(program: &Path) -> String {
    let text = says(program, "-V");
    let mut words = text.split_whitespace();
    let path = words.find_map(|word| word.strip_prefix("--modules-path="));
    path.unwrap_or("/usr/lib/nginx/modules").to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Found, number, revision};
    use crate::subject::{Choice, Kind};

    #[test]
    fn a_binary_of_another_revision_is_told() {
        assert_eq!(
            revision("penstock 0.1.0 (0123abc)\n  epoll: works here\n"),
            "0123abc"
        );
        assert_eq!(revision("penstock 0.1.0\n  uring: no (really)\n"), "");
        let check = |like, own: &str, tree, expect: Option<&str>| {
            let found = Found {
                choice: Choice::of(like),
                program: "penstock".into(),
                version: "0.1.0".to_owned(),
                revision: own.to_owned(),
                modules: String::new(),
            };
            let said = found.is_of_another_tree(tree);
            assert_eq!(said.is_some(), expect.is_some(), "{said:?}");
            assert!(said.unwrap_or_default().contains(expect.unwrap_or("")));
        };
        check(Kind::PenstockUring, "0123abc", "0123abcdef01", None);
        check(
            Kind::PenstockUring,
            "0123abc",
            "ff23abcdef01",
            Some("was built from 0123abc"),
        );
        check(
            Kind::PenstockEpoll,
            "",
            "ff23abcdef01",
            Some("does not say"),
        );
        check(Kind::PenstockEpoll, "0123abc", "", None);
        check(Kind::Nginx, "", "ff23abcdef01", None);
    }

    #[test]
    fn versions_are_found_in_what_programs_say() {
        assert_eq!(number("nginx version: nginx/1.22.1"), "1.22.1");
        let haproxy = "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/";
        assert_eq!(number(haproxy), "2.6.12-1+deb12u4");
        let envoy = "envoy  version: 0a1b/1.40.0/Clean/RELEASE/BoringSSL";
        assert_eq!(number(envoy), "1.40.0");
        assert_eq!(number("penstock 0.1.0 (abc)"), "0.1.0");
        assert_eq!(number(" odd "), "odd");
    }
}
