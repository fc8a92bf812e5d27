//! Request head to route to cluster: a compiled table that keeps first-match semantics.
//!
//! [`RouteTable::compile`] runs where configuration is made; the rest runs once per request: `find`
//! a route, `choose` a cluster, `rewrite_request`, and `edit_response` when the answer comes.
//! Nothing here picks an endpoint or touches a body.

mod check;
mod domains;
mod edit;
mod index;
mod literal;
pub(crate) mod matching;
mod redirect;
mod regexes;
mod rewrite;
mod sorted;

use crate::access_log::{Facts, Record};
use crate::chance::Chance;
use crate::config::route::{
    Action, ClusterChoice, Forward, HeaderEdits, HostRewrite, RequireTls, Route, RouteConfig,
    VirtualHost, WeightedCluster,
};
use crate::config::{ClusterId, Snapshot};
use crate::fault::Cause;
use crate::http::{RequestHead, ResponseHead};

pub use check::RouteError;

/// A compiled route configuration.
#[derive(Debug, Default)]
pub struct RouteTable {
    config: RouteConfig,
    domains: domains::Domains,
    /// One per virtual host.
    indexes: Vec<index::Index>,
}

/// A virtual host of a [`RouteTable`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostIndex(pub u32);

/// A route of a [`RouteTable`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RouteRef {
    /// Its virtual host.
    pub host: HostIndex,
    /// Its place there.
    pub index: u32,
}

/// What a request found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// No virtual host takes this authority.
    NoHost,
    /// The virtual host has no route for it.
    NoRoute {
        /// Which.
        host: HostIndex,
    },
    /// `require_tls`: answer with [`RouteTable::redirect_to_https`].
    TlsRequired {
        /// Which.
        host: HostIndex,
    },
    /// The first route that matches.
    Route(RouteRef),
}

/// Where a request goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Choice {
    /// The cluster; it is configured.
    pub cluster: ClusterId,
    /// Which of the weighted clusters it was.
    pub weighted: Option<u32>,
}

/// What formats may ask for beside the request head, which is being changed meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// Numbers so far.
    pub record: &'a Record,
    /// Name of the listener.
    pub listener: &'a str,
    /// Name of the cluster.
    pub cluster: &'a str,
    /// Host name of this machine.
    pub hostname: &'a str,
    /// Whether a rewritten path is kept in `x-envoy-original-path`.
    pub original_path: OriginalPath,
}

/// What becomes of the path that a rewrite replaces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OriginalPath {
    /// It goes into `x-envoy-original-path`.
    Keep,
    /// It is dropped (`suppress_envoy_headers`).
    Drop,
}

impl RouteTable {
    /// Compiles a configuration, or says everything that is wrong with it.
    pub fn compile(config: RouteConfig) -> Result<Self, Vec<RouteError>> {
        Self::compile_with(config, index::Worth::default())
    }

    fn compile_with(config: RouteConfig, worth: index::Worth) -> Result<Self, Vec<RouteError>> {
        let mut errors = Vec::new();
        let domains = domains::Domains::compile(&config.virtual_hosts, &mut errors);
        check::check(&config, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        let hosts = config.virtual_hosts.iter();
        let indexes = hosts
            .map(|host| index::Index::compile(&host.routes, worth))
            .collect();
        Ok(Self {
            config,
            domains,
            indexes,
        })
    }

    /// Name of the route configuration.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// The configuration that it was compiled from.
    pub fn config(&self) -> &RouteConfig {
        &self.config
    }

    /// The virtual host.
    ///
    /// # Panics
    /// If the index is of another table.
    pub fn host(&self, host: HostIndex) -> &VirtualHost {
        &self.config.virtual_hosts[host.0 as usize]
    }

    /// The route.
    ///
    /// # Panics
    /// If the reference is of another table.
    pub fn route(&self, route: RouteRef) -> &Route {
        &self.host(route.host).routes[route.index as usize]
    }

    /// The first route that matches. The scheme must already be that of the client's side of the
    /// way (N08).
    pub fn find(&self, request: &RequestHead, chance: &mut Chance) -> Lookup {
        let authority = request.authority();
        let Some(host) = self.domains.find(authority, self.config.ignore_port) else {
            return Lookup::NoHost;
        };
        if lacks_tls(self.host(host).require_tls, request) {
            return Lookup::TlsRequired { host };
        }
        self.first_match(host, request, chance, |_| ())
    }

    /// The first candidate whose conditions hold; `examined` sees every candidate that is looked
    /// at.
    fn first_match(
        &self,
        host: HostIndex,
        request: &RequestHead,
        chance: &mut Chance,
        mut examined: impl FnMut(u32),
    ) -> Lookup {
        // A request without a path (CONNECT) takes no route that asks for one.
        if request.target().is_empty() {
            return Lookup::NoRoute { host };
        }
        let routes = &self.host(host).routes;
        let mut dice = matching::Dice::new(chance);
        for index in self.indexes[host.0 as usize].candidates(request) {
            examined(index);
            if matching::candidate(&routes[index as usize].matcher, request, &mut dice) {
                return Lookup::Route(RouteRef { host, index });
            }
        }
        Lookup::NoRoute { host }
    }

    /// Where the request goes. Fails with [`Cause::NoCluster`] if that is not configured, and with
    /// [`Cause::NoRoute`] if the route does not forward.
    pub fn choose(
        &self,
        route: RouteRef,
        request: &RequestHead,
        snapshot: &Snapshot,
        chance: &mut Chance,
    ) -> Result<Choice, Cause> {
        let Action::Forward(forward) = &self.route(route).action else {
            return Err(Cause::NoRoute);
        };
        let (cluster, weighted) = match &forward.cluster {
            ClusterChoice::One(cluster) => (Some(*cluster), None),
            ClusterChoice::Header(name) => (named_cluster(name, request, snapshot), None),
            ClusterChoice::Weighted { clusters, total } => {
                let index = draw(clusters, chance.below(u64::from(*total)));
                (Some(clusters[index].cluster), Some(index as u32))
            }
        };
        match cluster.filter(|&cluster| snapshot.cluster(cluster).is_some()) {
            Some(cluster) => Ok(Choice { cluster, weighted }),
            None => Err(Cause::NoCluster(forward.not_found_status)),
        }
    }

    /// Makes the client's request the origin's: header edits of every level, then the authority,
    /// then the path, as Envoy does. The target must still be the client's. `scratch` is
    /// overwritten. Fails if the result is larger than limits.rs allows.
    pub fn rewrite_request(
        &self,
        route: RouteRef,
        choice: Choice,
        request: &mut RequestHead,
        around: &Around<'_>,
        scratch: &mut Vec<u8>,
    ) -> Result<(), Cause> {
        let Some(forward) = self.forward(route) else {
            return Ok(());
        };
        let weighted = weighted_choice(forward, choice.weighted);
        let host = self.host(route.host);
        let names = (&*self.route(route).name, &*host.name);
        for edits in self.levels(route, weighted, |changes| &changes.request) {
            edit::edit_request(edits, request, (around, names), scratch)?;
        }
        if let Some(literal) = weighted.and_then(|weighted| weighted.host_rewrite.as_deref()) {
            rewrite::set_authority(request, literal.as_bytes(), false);
        }
        rewrite::authority(forward, request, scratch)?;
        let matched = &self.route(route).matcher.path;
        rewrite::target(forward, matched, request, around.original_path, scratch)
    }

    /// `auto_host_rewrite`: puts the endpoint's host name in place once it is picked; does nothing
    /// if the route does not ask for it.
    pub fn rewrite_host_auto(&self, route: RouteRef, hostname: &str, request: &mut RequestHead) {
        let Some(forward) = self.forward(route) else {
            return;
        };
        if matches!(forward.host_rewrite, HostRewrite::Auto) && !hostname.is_empty() {
            let keep = forward.append_forwarded_host;
            rewrite::set_authority(request, hostname.as_bytes(), keep);
        }
    }

    /// Header edits of every level on the way to the client. `facts.response` is not looked at: it
    /// is the head that is edited. `scratch` is overwritten. A level whose values together are
    /// larger than limits.rs allows adds nothing.
    pub fn edit_response(
        &self,
        route: RouteRef,
        choice: Option<Choice>,
        response: &mut ResponseHead,
        facts: &Facts<'_>,
        scratch: &mut Vec<u8>,
    ) {
        let weighted = self.weighted(route, choice);
        for edits in self.levels(route, weighted, |changes| &changes.response) {
            edit::edit_response(edits, response, facts, scratch);
        }
    }

    /// True if [`RouteTable::edit_response`] would have something to do: its facts cost more than
    /// this question.
    pub fn edits_response(&self, route: RouteRef, choice: Option<Choice>) -> bool {
        let weighted = self.weighted(route, choice);
        let mut levels = self.levels(route, weighted, |changes| &changes.response);
        levels.any(|edits| !(edits.add.is_empty() && edits.remove.is_empty()))
    }

    fn weighted(&self, route: RouteRef, choice: Option<Choice>) -> Option<&WeightedCluster> {
        weighted_choice(self.forward(route)?, choice?.weighted)
    }

    /// Writes the value of `location` for a redirect and returns the status (500 if the route is
    /// none).
    pub fn redirect(&self, route: RouteRef, request: &RequestHead, out: &mut Vec<u8>) -> u16 {
        let route = self.route(route);
        let Action::Redirect(redirect) = &route.action else {
            debug_assert!(false, "the route is not a redirect");
            return 500;
        };
        redirect::location(redirect, &route.matcher.path, request, out);
        redirect.status
    }

    /// Writes the value of `location` for [`Lookup::TlsRequired`] and returns the status.
    pub fn redirect_to_https(request: &RequestHead, out: &mut Vec<u8>) -> u16 {
        redirect::https(request, out);
        301
    }

    fn forward(&self, route: RouteRef) -> Option<&Forward> {
        match &self.route(route).action {
            Action::Forward(forward) => Some(forward),
            _ => None,
        }
    }

    /// Edits in the order in which they are applied: the weighted cluster's always come first.
    fn levels<'a>(
        &'a self,
        route: RouteRef,
        weighted: Option<&'a WeightedCluster>,
        side: impl Fn(&'a crate::config::route::HeaderChanges) -> &'a HeaderEdits,
    ) -> impl Iterator<Item = &'a HeaderEdits> {
        let mut levels = [
            &self.route(route).headers,
            &self.host(route.host).headers,
            &self.config.headers,
        ];
        if self.config.most_specific_wins {
            levels.reverse();
        }
        let first = weighted.map(|weighted| &weighted.headers);
        first.into_iter().chain(levels).map(side)
    }
}

/// Every client is external, see `forwarded.rs`.
fn lacks_tls(require: RequireTls, request: &RequestHead) -> bool {
    match require {
        RequireTls::None => false,
        RequireTls::ExternalOnly | RequireTls::All => !request.secure,
    }
}

/// The cluster that the first field called `name` names.
fn named_cluster(name: &str, request: &RequestHead, snapshot: &Snapshot) -> Option<ClusterId> {
    let value = request.fields.value_by_name(name.as_bytes())?;
    let value = std::str::from_utf8(value).ok()?;
    snapshot.cluster_ids.get(value).copied()
}

/// The cluster whose share `value`, below the sum of the weights, falls into.
fn draw(clusters: &[WeightedCluster], value: u64) -> usize {
    let mut end = 0;
    let found = clusters.iter().position(|cluster| {
        end += u64::from(cluster.weight);
        value < end
    });
    found.unwrap_or(0)
}

fn weighted_choice(forward: &Forward, index: Option<u32>) -> Option<&WeightedCluster> {
    match &forward.cluster {
        ClusterChoice::Weighted { clusters, .. } => clusters.get(index? as usize),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
