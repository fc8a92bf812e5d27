//! A listener and its HTTP connection settings, with every default already filled in.

use core::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::AccessLog;
use super::chain::Chains;
use crate::route::RouteTable;
use crate::stats::{ListenerStats, PerWorker};

/// Stable number of a listener name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ListenerId(pub u32);

/// A listener (`envoy.config.listener.v3.Listener`).
#[derive(Debug)]
pub struct Listener {
    /// Stable id.
    pub id: ListenerId,
    /// Name.
    pub name: Box<str>,
    /// Addresses as configured; port 0 is resolved when the socket is bound.
    pub address: SocketAddr,
    /// `tcp_backlog_size`: connections that may wait to be accepted; `None` leaves it to the
    /// kernel.
    pub backlog: Option<u32>,
    /// Connections allowed on this listener in the whole process.
    pub connections: Arc<crate::accept::ConnectionBudget>,
    /// `per_connection_buffer_limit_bytes` (32 KiB): high watermark of what waits to be sent.
    pub buffer_limit: u32,
    /// `filter_chains`, `default_filter_chain`.
    pub chains: Chains,
    /// Counters.
    pub stats: Arc<PerWorker<ListenerStats>>,
}

/// HTTP settings of a filter chain (`HttpConnectionManager`). `None` for a timeout means off.
#[derive(Debug)]
pub struct Http {
    /// `stat_prefix`.
    pub stat_prefix: Box<str>,
    /// `route_config`, compiled.
    pub routes: Arc<RouteTable>,
    /// `access_log`.
    pub access_logs: Vec<AccessLog>,
    /// Limits and switches of the decoder.
    pub decode: crate::http::h1::RequestOptions,
    /// `normalize_path`, `merge_slashes`, `path_with_escaped_slashes_action`.
    pub path: crate::http::path::PathOptions,
    /// How Host is treated before matching.
    pub host: HostOptions,
    /// `enable_trailers`: forward HTTP/1 trailers.
    pub forward_trailers: bool,
    /// `request_headers_timeout` (10 s).
    pub head_timeout: Option<Duration>,
    /// `request_timeout` (off).
    pub request_timeout: Option<Duration>,
    /// `max_stream_duration` (off).
    pub stream_duration_max: Option<Duration>,
    /// `idle_timeout` (60 s).
    pub idle_timeout: Option<Duration>,
    /// `stream_idle_timeout` (5 min).
    pub stream_idle_timeout: Option<Duration>,
    /// `max_connection_duration` (off).
    pub connection_duration_max: Option<Duration>,
    /// `max_requests_per_connection` (off).
    pub requests_per_connection_max: Option<u32>,
    /// `delayed_close_timeout` (1 s).
    pub delayed_close_timeout: Duration,
    /// `use_remote_address` and what belongs to it.
    pub forwarded: Forwarded,
    /// `server_name` and `server_header_transformation`.
    pub server: ServerHeader,
    /// `via`; empty if none.
    pub via: Box<str>,
    /// `x-request-id`.
    pub request_id: RequestId,
    /// `proxy_100_continue`: let the origin answer `Expect: 100-continue`.
    pub proxy_continue: bool,
    /// `upgrade_configs` of the connection manager, lower case, for example `websocket`.
    pub upgrades: Vec<Box<str>>,
    /// `suppress_envoy_headers` of the router: no `x-envoy-*` fields are added.
    pub suppress_envoy_headers: bool,
}

/// What happens to Host before matching; what is matched is also forwarded (N07).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HostOptions {
    /// `strip_matching_host_port`, `strip_any_host_port`.
    pub strip_port: StripPort,
    /// `strip_trailing_host_dot`.
    pub strip_trailing_dot: bool,
}

/// Which port is taken off Host.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum StripPort {
    /// None.
    #[default]
    Keep,
    /// The one equal to the listener's.
    Matching,
    /// Any.
    Any,
}

/// Client address and `x-forwarded-*`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Forwarded {
    /// `use_remote_address` (true): the connection's address is the client; its own
    /// `x-forwarded-*` are not trusted.
    pub use_remote_address: bool,
    /// `xff_num_trusted_hops`.
    pub trusted_hops: u32,
    /// `skip_xff_append`.
    pub skip_append: bool,
    /// `append_x_forwarded_port`.
    pub append_port: bool,
}

/// `server_header_transformation`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ServerHeader {
    /// Always this name.
    Overwrite(Box<str>),
    /// This name unless the origin sent one.
    AppendIfAbsent(Box<str>),
    /// As the origin says.
    PassThrough,
}

/// How `x-request-id` is treated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestId {
    /// `generate_request_id` (true).
    pub generate: bool,
    /// `preserve_external_request_id`: keep what an untrusted client sends.
    pub preserve_external: bool,
    /// `always_set_request_id_in_response`.
    pub in_response: bool,
}
