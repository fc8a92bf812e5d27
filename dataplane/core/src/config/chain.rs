//! Filter chains: what a connection of a listener gets, and which one it takes.
//!
//! A connection chooses its chain once, before its first request or byte is served, and remembers
//! it
//! by [`ChainId`]. The id stands for what was chosen by (match and transport): while the listener
//! has a chain of that id, its connections are served by what it says now.

use std::sync::Arc;

use super::listener::Http;

/// Stable number of a filter chain of a listener.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ChainId(pub u32);

/// Where a chain stands in its listener, in one generation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ChainIndex(pub u32);

/// A filter chain (`envoy.config.listener.v3.FilterChain`).
#[derive(Debug)]
pub struct Chain {
    /// Stable id.
    pub id: ChainId,
    /// Name; empty if it has none.
    pub name: Box<str>,
    /// What it does with its connections.
    pub service: Service,
}

/// What a chain does with its connections: its last filter.
#[derive(Clone, Debug)]
pub enum Service {
    /// The HTTP connection manager.
    Http(Arc<Http>),
}

impl Chain {
    /// Its HTTP settings, if it serves HTTP.
    #[inline]
    pub fn http(&self) -> Option<&Arc<Http>> {
        match &self.service {
            Service::Http(http) => Some(http),
        }
    }
}

/// The chains of a listener, at least one.
#[derive(Debug)]
pub struct Chains {
    /// By id, rising.
    list: Vec<Chain>,
}

impl Chains {
    /// One chain that takes every connection.
    pub fn one(chain: Chain) -> Self {
        Self { list: vec![chain] }
    }

    /// One chain with these HTTP settings that takes every connection.
    pub fn http(http: Arc<Http>) -> Self {
        Self::one(Chain {
            id: ChainId(0),
            name: "".into(),
            service: Service::Http(http),
        })
    }

    /// The chain that takes a connection.
    pub fn choose(&self) -> ChainId {
        self.list[0].id
    }

    /// Where a chain stands, if the listener has it.
    #[inline]
    pub fn find(&self, id: ChainId) -> Option<ChainIndex> {
        if self.list.first().is_some_and(|chain| chain.id == id) {
            return Some(ChainIndex(0));
        }
        let found = self.list.binary_search_by_key(&id, |chain| chain.id);
        found.ok().map(|index| ChainIndex(index as u32))
    }

    /// The chain that stands there.
    #[inline]
    pub fn at(&self, index: ChainIndex) -> Option<&Chain> {
        self.list.get(index.0 as usize)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Chain> {
        self.list.iter()
    }

    /// Those that serve HTTP.
    pub fn http_settings(&self) -> impl Iterator<Item = &Arc<Http>> {
        self.iter().filter_map(Chain::http)
    }
}
