//! What a driver knows of its connections, by slot; the generation guards against a slot's earlier
//! use.

use penstock_core::event::ConnId;

/// Connections by slot.
pub(super) struct Table<C> {
    entries: Vec<Option<(u32, C)>>,
}

impl<C> Default for Table<C> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
        }
    }
}

impl<C> Table<C> {
    #[inline]
    pub(super) fn find(&mut self, conn: ConnId) -> Option<&mut C> {
        match self.entries.get_mut(conn.slot as usize)? {
            Some((generation, connection)) if *generation == conn.generation => Some(connection),
            _ => None,
        }
    }

    /// Two different connections.
    pub(super) fn find_both(&mut self, one: ConnId, other: ConnId) -> Option<(&mut C, &mut C)> {
        let slots = [one.slot as usize, other.slot as usize];
        let [first, second] = self.entries.get_disjoint_mut(slots).ok()?;
        match (first, second) {
            (Some((a, first)), Some((b, second)))
                if *a == one.generation && *b == other.generation =>
            {
                Some((first, second))
            }
            _ => None,
        }
    }

    pub(super) fn insert(&mut self, conn: ConnId, connection: C) {
        let slot = conn.slot as usize;
        if slot >= self.entries.len() {
            self.entries.resize_with(slot + 1, || None);
        }
        debug_assert!(
            self.entries[slot].is_none(),
            "the slot is in use until Closed"
        );
        self.entries[slot] = Some((conn.generation, connection));
    }

    pub(super) fn remove(&mut self, conn: ConnId) -> Option<C> {
        self.find(conn)?;
        let entry = self.entries[conn.slot as usize].take();
        entry.map(|(_, connection)| connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_generation_finds_nothing() {
        let mut table = Table::default();
        let old = ConnId {
            slot: 3,
            generation: 1,
        };
        let new = ConnId {
            slot: 3,
            generation: 2,
        };
        table.insert(old, 'a');
        assert_eq!(table.remove(new), None);
        assert_eq!(table.remove(old), Some('a'));
        table.insert(new, 'b');
        assert_eq!(table.find(old), None);
        assert_eq!(table.find(new), Some(&mut 'b'));
    }
}
