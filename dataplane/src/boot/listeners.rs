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
            Some(kept) => wanted.actual = kept.actual,
            None => {
                let group = listen::bind(
                    wanted.id,
                    wanted.address,
                    workers,
                    &ListenOptions::default(),
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
