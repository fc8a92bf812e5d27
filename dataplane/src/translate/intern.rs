//! Names to numbers that stay the same over all configurations.

use std::collections::HashMap;

/// Numbers in the order in which names came; a number is never given to another name, since state
/// on the workers may still be keyed by it.
#[derive(Debug, Default)]
pub(super) struct Interner {
    ids: HashMap<Box<str>, u32>,
}

impl Interner {
    /// The number of a name, the same one every time.
    ///
    /// # Panics
    /// After 2^32 names, which no file of the allowed size can bring in this life.
    pub(super) fn id(&mut self, name: &str) -> u32 {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = u32::try_from(self.ids.len()).expect("fewer than 2^32 names");
        self.ids.insert(name.into(), id);
        id
    }

    /// Numbers given so far.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }
}
