//! The operations in flight and what they own: a slab of records named by `user_data`.

use std::num::NonZeroU64;

use super::Flight;
use super::loan::Loan;
use super::parcel::Parcel;
use crate::address::RawAddress;

/// Set in the names of cancels; no slab has so many records that it were part of an index.
const CANCEL: u64 = 1 << 31;

/// True for the names that cancels have.
pub(super) fn is_cancel(name: u64) -> bool {
    name & CANCEL != 0
}

/// What an operation owns until its final completion.
pub(super) enum Cargo {
    /// Nothing.
    None,
    /// Nothing, but its results are descriptors.
    Accept,
    /// What it sends.
    Send(Loan<Parcel>),
    /// Where it connects to.
    Address(#[expect(dead_code, reason = "held for the kernel alone")] Loan<RawAddress>),
}

struct Record {
    generation: u32,
    /// `None` in free records.
    flight: Option<(u64, Cargo)>,
}

/// All records.
#[derive(Default)]
pub(super) struct Flights {
    records: Vec<Record>,
    free: Vec<u32>,
}

impl Flights {
    /// Operations in flight.
    pub(super) fn len(&self) -> usize {
        self.records.len() - self.free.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Records a new operation.
    pub(super) fn take_off(&mut self, token: u64, cargo: Cargo) -> Flight {
        let index = self.free.pop().unwrap_or_else(|| {
            self.records.push(Record {
                generation: 0,
                flight: None,
            });
            (self.records.len() - 1) as u32
        });
        let record = &mut self.records[index as usize];
        debug_assert_eq!(u64::from(index) & CANCEL, 0, "the bit is taken");
        // Generations start at 1 and skip 0, so that no flight is named 0.
        record.generation = record.generation.checked_add(1).unwrap_or(1);
        record.flight = Some((token, cargo));
        let name = u64::from(record.generation) << 32 | u64::from(index);
        Flight(NonZeroU64::new(name).expect("the generation is not 0"))
    }

    /// The name by which the cancel of an operation is known.
    pub(super) fn cancel_name(flight: Flight) -> u64 {
        flight.0.get() | CANCEL
    }

    /// The operation that a cancel was for, if this is the name of a cancel and the operation is
    /// still in flight: then the cancel missed it.
    pub(super) fn missed(&self, name: u64) -> Option<Flight> {
        let flight = NonZeroU64::new(name & !CANCEL).filter(|_| name & CANCEL != 0)?;
        let record = self.records.get(flight.get() as u32 as usize)?;
        let same = u64::from(record.generation) == name >> 32 && record.flight.is_some();
        same.then_some(Flight(flight))
    }

    /// The token of an operation that has a completion; with its final one, also what it owned.
    ///
    /// # Panics
    /// If the kernel names an operation that is not in flight: then nothing about memory can be
    /// trusted.
    pub(super) fn land(&mut self, name: u64, more: bool) -> (u64, Cargo) {
        let index = name as u32;
        let record = self.records.get_mut(index as usize);
        let record = record.filter(|record| u64::from(record.generation) == name >> 32);
        let flight = record.and_then(|record| match (&record.flight, more) {
            // A multishot operation owns nothing but may yield descriptors.
            (Some((token, Cargo::Accept)), true) => Some((*token, Cargo::Accept)),
            (Some((token, _)), true) => Some((*token, Cargo::None)),
            _ => record.flight.take(),
        });
        if !more {
            self.free.push(index);
        }
        flight.expect("a completion for an operation in flight")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_not_used_again() {
        let mut flights = Flights::default();
        let first = flights.take_off(7, Cargo::None);
        assert!(matches!(
            flights.land(first.0.get(), true),
            (7, Cargo::None)
        ));
        assert!(matches!(
            flights.land(first.0.get(), false),
            (7, Cargo::None)
        ));
        assert!(flights.is_empty());
        let second = flights.take_off(8, Cargo::None);
        assert_ne!(first, second);
        assert_eq!(flights.len(), 1);
    }
}
