//! Endpoints about the life of the process: is it well, may traffic come, drain, end, log level.

use hyper::StatusCode;

use super::State;
use super::answer::{Answer, TEXT};
use super::desk::Desk;
use super::query::Query;

const UNREADY: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

pub(super) fn healthz(_: &Desk, _: &Query) -> Answer {
    Answer::text("OK\n")
}

pub(super) fn ready(desk: &Desk, _: &Query) -> Answer {
    let state = desk.state();
    let status = if state == State::Live {
        StatusCode::OK
    } else {
        UNREADY
    };
    Answer::whole(status, TEXT, format!("{}\n", state.as_str()))
}

pub(super) fn readyz(desk: &Desk, _: &Query) -> Answer {
    match desk.control.state() {
        State::PreInitializing => Answer::refused(
            UNREADY,
            "not ready: listeners are not bound yet, or a worker waits for its configuration",
        ),
        State::Draining => Answer::refused(UNREADY, "not ready: draining"),
        State::Live if desk.failed() => Answer::refused(
            UNREADY,
            "not ready: taken out by /healthcheck/fail; POST /healthcheck/ok takes that back",
        ),
        State::Live => Answer::text("OK\n"),
    }
}

pub(super) fn fail(desk: &Desk, _: &Query) -> Answer {
    tracing::warn!("readiness fails from now on, as asked by /healthcheck/fail");
    desk.set_failed(true);
    Answer::text("OK\n")
}

pub(super) fn ok(desk: &Desk, _: &Query) -> Answer {
    tracing::info!("readiness follows the state again, as asked by /healthcheck/ok");
    desk.set_failed(false);
    Answer::text("OK\n")
}

pub(super) fn drain_listeners(desk: &Desk, _: &Query) -> Answer {
    tracing::warn!("draining, as asked by /drain_listeners");
    desk.control.drain();
    Answer::text("OK\n")
}

pub(super) fn quit(desk: &Desk, _: &Query) -> Answer {
    tracing::warn!("ending, as asked by /quitquitquit");
    desk.control.quit();
    Answer::text("OK\n")
}

pub(super) fn logging(desk: &Desk, query: &Query) -> Answer {
    match query.value("level").map(|name| desk.level.set(name)) {
        Some(Err(unknown)) => {
            return Answer::refused(StatusCode::BAD_REQUEST, unknown.to_string());
        }
        Some(Ok(())) => tracing::info!(level = desk.level.name(), "log level changed"),
        None => {}
    }
    Answer::text(format!(
        "active loggers:\n  penstock: {}\n",
        desk.level.name()
    ))
}

pub(super) fn reset_counters(_: &Desk, _: &Query) -> Answer {
    Answer::refused(
        StatusCode::NOT_IMPLEMENTED,
        "counters are written by their workers alone and cannot be reset from here; take \
         differences, as rate() and increase() of Prometheus do",
    )
}
