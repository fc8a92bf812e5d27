//! `Listener`: where it listens and its one filter chain.

use std::net::SocketAddr;

use penstock_core::config::Http;
use penstock_proto::envoy::config::listener::v3::filter::ConfigType;
use penstock_proto::envoy::config::listener::v3::{FilterChain, Listener};
use penstock_proto::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;

use super::address::Port;
use super::draft::Draft;
use super::route::KnownStats;

/// What `listen(2)` can be told.
const BACKLOG_MAX: u32 = i32::MAX as u32;

/// A listener without its id and counters.
#[derive(Debug)]
pub(super) struct ListenerDraft {
    pub(super) address: SocketAddr,
    pub(super) backlog: Option<u32>,
    pub(super) connections_max: u32,
    pub(super) buffer_limit: u32,
    pub(super) http: Http,
}

impl Draft<'_> {
    /// `None` only with errors.
    pub(super) fn listener(
        &mut self,
        listener: &Listener,
        name: &str,
        known: &KnownStats,
    ) -> Option<ListenerDraft> {
        let address = self.ip_address("address", listener.address.as_ref(), Port::Listen);
        if listener.enable_reuse_port == Some(false) {
            self.error(
                "enable_reuse_port",
                "each worker has its own socket, which needs it",
                "remove it or set it to true",
            );
        }
        let backlog = listener.tcp_backlog_size;
        if backlog.is_some_and(|backlog| !(1..=BACKLOG_MAX).contains(&backlog)) {
            self.error(
                "tcp_backlog_size",
                "is out of range",
                format!("write 1 to {BACKLOG_MAX}; the kernel caps it at net.core.somaxconn"),
            );
        }
        let buffer_limit = self.buffer_limit(listener.per_connection_buffer_limit_bytes);
        let http = self.chains(listener, known);
        let limit = format!("envoy.resource_limits.listener.{name}.connection_limit");
        Some(ListenerDraft {
            address: address?,
            backlog,
            connections_max: self.runtime.number(&limit).unwrap_or(u32::MAX),
            buffer_limit,
            http: http?,
        })
    }

    /// The chain that takes every connection. Matches are not served yet, so there can be one only.
    fn chains(&mut self, listener: &Listener, known: &KnownStats) -> Option<Http> {
        let mut built = self.each("filter_chains", &listener.filter_chains, |draft, chain| {
            draft.chain(chain, known)
        });
        if listener.filter_chains.len() > 1 {
            self.error(
                "filter_chains",
                "several chains take every connection",
                "keep one; filter_chain_match is not served yet",
            );
        }
        let default = listener.default_filter_chain.as_ref();
        let default = default
            .map(|chain| self.field("default_filter_chain", |draft| draft.chain(chain, known)));
        match (built.pop(), default) {
            (None, None) => {
                self.error(
                    "filter_chains",
                    "is missing",
                    "write a chain with its filters",
                );
                None
            }
            (None, Some(default)) => default,
            (Some(chain), None) => chain,
            (Some(chain), Some(_)) => {
                self.warn(
                    "default_filter_chain",
                    "is never used: the other chain takes every \
                    connection",
                    "remove it",
                );
                chain
            }
        }
    }

    fn chain(&mut self, chain: &FilterChain, known: &KnownStats) -> Option<Http> {
        let [filter] = chain.filters.as_slice() else {
            let count = chain.filters.len();
            self.error(
                "filters",
                format!("expected one filter, found {count}"),
                "write the HTTP connection manager and nothing else",
            );
            return None;
        };
        self.element("filters", 0, |draft| match &filter.config_type {
            Some(ConfigType::TypedConfig(any)) => draft.field("typed_config", |draft| {
                let manager = draft.options::<hcm::HttpConnectionManager>(any)?;
                Some(draft.http(&manager, known))
            }),
            None => {
                draft.error(
                    "typed_config",
                    "is missing",
                    "write the options of the HTTP connection manager",
                );
                None
            }
        })
    }
}
