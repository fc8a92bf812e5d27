//! Slots with generations: an id that outlived its value finds nothing.

/// Slot and generation of a value in a [`Slab`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Key {
    /// Index of the slot.
    pub slot: u32,
    /// Counts the uses of the slot.
    pub generation: u32,
}

/// Values in reusable slots, at most `limit` of them.
#[derive(Debug)]
pub struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    len: usize,
    limit: usize,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Slab<T> {
    /// An empty slab of at most `limit` values.
    pub fn new(limit: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            len: 0,
            limit: limit.min(u32::MAX as usize),
        }
    }

    /// Makes a value that knows its key; `None` if the slab is full.
    pub fn insert_with(&mut self, make: impl FnOnce(Key) -> T) -> Option<Key> {
        let slot = self.vacant_slot()?;
        let entry = &mut self.slots[slot as usize];
        let key = Key {
            slot,
            generation: entry.generation,
        };
        entry.value = Some(make(key));
        self.len += 1;
        Some(key)
    }

    /// The value, if the key is current.
    #[inline]
    pub fn find(&self, key: Key) -> Option<&T> {
        let entry = self.slots.get(key.slot as usize)?;
        if entry.generation == key.generation {
            entry.value.as_ref()
        } else {
            None
        }
    }

    /// The value, writable, if the key is current.
    #[inline]
    pub fn find_mut(&mut self, key: Key) -> Option<&mut T> {
        let entry = self.slots.get_mut(key.slot as usize)?;
        if entry.generation == key.generation {
            entry.value.as_mut()
        } else {
            None
        }
    }

    /// Whoever is in a slot now.
    pub fn occupant(&mut self, slot: u32) -> Option<(Key, &mut T)> {
        let entry = self.slots.get_mut(slot as usize)?;
        let generation = entry.generation;
        let value = entry.value.as_mut()?;
        Some((Key { slot, generation }, value))
    }

    /// Takes the value out and frees its slot.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let entry = self.slots.get_mut(key.slot as usize)?;
        if entry.generation != key.generation {
            return None;
        }
        let value = entry.value.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(key.slot);
        self.len -= 1;
        Some(value)
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Slots so far, vacant ones included.
    pub fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All values in slot order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| slot.value.as_ref())
    }

    /// All values in slot order, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().filter_map(|slot| slot.value.as_mut())
    }

    fn vacant_slot(&mut self) -> Option<u32> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        if self.slots.len() == self.limit {
            return None;
        }
        self.slots.push(Slot {
            generation: 0,
            value: None,
        });
        Some(self.slots.len() as u32 - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_key_finds_nothing() {
        let mut slab = Slab::new(1);
        let first = slab.insert_with(|_| 'a').unwrap();
        assert!(slab.insert_with(|_| 'b').is_none());
        assert_eq!(slab.remove(first), Some('a'));
        let second = slab.insert_with(|_| 'b').unwrap();
        assert_eq!(slab.find(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.find(second), Some(&'b'));
        assert_eq!(slab.len(), 1);
    }
}
