//! `penstock demo`: a gateway, three origins and a few requests, all in one process.
//!
//! The gateway is the real one, with the configuration of `examples/demo.yaml`; only ports are put
//! in. The origins are those of `perf-lab`, so what the demo shows is also checked byte by byte.

mod client;
mod tour;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::time::Duration;

use penstock_runtime::signals::{Signal, Signals};
use perf_lab::origin::{Behaviour, Origin};

use crate::boot::{self, Drain, Gateway, Settings, Source, StartFault};
use crate::cli::{DemoOptions, Exit};
use crate::telemetry::log::{self, LogLevel};
use crate::translate::AdminReach;

/// The configuration, as it lies among the examples.
const CONFIGURATION: &str = include_str!("../../examples/demo.yaml");
/// Workers of the demo.
const WORKERS: usize = 2;
/// How long the slow origin thinks.
const SLOW: Duration = Duration::from_millis(150);
/// Each n-th answer of the flaky origin is a failure.
const FLAKY: u64 = 3;
/// A demo that is stopped should stop.
const DRAIN: Drain = Drain {
    delay: Duration::ZERO,
    timeout: Duration::from_secs(5),
};

/// The origins, in the order of their ports in the file.
struct Origins {
    fast: Origin,
    slow: Origin,
    flaky: Origin,
}

/// Starts everything, shows it, and serves until stopped; with `--once`, ends after the tour.
pub fn run(options: &DemoOptions) -> Exit {
    let signals = Signals::new(&Signal::ALL);
    let level = if options.once { "warn" } else { "info" };
    let level = LogLevel::new(level).expect("both are levels");
    // Only a second log in one process fails, and then there is a first one.
    let _ = log::install(level.clone());
    let origins = match Origins::start() {
        Ok(origins) => origins,
        Err(error) => return fail(&format!("the origins do not start: {error}")),
    };
    let (wishes, received) = mpsc::channel();
    let settings = Settings {
        source: Source::text("examples/demo.yaml", configuration(options, &origins)),
        workers: Some(WORKERS),
        driver: options.driver.clone(),
        log_level: level,
        admin_reach: AdminReach::Loopback,
    };
    let gateway = match Gateway::start(settings, wishes.clone()) {
        Ok(gateway) => gateway,
        Err(fault) => return refuse(&fault),
    };
    let Some(address) = gateway
        .listening()
        .first()
        .map(|listening| listening.address)
    else {
        return fail("examples/demo.yaml has no listener");
    };
    print!("{}", table(&gateway, address, &origins));
    let failed = tour::take(address, &origins);
    if options.once {
        gateway.stop();
        return if failed == 0 {
            Exit::Success
        } else {
            Exit::Failure
        };
    }
    println!("\nServing until Ctrl-C.");
    match signals.and_then(|signals| boot::forward(signals, wishes)) {
        Ok(()) => boot::serve(gateway, &received, DRAIN),
        Err(error) => fail(&format!("signals cannot be read: {error}")),
    }
}

impl Origins {
    fn start() -> io::Result<Self> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Ok(Self {
            fast: Origin::start("fast", Behaviour::Fast, any)?,
            slow: Origin::start("slow", Behaviour::Slow(SLOW), any)?,
            flaky: Origin::start("flaky", Behaviour::Flaky(FLAKY), any)?,
        })
    }
}

/// The example with the ports of this run.
fn configuration(options: &DemoOptions, origins: &Origins) -> String {
    let ports = [
        (8080, options.port),
        (9901, options.admin_port),
        (9001, origins.fast.address().port()),
        (9002, origins.slow.address().port()),
        (9003, origins.flaky.address().port()),
    ];
    // Line by line and once each: a port that was put in must not be taken for one of the file's.
    let lines = CONFIGURATION.lines().map(|line| {
        let known = ports
            .iter()
            .map(|(from, to)| (format!("port_value: {from} "), format!("port_value: {to} ")));
        let found = known.into_iter().find(|(from, _)| line.contains(from));
        found.map_or(line.to_owned(), |(from, to)| line.replace(&from, &to))
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn table(gateway: &Gateway, address: SocketAddr, origins: &Origins) -> String {
    let row = |what: &str, place: &str, note: &str| format!("  {what:<15} {place:<28} {note}\n");
    let origin = |origin: &Origin, note: &str| {
        let what = format!("origin {}", origin.label());
        row(&what, &origin.address().to_string(), note)
    };
    let admin = gateway.admin_address();
    let admin = admin.map_or("off".to_owned(), |address| format!("http://{address}/"));
    let mut out = String::from("Penstock demo\n\n");
    out += &row(
        "gateway",
        &format!("http://{address}/"),
        &format!("{WORKERS} workers"),
    );
    out += &row("driver", &gateway.driver(), "");
    out += &row("admin", &admin, "/ready, /stats, /clusters, /config_dump");
    out += &origin(&origins.fast, "answers at once");
    out += &origin(
        &origins.slow,
        &format!("thinks for {} ms", SLOW.as_millis()),
    );
    out += &origin(&origins.flaky, &format!("fails one time in {FLAKY}"));
    out += &format!(
        "\nTry:\n  curl -i http://{address}/hello\n  curl -i http://{address}/fast/anything\n  \
         curl -i -H 'x-origin: slow' http://{address}/\n  \
         curl -i -H 'Host: slow.localhost' http://{address}/\n  \
         curl -iL http://{address}/old/page\n"
    );
    if let Some(admin) = gateway.admin_address() {
        out += &format!("  curl http://{admin}/stats/prometheus\n");
    }
    out
}

fn refuse(fault: &StartFault) -> Exit {
    let exit = boot::report(fault);
    if matches!(fault, StartFault::Bind(_) | StartFault::Admin(_)) {
        eprintln!("penstock: --port and --admin-port choose other ports, 0 takes any free one");
    }
    exit
}

fn fail(why: &str) -> Exit {
    eprintln!("penstock: {why}");
    Exit::Failure
}

#[cfg(test)]
mod tests {
    use penstock_runtime::{Preference, UringOptions};

    use super::*;
    use crate::cli::DriverOptions;

    #[test]
    fn every_port_of_the_example_is_put_in() {
        let options = DemoOptions {
            port: 1,
            admin_port: 2,
            driver: DriverOptions {
                driver: Preference::Auto,
                uring: UringOptions::default(),
            },
            once: true,
        };
        let origins = Origins::start().unwrap();
        let text = configuration(&options, &origins);
        for port in [
            1,
            2,
            origins.fast.address().port(),
            origins.slow.address().port(),
            origins.flaky.address().port(),
        ] {
            let count = text.matches(&format!("port_value: {port} ")).count();
            assert_eq!(count, 1, "port {port} in\n{text}");
        }
        assert_eq!(text.matches("port_value:").count(), 5);
    }
}
