//! Request head to route to cluster: a compiled table that keeps first-match semantics.

use crate::config::route::RouteConfig;

/// A compiled route configuration.
#[derive(Debug, Default)]
pub struct RouteTable {
    config: RouteConfig,
}

impl RouteTable {
    /// Name of the route configuration.
    pub fn name(&self) -> &str {
        &self.config.name
    }
}
