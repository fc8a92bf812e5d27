//! The table of everything that is answered, from which `/help` and the index page are made too.

use std::fmt::Write as _;

use hyper::{Method, StatusCode};

use super::answer::{Answer, HTML};
use super::desk::Desk;
use super::query::Query;
use super::{clusters, config_dump, life, listeners, server_info, statistics};

/// What an endpoint does to the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Effect {
    /// Reads; GET and HEAD.
    Reads,
    /// Changes; POST.
    Changes,
}

/// One path.
pub(super) struct Endpoint {
    pub(super) path: &'static str,
    pub(super) effect: Effect,
    help: &'static str,
    pub(super) answer: fn(&Desk, &Query) -> Answer,
}

impl Endpoint {
    /// True if requests of this method are served.
    pub(super) fn allows(&self, method: &Method) -> bool {
        match self.effect {
            Effect::Reads => method == Method::GET || method == Method::HEAD,
            Effect::Changes => method == Method::POST,
        }
    }

    /// Value of `Allow`.
    pub(super) fn allowed(&self) -> &'static str {
        match self.effect {
            Effect::Reads => "GET, HEAD",
            Effect::Changes => "POST",
        }
    }
}

/// The endpoint of a path.
pub(super) fn find(path: &str) -> Option<&'static Endpoint> {
    ENDPOINTS.iter().find(|endpoint| endpoint.path == path)
}

const fn reads(
    path: &'static str,
    help: &'static str,
    answer: fn(&Desk, &Query) -> Answer,
) -> Endpoint {
    Endpoint {
        path,
        effect: Effect::Reads,
        help,
        answer,
    }
}

const fn changes(
    path: &'static str,
    help: &'static str,
    answer: fn(&Desk, &Query) -> Answer,
) -> Endpoint {
    Endpoint {
        path,
        effect: Effect::Changes,
        help,
        answer,
    }
}

const ENDPOINTS: &[Endpoint] = &[
    reads("/", "this page", index),
    reads(
        "/clusters",
        "clusters, thresholds and endpoints; ?format=json",
        clusters::clusters,
    ),
    reads(
        "/config_dump",
        "the configuration in force, as JSON",
        config_dump::config_dump,
    ),
    changes(
        "/drain_listeners",
        "stop accepting and finish what is open",
        life::drain_listeners,
    ),
    changes(
        "/healthcheck/fail",
        "fail the readiness endpoints from now on",
        life::fail,
    ),
    changes("/healthcheck/ok", "take that back", life::ok),
    reads("/healthz", "200 while the process turns", life::healthz),
    reads("/help", "this list as text", help),
    reads(
        "/listeners",
        "listeners and where they are bound; ?format=json",
        listeners::listeners,
    ),
    reads("/livez", "200 while the process turns", life::healthz),
    changes(
        "/logging",
        "the log level; ?level=debug changes it",
        life::logging,
    ),
    reads(
        "/memory",
        "memory of the process, as JSON",
        server_info::memory,
    ),
    reads(
        "/metrics",
        "Prometheus text; ?usedonly",
        statistics::prometheus,
    ),
    changes(
        "/quitquitquit",
        "end the process as SIGTERM does",
        life::quit,
    ),
    reads("/ready", "LIVE, or 503 with the state", life::ready),
    reads(
        "/readyz",
        "200 when traffic may come, or 503 with the reason",
        life::readyz,
    ),
    changes(
        "/reset_counters",
        "not possible here, and says why",
        life::reset_counters,
    ),
    reads(
        "/server_info",
        "version, state, uptime, options, node, as JSON",
        server_info::info,
    ),
    reads(
        "/stats",
        "statistics under Envoy's names; ?filter=regex, ?usedonly, ?format=json|prometheus",
        statistics::stats,
    ),
    reads(
        "/stats/prometheus",
        "the same as /metrics",
        statistics::prometheus,
    ),
];

fn help(_: &Desk, _: &Query) -> Answer {
    let mut text = String::from("admin commands are:\n");
    for endpoint in ENDPOINTS {
        let post = if endpoint.effect == Effect::Changes {
            " (POST)"
        } else {
            ""
        };
        let _ = writeln!(text, "  {}{post}: {}", endpoint.path, endpoint.help);
    }
    Answer::text(text)
}

fn index(_: &Desk, _: &Query) -> Answer {
    let mut page = String::from(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Penstock</title>\
         <style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:50rem;\
         padding:0 1rem}td{padding:.2rem 1rem .2rem 0;vertical-align:top}\
         form{margin:0}</style></head>\n<body><h1>Penstock</h1><table>\n",
    );
    for Endpoint {
        path, effect, help, ..
    } in ENDPOINTS
    {
        let link = match effect {
            Effect::Reads => format!("<a href=\"{path}\">{path}</a>"),
            Effect::Changes => {
                format!("<form method=\"post\" action=\"{path}\"><button>{path}</button></form>")
            }
        };
        let _ = writeln!(page, "<tr><td>{link}</td><td>{help}</td></tr>");
    }
    page.push_str("</table></body></html>\n");
    Answer::whole(StatusCode::OK, HTML, page)
}
