//! Decodes header blocks as they arrive, one representation after the other (RFC 7541 section 6).

use super::name::Name;
use super::table::{Known, SIZE_INITIAL, Table};
use super::{Error, huffman, integer};

/// Size updates at the start of one block (H10).
const SIZE_UPDATES_MAX: u8 = 2;

/// Where decoded fields go. Text is written to the end of the arena, name first; then the field is
/// announced and the text is the sink's.
pub(crate) trait Sink {
    /// The arena.
    fn arena(&mut self) -> &mut Vec<u8>;

    /// False if fields are only counted, because the head is refused already. Their text need not
    /// be written then.
    fn wants_text(&self) -> bool;

    /// A field whose text stands at the end of the arena, if it was written.
    ///
    /// # Errors
    /// [`Error::Ceiling`] if the block has gone on for too long.
    fn field(&mut self, field: Decoded) -> Result<(), Error>;
}

/// One decoded field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decoded {
    pub(crate) class: Name,
    pub(crate) name_len: usize,
    pub(crate) value_len: usize,
    pub(crate) value_is_good: bool,
    pub(crate) never_indexed: bool,
}

/// The decoding side of a connection.
#[derive(Debug)]
pub(crate) struct Decoder {
    table: Table,
    /// What our settings say.
    announced: usize,
    /// What holds: the other side need not know our settings before it acknowledged them.
    size_limit: usize,
    /// Size updates since the start of the block; above the maximum once a field was seen.
    updates: u8,
}

impl Decoder {
    /// A decoder for a connection that announces `size` as SETTINGS_HEADER_TABLE_SIZE.
    pub(crate) fn new(size: usize) -> Self {
        Self {
            table: Table::new(SIZE_INITIAL),
            announced: size,
            size_limit: size.max(SIZE_INITIAL),
            updates: 0,
        }
    }

    /// Our settings are known to the other side: a larger table must be cut before the next field
    /// (section 4.2).
    pub(crate) fn acknowledged(&mut self) {
        self.size_limit = self.announced;
    }

    /// A new block begins.
    pub(crate) fn begin(&mut self) {
        self.updates = 0;
    }

    /// Decodes the complete representations at the start of `bytes` into `sink`; returns how many
    /// bytes they take.
    ///
    /// # Errors
    /// See [`Error`].
    pub(crate) fn decode(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<usize, Error> {
        let mut at = 0;
        while let Some(&first) = bytes.get(at) {
            let taken = match first {
                0x80.. => self.indexed(&bytes[at..], sink)?,
                0x40.. => self.literal(&bytes[at..], 6, Indexing::Add, sink)?,
                0x20.. => self.size_update(&bytes[at..])?,
                0x10.. => self.literal(&bytes[at..], 4, Indexing::Never, sink)?,
                _ => self.literal(&bytes[at..], 4, Indexing::None, sink)?,
            };
            match taken {
                Some(taken) => at += taken,
                None => break,
            }
        }
        Ok(at)
    }

    /// Section 6.1.
    #[inline]
    fn indexed(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<Option<usize>, Error> {
        let Some((index, taken)) = integer::decode(7, bytes)? else {
            return Ok(None);
        };
        self.field_begins()?;
        let known = self.table.field(index)?;
        // A refused block must not make us copy a large entry for each of its octets.
        if sink.wants_text() {
            let arena = sink.arena();
            arena.extend_from_slice(known.name);
            arena.extend_from_slice(known.value);
        }
        sink.field(decoded(known, false))?;
        Ok(Some(taken))
    }

    /// Section 6.2.
    fn literal(
        &mut self,
        bytes: &[u8],
        prefix_bits: u32,
        indexing: Indexing,
        sink: &mut impl Sink,
    ) -> Result<Option<usize>, Error> {
        let Some(parts) = Literal::split(prefix_bits, bytes)? else {
            return Ok(None);
        };
        self.field_begins()?;
        let start = sink.arena().len();
        let class = self.put_name(&parts, sink.arena())?;
        let middle = sink.arena().len();
        parts.value.put(sink.arena())?;
        let (name, value) = sink.arena()[start..].split_at(middle - start);
        let field = Known::literal(class, name, value);
        let found = decoded(field, indexing == Indexing::Never);
        if indexing == Indexing::Add {
            self.table.insert(field, 0);
        }
        if !sink.wants_text() {
            sink.arena().truncate(start);
        }
        sink.field(found)?;
        Ok(Some(parts.taken))
    }

    #[inline]
    fn field_begins(&mut self) -> Result<(), Error> {
        self.updates = u8::MAX;
        if self.table.size_max() > self.size_limit {
            return Err(Error::SizeUpdate);
        }
        Ok(())
    }

    fn put_name(&self, parts: &Literal<'_>, arena: &mut Vec<u8>) -> Result<Name, Error> {
        if let Some(name) = &parts.name {
            let start = arena.len();
            name.put(arena)?;
            return Ok(Name::of(&arena[start..]));
        }
        let known = self.table.field(parts.index)?;
        arena.extend_from_slice(known.name);
        Ok(known.class)
    }

    /// Section 6.3: only at the start of a block, and within what we announced.
    fn size_update(&mut self, bytes: &[u8]) -> Result<Option<usize>, Error> {
        let Some((size, taken)) = integer::decode(5, bytes)? else {
            return Ok(None);
        };
        let size = size as usize;
        if self.updates >= SIZE_UPDATES_MAX || size > self.size_limit {
            return Err(Error::SizeUpdate);
        }
        self.updates += 1;
        self.table.resize(size);
        Ok(Some(taken))
    }

    /// Gives back what the table does not need.
    pub(crate) fn shrink(&mut self) {
        self.table.shrink();
    }

    /// Bytes of memory held.
    pub(crate) fn memory(&self) -> usize {
        self.table.memory()
    }

    #[cfg(test)]
    pub(super) fn table(&self) -> &Table {
        &self.table
    }
}

fn decoded(field: Known<'_>, never_indexed: bool) -> Decoded {
    Decoded {
        class: field.class,
        name_len: field.name.len(),
        value_len: field.value.len(),
        value_is_good: field.value_is_good,
        never_indexed,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Indexing {
    Add,
    None,
    Never,
}

/// The parts of a literal that is there as a whole.
struct Literal<'a> {
    index: u32,
    /// If `index` is 0.
    name: Option<Text<'a>>,
    value: Text<'a>,
    taken: usize,
}

impl<'a> Literal<'a> {
    fn split(prefix_bits: u32, bytes: &'a [u8]) -> Result<Option<Self>, Error> {
        let Some((index, mut taken)) = integer::decode(prefix_bits, bytes)? else {
            return Ok(None);
        };
        let mut name = None;
        if index == 0 {
            let Some((text, len)) = Text::split(&bytes[taken..])? else {
                return Ok(None);
            };
            name = Some(text);
            taken += len;
        }
        let Some((value, len)) = Text::split(&bytes[taken..])? else {
            return Ok(None);
        };
        taken += len;
        Ok(Some(Self {
            index,
            name,
            value,
            taken,
        }))
    }
}

/// A string literal (section 5.2).
struct Text<'a> {
    huffman: bool,
    octets: &'a [u8],
}

impl<'a> Text<'a> {
    fn split(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, Error> {
        let Some((len, taken)) = integer::decode(7, bytes)? else {
            return Ok(None);
        };
        let octets = bytes[taken..].get(..len as usize);
        Ok(octets.map(|octets| {
            let huffman = bytes[0] & 0x80 != 0;
            (Self { huffman, octets }, taken + octets.len())
        }))
    }

    fn put(&self, arena: &mut Vec<u8>) -> Result<(), Error> {
        if self.huffman {
            return huffman::decode(self.octets, arena);
        }
        arena.extend_from_slice(self.octets);
        Ok(())
    }
}
