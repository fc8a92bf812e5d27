//! Dependencies: which room may use which, and what must not be reachable from the data cores.
//!
//! The tables are the picture of the house. A new edge is a change of its own, with its reason.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::Finding;

/// Room, and the rooms that it may use.
const EDGES: &[(&str, &[&str])] = &[
    ("penstock-proto", &[]),
    ("fastpath-sys", &[]),
    ("penstock-core", &[]),
    ("penstock-runtime", &["fastpath-sys", "penstock-core"]),
    ("penstock-sim", &["penstock-core"]),
    ("penstock-control", &["penstock-proto"]),
    (
        "penstock",
        &[
            "penstock-control",
            "penstock-core",
            "penstock-proto",
            "penstock-runtime",
            // The origins and the checked load of the demo.
            "perf-lab",
        ],
    ),
    (
        "penstock-bench",
        // The null relay on our drivers beside other runtimes.
        &["penstock-core", "penstock-runtime", "perf-lab"],
    ),
    (
        "perf-lab",
        // The relays run on our drivers; SMP's messages are ours.
        &["penstock-core", "penstock-runtime", "penstock-proto"],
    ),
    ("xtask", &[]),
];

/// Rooms that a room may use in tests only.
const TEST_EDGES: &[(&str, &[&str])] = &[
    // Confinement of a process that a test starts: no io_uring there.
    ("penstock", &["fastpath-sys"]),
];

/// Room, and packages that it must not reach.
const UNREACHABLE: &[(&str, &[&str])] = &[
    ("penstock-core", ASYNC_STACK),
    ("penstock-runtime", ASYNC_STACK),
    ("fastpath-sys", ASYNC_STACK),
];

const ASYNC_STACK: &[&str] = &[
    "tokio", "tonic", "prost", "bytes", "http", "hyper", "tracing",
];

/// Packages that only one room may use, by the kind of use.
const RESERVED: &[(&str, &str, &[&str])] = &[
    ("tokio-uring", "penstock-bench", ANY),
    ("glommio", "penstock-bench", ANY),
    ("envoy-types", "penstock-proto", DEV),
    ("xds-api", "penstock-proto", DEV),
];
const ANY: &[&str] = &["", "build", "dev"];
const DEV: &[&str] = &["dev"];

/// What `cargo metadata` says.
pub(super) struct Packages {
    root: String,
    members: Vec<Value>,
    names: HashMap<String, String>,
    uses: HashMap<String, Vec<String>>,
}

impl Packages {
    /// Without the network if possible; a fresh machine fetches what the lock file names.
    pub(super) fn load(root: &Path) -> Result<Self, String> {
        let text = metadata(root, true).or_else(|_| metadata(root, false))?;
        let parsed: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        Ok(Self::from(root, &parsed))
    }

    fn from(root: &Path, parsed: &Value) -> Self {
        let member_ids: HashSet<&str> = strings(&parsed["workspace_members"]).collect();
        let packages = list(&parsed["packages"]);
        let is_member = |package: &&Value| member_ids.contains(text(&package["id"]));
        Self {
            root: format!("{}/", root.display()),
            members: packages.iter().filter(is_member).cloned().collect(),
            names: packages.iter().map(id_and_name).collect(),
            uses: list(&parsed["resolve"]["nodes"]).iter().map(node).collect(),
        }
    }

    /// Paths of all crate roots of the workspace, relative to it.
    pub(super) fn crate_roots(&self) -> Vec<String> {
        let products = self
            .members
            .iter()
            .flat_map(|package| list(&package["targets"]));
        let paths = products.map(|product| text(&product["src_path"]));
        paths
            .filter_map(|path| path.strip_prefix(&self.root).map(str::to_owned))
            .collect()
    }

    /// True if `path` is the root of a crate, or would be found as one by Cargo.
    pub(super) fn is_root(&self, path: &str) -> bool {
        self.crate_roots().iter().any(|root| root == path) || path.contains("/fuzz_targets/")
    }

    /// Names of all packages that `package` reaches without its tests.
    fn reached(&self, package: &Value) -> HashSet<&str> {
        let mut seen = HashSet::new();
        let mut open = vec![text(&package["id"]).to_owned()];
        while let Some(id) = open.pop() {
            for used in self.uses.get(&id).into_iter().flatten() {
                if seen.insert(used.clone()) {
                    open.push(used.clone());
                }
            }
        }
        let names = self.names.iter().filter(|(id, _)| seen.contains(*id));
        names.map(|(_, name)| name.as_str()).collect()
    }
}

pub(super) fn check(packages: &Packages, findings: &mut Vec<Finding>) {
    for package in &packages.members {
        rooms(packages, package, findings);
        unreachable(packages, package, findings);
        reserved(packages, package, findings);
    }
}

fn rooms(packages: &Packages, package: &Value, findings: &mut Vec<Finding>) {
    let name = text(&package["name"]);
    let Some(allowed) = row(EDGES, name) else {
        let what = format!("`{name}` is not in the table of rooms (scripts/xtask, edges.rs)");
        findings.push(Finding::new(&manifest(packages, package), 1, what));
        return;
    };
    for used in list(&package["dependencies"]) {
        let (to, kind) = (text(&used["name"]), text(&used["kind"]));
        let in_tests = kind == "dev" && row(TEST_EDGES, name).is_some_and(|row| row.contains(&to));
        let is_room = EDGES.iter().any(|(room, _)| *room == to);
        if is_room && to != name && !allowed.contains(&to) && !in_tests {
            let what = format!("`{name}` must not use `{to}`: no such edge in the house");
            findings.push(Finding::new(&manifest(packages, package), 1, what));
        }
    }
}

fn unreachable(packages: &Packages, package: &Value, findings: &mut Vec<Finding>) {
    let name = text(&package["name"]);
    let Some(banned) = row(UNREACHABLE, name) else {
        return;
    };
    let reached = packages.reached(package);
    for found in banned.iter().filter(|banned| reached.contains(**banned)) {
        let what = format!("`{found}` is reachable from `{name}`, which runs on a data core");
        findings.push(Finding::new(&manifest(packages, package), 1, what));
    }
}

fn reserved(packages: &Packages, package: &Value, findings: &mut Vec<Finding>) {
    for used in list(&package["dependencies"]) {
        let (to, kind) = (text(&used["name"]), text(&used["kind"]));
        let rule = RESERVED.iter().find(|(reserved, ..)| *reserved == to);
        if let Some((_, room, kinds)) = rule
            && (*room != text(&package["name"]) || !kinds.contains(&kind))
        {
            let what = format!("`{to}` may be used by `{room}` only, as {kinds:?}");
            findings.push(Finding::new(&manifest(packages, package), 1, what));
        }
    }
}

fn row<'a>(table: &[(&str, &'a [&'a str])], name: &str) -> Option<&'a [&'a str]> {
    table
        .iter()
        .find(|(room, _)| *room == name)
        .map(|row| row.1)
}

fn manifest(packages: &Packages, package: &Value) -> String {
    let path = text(&package["manifest_path"]);
    path.strip_prefix(&packages.root).unwrap_or(path).to_owned()
}

fn id_and_name(package: &Value) -> (String, String) {
    let (id, name) = (text(&package["id"]), text(&package["name"]));
    (id.to_owned(), name.to_owned())
}

/// Id of a package and the ids that it uses outside tests.
fn node(node: &Value) -> (String, Vec<String>) {
    let shipped = |used: &&Value| {
        let mut kinds = list(&used["dep_kinds"]).iter();
        kinds.any(|kind| text(&kind["kind"]) != "dev")
    };
    let used = list(&node["deps"]).iter().filter(shipped);
    let ids = used.map(|used| text(&used["pkg"]).to_owned());
    (text(&node["id"]).to_owned(), ids.collect())
}

fn metadata(root: &Path, offline: bool) -> Result<String, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut command = Command::new(cargo);
    command
        .current_dir(root)
        .args(["metadata", "--format-version", "1", "--locked"]);
    command.args(["--filter-platform", &platform]);
    if offline {
        command.arg("--offline");
    }
    let output = command
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("cargo metadata failed: {errors}"));
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}

/// The text of a JSON value; empty for anything else, `null` included.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    list(value).iter().map(text)
}
