//! Header fields: spans over one growing arena, names in lower case, order kept.

use super::HeaderId;

/// A range of an arena. Only meaningful with the [`Fields`] that made it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Span {
    start: u32,
    len: u32,
}

impl Span {
    /// True if it has no bytes.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Number of bytes.
    pub fn len(self) -> usize {
        self.len as usize
    }

    /// The first `len` bytes of it; a shorter one stays as it is.
    #[must_use]
    pub fn prefix(self, len: usize) -> Self {
        Self {
            start: self.start,
            len: self.len.min(len as u32),
        }
    }
}

/// One field: name in lower case, value without surrounding whitespace.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Known name, or [`HeaderId::Other`].
    pub id: HeaderId,
    /// Name.
    pub name: Span,
    /// Value.
    pub value: Span,
    /// It came with the wish that nobody on the way compresses it by reference (RFC 7541 section
    /// 7.1.3), which binds us too.
    pub never_indexed: bool,
}

impl Field {
    fn new(id: HeaderId, name: Span, value: Span) -> Self {
        Self {
            id,
            name,
            value,
            never_indexed: false,
        }
    }
}

/// Fields in the order of the message, and the arena that their text lives in.
///
/// Changing a value appends to the arena; the arena is bounded because heads, header mutations and
/// rewrites are.
#[derive(Debug, Default)]
pub struct Fields {
    arena: Vec<u8>,
    list: Vec<Field>,
}

impl Fields {
    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.list.clear();
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.arena.capacity() + self.list.capacity() * size_of::<Field>()
    }

    /// Starts anew with `head` as the arena, so that spans of it are its own offsets.
    #[inline]
    pub(crate) fn load(&mut self, head: &[u8]) {
        self.list.clear();
        self.arena.clear();
        self.arena.extend_from_slice(head);
    }

    /// The span of `len` bytes of the arena from `start` on.
    #[inline]
    pub(crate) fn span(&self, start: usize, len: usize) -> Span {
        debug_assert!(start + len <= self.arena.len(), "span outside the arena");
        Span {
            start: start as u32,
            len: len as u32,
        }
    }

    /// Turns the text of a span into lower case where it stands and returns it.
    #[inline]
    pub(crate) fn lower(&mut self, span: Span) -> &[u8] {
        let text = &mut self.arena[span.start as usize..(span.start + span.len) as usize];
        text.make_ascii_lowercase();
        text
    }

    /// Adds a field whose text is in the arena already; the name is in lower case.
    #[inline]
    pub(crate) fn push_spans(&mut self, id: HeaderId, name: Span, value: Span) {
        self.list.push(Field::new(id, name, value));
    }

    /// The arena, for a decoder that writes to its end.
    #[inline]
    pub(crate) fn arena_mut(&mut self) -> &mut Vec<u8> {
        &mut self.arena
    }

    /// Adds a field as it came: its text is in the arena, its name in lower case.
    #[inline]
    pub(crate) fn push_received(
        &mut self,
        id: HeaderId,
        name: Span,
        value: Span,
        never_indexed: bool,
    ) {
        self.list.push(Field {
            id,
            name,
            value,
            never_indexed,
        });
    }

    /// Copies `text` into the arena.
    pub fn store(&mut self, text: &[u8]) -> Span {
        let start = self.arena.len() as u32;
        self.arena.extend_from_slice(text);
        Span {
            start,
            len: text.len() as u32,
        }
    }

    /// Copies two texts into the arena as one.
    pub fn store_joined(&mut self, first: &[u8], second: &[u8]) -> Span {
        let first = self.store(first);
        let second = self.store(second);
        Span {
            start: first.start,
            len: first.len + second.len,
        }
    }

    /// Copies `name` into the arena in lower case.
    pub fn store_lower(&mut self, name: &[u8]) -> Span {
        let span = self.store(name);
        self.arena[span.start as usize..].make_ascii_lowercase();
        span
    }

    /// The text of a span of this arena.
    #[inline]
    pub fn text(&self, span: Span) -> &[u8] {
        &self.arena[span.start as usize..(span.start + span.len) as usize]
    }

    /// Bytes of text in the arena; more than the fields have, if some were removed or changed.
    pub fn text_len(&self) -> usize {
        self.arena.len()
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// True if there is no field.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All fields in order.
    pub fn list(&self) -> &[Field] {
        &self.list
    }

    /// Name and value of all fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.list
            .iter()
            .map(|field| (self.text(field.name), self.text(field.value)))
    }

    /// Adds a field at the end. The name is taken in lower case.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let name = self.store_lower(name);
        let id = HeaderId::of(self.text(name));
        let value = self.store(value);
        self.list.push(Field::new(id, name, value));
    }

    /// Adds a field whose name is known.
    pub fn push_known(&mut self, id: HeaderId, value: &[u8]) {
        let name = self.store(id.name());
        let value = self.store(value);
        self.list.push(Field::new(id, name, value));
    }

    /// First value of a known field.
    #[inline]
    pub fn value(&self, id: HeaderId) -> Option<&[u8]> {
        self.list
            .iter()
            .find(|field| field.id == id)
            .map(|field| self.text(field.value))
    }

    /// First value of the field called `name` (lower case).
    pub fn value_by_name<'a>(&'a self, name: &[u8]) -> Option<&'a [u8]> {
        self.values_by_name(name).next()
    }

    /// All values of the field called `name` (lower case).
    pub fn values_by_name<'a, 'n>(
        &'a self,
        name: &'n [u8],
    ) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let id = HeaderId::of(name);
        self.list
            .iter()
            .filter(move |field| {
                field.id == id && (id != HeaderId::Other || self.text(field.name) == name)
            })
            .map(|field| self.text(field.value))
    }

    /// Removes every field with this known name; true if there was one.
    pub fn remove(&mut self, id: HeaderId) -> bool {
        let before = self.list.len();
        self.list.retain(|field| field.id != id);
        before != self.list.len()
    }

    /// Removes every field called `name` (lower case); true if there was one.
    pub fn remove_by_name(&mut self, name: &[u8]) -> bool {
        let id = HeaderId::of(name);
        if id != HeaderId::Other {
            return self.remove(id);
        }
        let (arena, before) = (&self.arena, self.list.len());
        self.list.retain(|field| {
            let span = field.name;
            &arena[span.start as usize..(span.start + span.len) as usize] != name
        });
        before != self.list.len()
    }

    /// Removes every field whose id is one that `drop` names.
    pub fn remove_ids(&mut self, drop: impl Fn(HeaderId) -> bool) {
        self.list.retain(|field| !drop(field.id));
    }

    /// Removes the field at `index`; the order of the others stays.
    ///
    /// # Panics
    /// If there is no such field.
    pub fn remove_at(&mut self, index: usize) {
        self.list.remove(index);
    }

    /// Removes every field for which `drop` says so.
    pub fn remove_if(&mut self, mut drop: impl FnMut(HeaderId, &[u8], &[u8]) -> bool) {
        let arena = &self.arena;
        let text = |span: Span| &arena[span.start as usize..(span.start + span.len) as usize];
        self.list
            .retain(|field| !drop(field.id, text(field.name), text(field.value)));
    }

    /// Replaces all fields of this known name by one.
    pub fn set(&mut self, id: HeaderId, value: &[u8]) {
        self.remove(id);
        self.push_known(id, value);
    }

    /// Replaces all fields of this known name by one, whose value `write` appends to what it gets.
    pub(crate) fn set_with(&mut self, id: HeaderId, write: impl FnOnce(&mut Vec<u8>)) {
        self.remove(id);
        self.push_written(id, self.arena.len(), write);
    }

    /// Joins all fields of this known name to one list, behind which `write` appends an element.
    pub(crate) fn append_to_list(&mut self, id: HeaderId, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.arena.len();
        for field in self.list.iter().filter(|field| field.id == id) {
            let span = field.value;
            let text = span.start as usize..(span.start + span.len) as usize;
            self.arena.extend_from_within(text);
            self.arena.push(b',');
        }
        self.remove(id);
        self.push_written(id, start, write);
    }

    /// Replaces all fields of this known name by one, with their values and `between` between them.
    pub(crate) fn join(&mut self, id: HeaderId, between: &[u8]) {
        let start = self.arena.len();
        let mut never_indexed = false;
        for field in self.list.iter().filter(|field| field.id == id) {
            let span = field.value;
            if self.arena.len() > start {
                self.arena.extend_from_slice(between);
            }
            let text = span.start as usize..(span.start + span.len) as usize;
            self.arena.extend_from_within(text);
            never_indexed |= field.never_indexed;
        }
        self.remove(id);
        self.push_written(id, start, |_| {});
        if let Some(joined) = self.list.last_mut() {
            joined.never_indexed = never_indexed;
        }
    }

    /// A field whose value is the arena from `start` on and what `write` appends to it.
    fn push_written(&mut self, id: HeaderId, start: usize, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.arena);
        let value = self.span(start, self.arena.len() - start);
        let name = self.store(id.name());
        self.list.push(Field::new(id, name, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_order_and_lower_case() {
        let mut fields = Fields::default();
        fields.push(b"Host", b"a");
        fields.push(b"X-One", b"1");
        fields.push(b"x-one", b"2");
        assert_eq!(fields.value(HeaderId::Host), Some(&b"a"[..]));
        assert_eq!(
            fields.values_by_name(b"x-one").collect::<Vec<_>>(),
            [b"1", b"2"]
        );
        assert!(fields.remove_by_name(b"x-one"));
        fields.set(HeaderId::Host, b"b");
        assert_eq!(
            fields.iter().collect::<Vec<_>>(),
            [(&b"host"[..], &b"b"[..])]
        );
    }
}
