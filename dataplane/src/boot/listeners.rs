//! Which addresses are bound, and which a new snapshot asks for.

use std::net::SocketAddr;

use penstock_core::config::{ListenerId, Snapshot};
use penstock_runtime::listen::{self, BindError, Sharing};
use penstock_runtime::{ListenGroup, ListenOptions};

use crate::admin::Listening;

/// What is bound now, in the order of the listeners.
#[derive(Debug, Default)]
pub(super) struct Bound {
    listeners: Vec<BoundListener>,
}

#[derive(Clone, Debug)]
struct BoundListener {
    id: ListenerId,
    name: Box<str>,
    /// As configured.
    address: SocketAddr,
    /// Port 0 resolved.
    actual: SocketAddr,
    backlog: Option<u32>,
}

/// The step from what is bound to what a snapshot asks for.
#[derive(Debug)]
pub(super) struct Step {
    after: Bound,
    /// New sockets for the workers; what stays keeps its own.
    pub(super) groups: Vec<ListenGroup>,
}

impl Bound {
    /// Binds what `snapshot` has and this has not. Nothing is closed here: the workers close the
    /// sockets of listeners that are gone when they take the snapshot.
    pub(super) fn step(&self, snapshot: &Snapshot, workers: usize) -> Result<Step, BindError> {
        let mut step = Step {
            after: Bound::default(),
            groups: Vec::new(),
        };
        for listener in snapshot.listeners.iter().flatten() {
            let wanted = BoundListener {
                id: listener.id,
                name: listener.name.clone(),
                address: listener.address,
                actual: listener.address,
                backlog: listener.backlog,
            };
            self.step_one(wanted, workers, &mut step)?;
        }
        Ok(step)
    }

    fn step_one(
        &self,
        mut wanted: BoundListener,
        workers: usize,
        step: &mut Step,
    ) -> Result<(), BindError> {
        match self.kept(&wanted) {
            Some(kept) => keep(&mut wanted, kept),
            None => {
                let group = listen::bind(
                    wanted.id,
                    wanted.address,
                    workers,
                    &options(&wanted),
                    self.sharing(wanted.address),
                )?;
                wanted.actual = group.address;
                step.groups.push(group);
            }
        }
        step.after.listeners.push(wanted);
        Ok(())
    }

    fn kept(&self, wanted: &BoundListener) -> Option<&BoundListener> {
        self.listeners
            .iter()
            .find(|bound| bound.id == wanted.id && bound.address == wanted.address)
    }

    /// An address may pass from one of our listeners to another within one step.
    fn sharing(&self, address: SocketAddr) -> Sharing {
        match self.listeners.iter().any(|bound| bound.actual == address) {
            true => Sharing::Allowed,
            false => Sharing::Refused,
        }
    }

    /// Names and addresses.
    pub(super) fn listening(&self) -> Vec<Listening> {
        let listeners = self.listeners.iter();
        listeners
            .map(|bound| Listening {
                name: bound.name.clone(),
                address: bound.actual,
            })
            .collect()
    }
}

impl Step {
    /// What is bound after it, and the sockets that lead there.
    pub(super) fn into_parts(self) -> (Bound, Vec<ListenGroup>) {
        (self.after, self.groups)
    }
}

/// A socket that stays keeps its backlog: another one is taken with another socket only.
fn keep(wanted: &mut BoundListener, kept: &BoundListener) {
    wanted.actual = kept.actual;
    if wanted.backlog != kept.backlog {
        tracing::warn!(
            listener = %wanted.name,
            "tcp_backlog_size changes with a restart or another address only"
        );
        wanted.backlog = kept.backlog;
    }
}

fn options(wanted: &BoundListener) -> ListenOptions {
    let default = ListenOptions::default();
    ListenOptions {
        backlog: wanted.backlog.unwrap_or(default.backlog),
        ..default
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fixture;

    fn snapshot(backlog: Option<u32>) -> Snapshot {
        let mut listener = fixture::listener(0, "a", "a");
        let alone = Arc::get_mut(&mut listener).unwrap();
        alone.address.set_port(0);
        alone.backlog = backlog;
        Snapshot {
            listeners: vec![Some(listener)],
            ..Snapshot::default()
        }
    }

    #[test]
    fn a_socket_has_the_backlog_that_was_asked_for_when_it_was_bound() {
        let step = Bound::default().step(&snapshot(Some(7)), 1).unwrap();
        let (bound, groups) = step.into_parts();
        assert_eq!(groups.len(), 1);
        assert_eq!(options(&bound.listeners[0]).backlog, 7);
        let (after, groups) = bound.step(&snapshot(Some(9)), 1).unwrap().into_parts();
        assert!(groups.is_empty());
        assert_eq!(options(&after.listeners[0]).backlog, 7);
        assert_eq!(after.listeners[0].actual, bound.listeners[0].actual);
    }

    #[test]
    fn without_a_backlog_the_kernel_decides() {
        let step = Bound::default().step(&snapshot(None), 1).unwrap();
        let (bound, _) = step.into_parts();
        assert_eq!(options(&bound.listeners[0]).backlog, i32::MAX as u32);
    }
}
