//! The process's own log: one line per event on standard error, for people and for collectors.
//!
//! `2026-11-21T00:27:59.123456Z WARN  what happened key=value other="two words"`. Control bytes are
//! escaped wherever they come from, so that nothing that a client or a file says can start a line
//! of its own (O01). Errors are written with their whole chain of causes. Never used on a data
//! core.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::SystemTime;

use penstock_proto::prost_types::Timestamp;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::{Interest, SetGlobalDefaultError};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::Registry;

/// Which events are written; can be changed while the process runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LogLevel(Arc<AtomicU8>);

/// The levels, the most talkative last. The place in the table is what [`LogLevel`] holds.
const LEVELS: [(LevelFilter, &str); 6] = [
    (LevelFilter::OFF, "off"),
    (LevelFilter::ERROR, "error"),
    (LevelFilter::WARN, "warn"),
    (LevelFilter::INFO, "info"),
    (LevelFilter::DEBUG, "debug"),
    (LevelFilter::TRACE, "trace"),
];

/// No level has this name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unknown log level; one of off, critical, error, warning, warn, info, debug, trace")]
pub struct UnknownLevel;

impl LogLevel {
    /// Starts with this level.
    ///
    /// # Errors
    /// If no level has this name; Envoy's names count.
    pub fn new(name: &str) -> Result<Self, UnknownLevel> {
        Ok(Self(Arc::new(AtomicU8::new(place(name)?))))
    }

    /// Changes the level from now on.
    ///
    /// # Errors
    /// If no level has this name.
    pub fn set(&self, name: &str) -> Result<(), UnknownLevel> {
        self.0.store(place(name)?, Relaxed);
        Ok(())
    }

    /// Name of the level.
    pub fn name(&self) -> &'static str {
        LEVELS[self.0.load(Relaxed) as usize].1
    }

    /// What libraries say in passing is of interest only to who wants everything.
    fn lets_through(&self, metadata: &Metadata<'_>) -> bool {
        let level = LEVELS[self.0.load(Relaxed) as usize].0;
        let ours = metadata.target().starts_with("penstock") || level == LevelFilter::TRACE;
        *metadata.level()
            <= if ours {
                level
            } else {
                level.min(LevelFilter::WARN)
            }
    }
}

fn place(name: &str) -> Result<u8, UnknownLevel> {
    let name = match name {
        "critical" => "error",
        "warning" => "warn",
        name => name,
    };
    let found = LEVELS.iter().position(|(_, known)| *known == name);
    found.map(|index| index as u8).ok_or(UnknownLevel)
}

/// Sends the events of the whole process to standard error.
///
/// # Errors
/// If the process already has a log.
pub fn install(level: LogLevel) -> Result<(), SetGlobalDefaultError> {
    tracing::subscriber::set_global_default(subscriber(level, std::io::stderr))
}

/// A subscriber that writes each event with one call to what `open` returns.
pub fn subscriber<W: Write>(
    level: LogLevel,
    open: impl Fn() -> W + Send + Sync + 'static,
) -> impl Subscriber + Send + Sync {
    Registry::default().with(Lines { level, open })
}

/// An error followed by its causes: `what failed: why: why that`.
pub fn chain(error: &(dyn Error + 'static)) -> impl fmt::Display {
    fmt::from_fn(move |out| {
        write!(out, "{error}")?;
        std::iter::successors(error.source(), |&cause| cause.source())
            .try_for_each(|cause| write!(out, ": {cause}"))
    })
}

struct Lines<F> {
    level: LogLevel,
    open: F,
}

impl<S: Subscriber, W: Write, F: Fn() -> W + 'static> Layer<S> for Lines<F> {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // Asked anew for every event, since the level can change.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.level.lets_through(metadata)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = line(event, SystemTime::now());
        // There is nowhere to say that the log cannot be written.
        let _ = (self.open)().write_all(line.as_bytes());
    }
}

fn line(event: &Event<'_>, now: SystemTime) -> String {
    let mut parts = Parts::default();
    event.record(&mut parts);
    let level = event.metadata().level().as_str();
    format!(
        "{} {level:<5} {}{}\n",
        timestamp(now),
        parts.message,
        parts.fields
    )
}

/// RFC 3339 with microseconds, always as wide.
fn timestamp(now: SystemTime) -> String {
    let now = Timestamp::from(now);
    let second = Timestamp {
        seconds: now.seconds,
        nanos: 0,
    }
    .to_string();
    format!("{}.{:06}Z", second.trim_end_matches('Z'), now.nanos / 1_000)
}

/// Message and fields of one event.
#[derive(Default)]
struct Parts {
    message: String,
    fields: String,
}

impl Parts {
    fn put(&mut self, field: &Field, value: &dyn fmt::Display) {
        if field.name() == "message" {
            let _ = write!(Escaped(&mut self.message), "{value}");
            return;
        }
        let mut text = String::new();
        let _ = write!(Escaped(&mut text), "{value}");
        let _ = match plain(&text) {
            true => write!(self.fields, " {}={text}", field.name()),
            false => write!(
                self.fields,
                " {}=\"{}\"",
                field.name(),
                text.replace('"', "\\\"")
            ),
        };
    }
}

impl Visit for Parts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, &value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.put(field, &chain(value));
    }
}

/// A value that needs no quotes.
fn plain(text: &str) -> bool {
    !text.is_empty() && !text.contains([' ', '"', '='])
}

/// Escapes control characters, line and paragraph separators included, and the escape itself.
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '\\' => self.0.push_str("\\\\"),
                c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                    self.0.extend(c.escape_default());
                }
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Lines without their time, of what `act` logs.
    fn check(level: &LogLevel, act: impl FnOnce(), expect: &[&str]) {
        let paper = Paper::default();
        let open = paper.clone();
        tracing::subscriber::with_default(subscriber(level.clone(), move || open.clone()), act);
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().map(|line| &line[28..]).collect();
        assert_eq!(lines, expect);
    }

    #[test]
    fn lines_say_level_message_and_fields() {
        let act = || {
            tracing::info!(workers = 2, driver = "io_uring", "started");
            tracing::warn!(path = "/a b", "careful {}", 7);
            tracing::error!(empty = "", quote = "a\"b", "");
        };
        let expect = [
            "INFO  started workers=2 driver=io_uring",
            "WARN  careful 7 path=\"/a b\"",
            "ERROR  empty=\"\" quote=\"a\\\"b\"",
        ];
        check(&LogLevel::new("info").unwrap(), act, &expect);
    }

    #[test]
    fn nothing_starts_a_line_of_its_own() {
        let evil = "x\r\n2026-11-21 ERROR forged \u{1b}[2J\u{2028}\u{85}\\n\0";
        let act = || tracing::info!(evil, "said {evil}");
        let escaped = "x\\r\\n2026-11-21 ERROR forged \\u{1b}[2J\\u{2028}\\u{85}\\\\n\\u{0}";
        let expect = format!("INFO  said {escaped} evil=\"{escaped}\"");
        check(&LogLevel::new("info").unwrap(), act, &[&expect]);
    }

    #[test]
    fn errors_come_with_their_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read the file")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("no such disk"));
        assert_eq!(
            chain(&error).to_string(),
            "cannot read the file: no such disk"
        );
        let act = || tracing::error!(error = &error as &dyn Error, "failed");
        let expect = "ERROR failed error=\"cannot read the file: no such disk\"";
        check(&LogLevel::new("error").unwrap(), act, &[expect]);
    }

    #[test]
    fn the_level_can_change() {
        let level = LogLevel::new("warning").unwrap();
        let act = || {
            tracing::info!("one");
            level.set("debug").unwrap();
            tracing::debug!("two");
            tracing::info!(target: "hyper::proto", "a library talks");
            tracing::warn!(target: "hyper::proto", "a library warns");
            level.set("off").unwrap();
            tracing::error!("three");
        };
        check(&level, act, &["DEBUG two", "WARN  a library warns"]);
        assert_eq!(level.name(), "off");
        assert_eq!(level.set("loud"), Err(UnknownLevel));
        assert_eq!(level.name(), "off");
    }

    #[test]
    fn time_is_always_as_wide() {
        let at = |nanos| SystemTime::UNIX_EPOCH + std::time::Duration::from_nanos(nanos);
        assert_eq!(timestamp(at(0)), "1970-01-01T00:00:00.000000Z");
        assert_eq!(timestamp(at(1_500_000_000)), "1970-01-01T00:00:01.500000Z");
    }
}
