//! Earliest deadline first: endpoints in turn, by weight.
//!
//! Every endpoint has a deadline in virtual time that moves on by `SCALE * heaviest / weight`
//! whenever it is picked, so that one with twice the weight comes twice as often, and evenly
//! spread. A pick costs O(log n) and allocates nothing. Deadlines wrap; they never lie further
//! apart than half the range of `u64`.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::chance::Chance;

use super::endpoint::EndpointKey;

/// Virtual time between two picks of the heaviest endpoint.
const SCALE: u64 = 1 << 20;
/// Longest way that one deadline may move: `SCALE * u32::MAX` and a load factor must stay
/// comparable.
const STEP_MAX: u64 = 1 << 61;

/// Endpoints by deadline.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    heap: BinaryHeap<Entry>,
    now: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    deadline: u64,
    step: u64,
    /// Breaks ties, so that the order is that of the configuration.
    position: u32,
    /// Not yet given a place in time.
    fresh: bool,
    key: EndpointKey,
}

impl Schedule {
    /// A schedule of these weights. Endpoints that `previous` knew keep their place in the turn.
    pub(super) fn new(weighted: &[(EndpointKey, u32)], previous: Option<Schedule>) -> Self {
        let heaviest = weighted
            .iter()
            .map(|&(_, weight)| weight)
            .max()
            .unwrap_or(1);
        let kept = previous.map(Schedule::into_places).unwrap_or_default();
        let entries = weighted.iter().zip(0..).map(|(&(key, weight), position)| {
            let step = SCALE * u64::from(heaviest) / u64::from(weight.max(1));
            let place = kept
                .binary_search_by_key(&key.0.slot, |&(key, _)| key.0.slot)
                .ok()
                .map(|index| kept[index])
                .filter(|&(known, _)| known == key);
            Entry {
                deadline: place.map_or(0, |(_, share)| scale(step, share)),
                step,
                position,
                fresh: place.is_none(),
                key,
            }
        });
        Self {
            heap: entries.collect(),
            now: 0,
        }
    }

    /// Puts endpoints that are new at a random place of their step, so that workers do not move in
    /// lockstep.
    pub(super) fn start(&mut self, chance: &mut Chance) {
        let mut entries = std::mem::take(&mut self.heap).into_vec();
        entries.sort_unstable_by_key(|entry| entry.position);
        for entry in entries.iter_mut().filter(|entry| entry.fresh) {
            entry.deadline = self.now.wrapping_add(chance.below(entry.step));
            entry.fresh = false;
        }
        self.heap = entries.into();
    }

    /// The endpoint whose turn it is. `load` stretches its way to the next turn: 1 for plain
    /// weights.
    #[inline]
    pub(super) fn pick(&mut self, load: impl FnOnce(EndpointKey) -> u64) -> Option<EndpointKey> {
        let mut first = self.heap.peek_mut()?;
        let key = first.key;
        let way = first.step.saturating_mul(load(key)).min(STEP_MAX);
        self.now = first.deadline;
        first.deadline = first.deadline.wrapping_add(way);
        Some(key)
    }

    /// Who was how far from its turn, in 1/65536 of a step, by slot.
    fn into_places(self) -> Vec<(EndpointKey, u64)> {
        let now = self.now;
        let mut places: Vec<_> = self
            .heap
            .into_vec()
            .into_iter()
            .filter(|entry| !entry.fresh)
            .map(|entry| {
                let left = u128::from(entry.deadline.wrapping_sub(now)) << 16;
                (entry.key, (left / u128::from(entry.step)) as u64)
            })
            .collect();
        places.sort_unstable_by_key(|&(key, _)| key.0.slot);
        places
    }
}

fn scale(step: u64, share: u64) -> u64 {
    let deadline = (u128::from(step) * u128::from(share)) >> 16;
    deadline.min(u128::from(STEP_MAX)) as u64
}

impl Ord for Entry {
    /// The earliest deadline is the greatest, since the heap is a max-heap.
    fn cmp(&self, other: &Self) -> Ordering {
        let apart = other.deadline.wrapping_sub(self.deadline) as i64;
        apart.cmp(&0).then(other.position.cmp(&self.position))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}
