//! The listener, its thread, and the limits that a client meets.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hyper::body::{Body as _, Incoming};
use hyper::header::{HOST, HeaderMap, ORIGIN};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};

use super::Control;
use super::answer::{Answer, AnswerBody};
use super::desk::{About, Desk};
use super::endpoints::{self, Effect};
use super::journal::{AdminLog, Ends, Journal};
use super::query::Query;
use crate::telemetry::access_log::Sinks;
use crate::telemetry::log::LogLevel;

/// Connections at one time; others wait in the listening socket's queue.
const CONNECTIONS_MAX: u32 = 64;
/// Bytes of a request head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Fields of a request head.
const FIELDS_MAX: usize = 64;
/// Bytes of a request body; no endpoint reads one.
const BODY_BYTES_MAX: u64 = 64 * 1024;
/// A request head must be there after this time.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// Request and answer must be through after this time.
const CONNECTION_TIME: Duration = Duration::from_secs(60);
/// Answers under way at the end get this time.
const END_TIME: Duration = Duration::from_secs(1);
/// Pause after an accept that failed, since the cause will not be gone at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often the workers' busy time is looked at.
const SAMPLE_TIME: Duration = Duration::from_secs(1);

/// What the admin server needs to start.
#[derive(Debug)]
pub struct Options {
    /// Where it listens.
    pub address: SocketAddr,
    /// Let `address` be one that other machines reach (`--admin-public`).
    pub allow_public: bool,
    /// What does not change.
    pub about: About,
    /// Access log sinks, for their counters.
    pub sinks: Arc<Sinks>,
    /// The log level that `/logging` changes.
    pub level: LogLevel,
}

/// Why the admin server did not start.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address is not for this machine alone.
    #[error(
        "admin address {0} can be reached from other machines, and whoever reaches it can read the \
         configuration and end the process; use 127.0.0.1, or allow it with --admin-public"
    )]
    Public(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on admin address {0}; is it taken by another process?")]
    Bind(SocketAddr, #[source] io::Error),
    /// No thread, or no event loop for it.
    #[error("cannot start the admin thread")]
    Thread(#[source] io::Error),
}

/// The running server. Dropping it stops it.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Admin {
    /// Binds, and serves on a thread of its own. The thread inherits the CPUs of the caller: start
    /// it before the caller is pinned to a data core.
    ///
    /// # Errors
    /// If the address is public without being allowed to, or is taken, or there is no thread.
    pub fn start(options: Options, control: Arc<dyn Control>) -> Result<Self, AdminError> {
        Self::start_with_log(options, None, control)
    }

    /// The same, with an access log of its own.
    ///
    /// # Errors
    /// As [`Admin::start`].
    pub fn start_with_log(
        options: Options,
        log: Option<AdminLog>,
        control: Arc<dyn Control>,
    ) -> Result<Self, AdminError> {
        let address = options.address;
        if !is_loopback(address.ip()) {
            if !options.allow_public {
                return Err(AdminError::Public(address));
            }
            tracing::warn!("admin address {address} can be reached from other machines");
        }
        let bind = |fault| AdminError::Bind(address, fault);
        let listener = TcpListener::bind(address).map_err(bind)?;
        listener.set_nonblocking(true).map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(AdminError::Thread)?;
        let desk = Desk::new(control, options.about, options.sinks, options.level);
        let served = Served {
            desk,
            local: is_loopback(address.ip()),
            journal: log.map(|log| Arc::new(Journal::new(log))),
        };
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("penstock-admin".into())
            .spawn(move || runtime.block_on(serve(listener, Arc::new(served), stopped)))
            .map_err(AdminError::Thread)?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens, port 0 resolved.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        // The server may have ended by itself.
        let _ = self.stop.take().map(|stop| stop.send(()));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the admin thread panicked");
        }
    }
}

struct Served {
    desk: Desk,
    /// Only this machine reaches the listener.
    local: bool,
    journal: Option<Arc<Journal>>,
}

async fn serve(listener: TcpListener, served: Arc<Served>, stopped: oneshot::Receiver<()>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
    let sampler = tokio::spawn(sample(served.clone()));
    let acceptor = tokio::spawn(accept(listener, served, slots.clone()));
    // The other end does nothing but tell us to stop, or goes away.
    let _ = stopped.await;
    acceptor.abort();
    sampler.abort();
    // Whoever asked for the end should still get the answer.
    let _ = tokio::time::timeout(END_TIME, slots.acquire_many(CONNECTIONS_MAX)).await;
}

async fn sample(served: Arc<Served>) {
    let mut ticks = tokio::time::interval(SAMPLE_TIME);
    loop {
        ticks.tick().await;
        served.desk.sample(Instant::now());
    }
}

async fn accept(listener: TcpListener, served: Arc<Served>, slots: Arc<Semaphore>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(fault) => return tracing::error!(%fault, "the admin interface cannot serve"),
    };
    while let Ok(slot) = slots.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, remote)) => {
                let served = served.clone();
                tokio::spawn(async move {
                    connection(stream, remote, served).await;
                    drop(slot);
                });
            }
            Err(fault) => {
                tracing::warn!(%fault, "the admin interface could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, remote: SocketAddr, served: Arc<Served>) {
    let ends = Ends {
        remote,
        local: stream.local_addr().unwrap_or(remote),
    };
    let service = service_fn(|request| {
        let served = served.clone();
        async move { Ok::<_, Infallible>(logged(request, ends, &served).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        // A client that says it has no more to send still waits for its answer.
        .half_close(true)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(FIELDS_MAX)
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_TIME, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(fault)) => tracing::debug!(%fault, "admin connection ended early"),
        Err(_) => tracing::debug!("admin connection took too long"),
    }
}

async fn logged(request: Request<Incoming>, ends: Ends, served: &Served) -> Response<AnswerBody> {
    let (head, body) = request.into_parts();
    let entry = served
        .journal
        .as_ref()
        .map(|journal| journal.entry(&head, ends));
    let mut response = respond(&head, body, served).await;
    if let Some(mut entry) = entry {
        entry.answered(response.status().as_u16());
        response.body_mut().log_to(entry);
    }
    response
}

async fn respond(head: &Parts, body: Incoming, served: &Served) -> Response<AnswerBody> {
    if !discard(body).await {
        let why = "no endpoint takes a body; leave it out";
        return Answer::refused(StatusCode::PAYLOAD_TOO_LARGE, why).into_response();
    }
    if served.local && !asks_for_this_machine(&head.headers) {
        let why = "Host must be a loopback address or localhost here: a page in a browser can \
                   point any other name at this machine";
        return Answer::refused(StatusCode::FORBIDDEN, why).into_response();
    }
    let Some(endpoint) = endpoints::find(head.uri.path()) else {
        let why = "no such endpoint; GET /help lists them";
        return Answer::refused(StatusCode::NOT_FOUND, why).into_response();
    };
    if !endpoint.allows(&head.method) {
        let why = match endpoint.effect {
            Effect::Reads => "this endpoint reads: use GET",
            Effect::Changes => "this endpoint changes something: use POST",
        };
        return Answer::method_refused(endpoint.allowed(), why);
    }
    if endpoint.effect == Effect::Changes && !is_same_origin(&head.headers) {
        let why = "a page of another origin may not change anything here";
        return Answer::refused(StatusCode::FORBIDDEN, why).into_response();
    }
    let query = Query::parse(head.uri.query().unwrap_or_default());
    (endpoint.answer)(&served.desk, &query).into_response()
}

/// Reads a small body to its end, so that the answer is not lost in a reset; false if it is large.
async fn discard(body: Incoming) -> bool {
    if body.size_hint().lower() > BODY_BYTES_MAX {
        return false;
    }
    let mut body = std::pin::pin!(body);
    let mut left = BODY_BYTES_MAX;
    while let Some(Ok(frame)) = std::future::poll_fn(|task| body.as_mut().poll_frame(task)).await {
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        let Some(rest) = left.checked_sub(bytes) else {
            return false;
        };
        left = rest;
    }
    true
}

/// HTTP/1.0 may come without Host; whoever sends one must mean this machine.
fn asks_for_this_machine(fields: &HeaderMap) -> bool {
    let mut hosts = fields.get_all(HOST).iter();
    hosts.all(|host| {
        let authority: Option<Authority> = host.to_str().ok().and_then(|host| host.parse().ok());
        authority.is_some_and(|authority| names_this_machine(authority.host()))
    })
}

fn names_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(is_loopback)
}

/// Browsers say where a POST comes from; tools do not.
fn is_same_origin(fields: &HeaderMap) -> bool {
    let Some(origin) = fields.get(ORIGIN) else {
        return true;
    };
    let (origin, host) = (
        origin.to_str().ok(),
        fields.get(HOST).and_then(|host| host.to_str().ok()),
    );
    let authority = origin.and_then(|origin| origin.split_once("://"));
    authority
        .zip(host)
        .is_some_and(|((_, authority), host)| authority == host)
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}
