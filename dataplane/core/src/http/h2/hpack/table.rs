//! The static and the dynamic table (RFC 7541 sections 2.3 and 4, appendix A).
//!
//! The dynamic table is one block of text that grows on need, with its entries behind it in order
//! of age. Text of evicted entries is cut off when it is half of the block, so that an entry costs
//! a constant amount of moving.

use std::collections::VecDeque;

use super::Error;
use super::name::{Name, Pseudo, is_good_value};
use crate::http::HeaderId;

/// Entries of the static table.
pub(super) const STATIC_LEN: usize = 61;
/// Size of both dynamic tables until settings say otherwise (RFC 9113 section 6.5.2).
pub(super) const SIZE_INITIAL: usize = 4096;
/// What an entry counts beside its text (section 4.1).
pub(crate) const ENTRY_OVERHEAD: usize = 32;

/// A field as a table has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    pub(super) class: Name,
    /// D02 holds for the value.
    pub(super) value_is_good: bool,
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
}

/// Entries of the dynamic table, newest first when counted by index.
#[derive(Debug)]
pub(super) struct Table {
    text: Vec<u8>,
    /// Oldest first.
    entries: VecDeque<Entry>,
    size: usize,
    size_max: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    name_len: u32,
    value_len: u32,
    hash: u32,
    class: Name,
    value_is_good: bool,
}

impl Entry {
    fn size(&self) -> usize {
        self.text_len() + ENTRY_OVERHEAD
    }

    fn text_len(&self) -> usize {
        self.name_len as usize + self.value_len as usize
    }
}

impl Table {
    /// An empty table of at most `size_max` bytes by the count of section 4.1.
    pub(super) fn new(size_max: usize) -> Self {
        Self {
            text: Vec::new(),
            entries: VecDeque::new(),
            size: 0,
            size_max,
        }
    }

    /// The field at an index of the joint address space (section 2.3.3).
    #[inline]
    pub(super) fn field(&self, index: u32) -> Result<Known<'_>, Error> {
        let index = index as usize;
        match STATIC.get(index.wrapping_sub(1)) {
            Some(known) => Ok(*known),
            None if index == 0 => Err(Error::Index),
            None => self.entry(index - STATIC_LEN - 1),
        }
    }

    fn entry(&self, age: usize) -> Result<Known<'_>, Error> {
        let from_oldest = self.entries.len().checked_sub(age + 1);
        let entry = from_oldest.and_then(|at| self.entries.get(at));
        Ok(self.known(entry.ok_or(Error::Index)?))
    }

    fn known(&self, entry: &Entry) -> Known<'_> {
        let text = &self.text[entry.start as usize..][..entry.text_len()];
        let (name, value) = text.split_at(entry.name_len as usize);
        Known {
            class: entry.class,
            value_is_good: entry.value_is_good,
            name,
            value,
        }
    }

    /// Index of a field with this hash and text.
    pub(super) fn find(&self, hash: u32, name: &[u8], value: &[u8]) -> Option<u32> {
        let newest_first = self.entries.iter().rev();
        let age = newest_first
            .enumerate()
            .filter(|(_, entry)| entry.hash == hash)
            .find(|(_, entry)| {
                let known = self.known(entry);
                known.name == name && known.value == value
            })?
            .0;
        Some((STATIC_LEN + 1 + age) as u32)
    }

    /// Adds a field; one that is larger than the table empties it (section 4.4).
    pub(super) fn insert(&mut self, field: Known<'_>, hash: u32) {
        let text_len = field.name.len() + field.value.len();
        let size = text_len + ENTRY_OVERHEAD;
        if size > self.size_max {
            return self.evict_to(0);
        }
        self.evict_to(self.size_max - size);
        self.compact();
        self.entries.push_back(Entry {
            start: self.text.len() as u32,
            name_len: field.name.len() as u32,
            value_len: field.value.len() as u32,
            hash,
            class: field.class,
            value_is_good: field.value_is_good,
        });
        self.text.extend_from_slice(field.name);
        self.text.extend_from_slice(field.value);
        self.size += size;
    }

    /// Changes the bound (section 4.3).
    pub(super) fn resize(&mut self, size_max: usize) {
        self.size_max = size_max;
        self.evict_to(size_max);
    }

    pub(super) fn size_max(&self) -> usize {
        self.size_max
    }

    fn evict_to(&mut self, size: usize) {
        while self.size > size {
            let Some(entry) = self.entries.pop_front() else {
                return;
            };
            self.size -= entry.size();
        }
    }

    fn compact(&mut self) {
        let start = match self.entries.front() {
            Some(oldest) => oldest.start,
            None => return self.text.clear(),
        };
        if (start as usize) * 2 >= self.text.len() {
            self.cut(start);
        }
    }

    fn cut(&mut self, start: u32) {
        self.text.drain(..start as usize);
        for entry in &mut self.entries {
            entry.start -= start;
        }
    }

    /// Gives back what the entries do not need.
    pub(super) fn shrink(&mut self) {
        match self.entries.front() {
            Some(oldest) => self.cut(oldest.start),
            None => self.text.clear(),
        }
        self.text.shrink_to_fit();
        self.entries.shrink_to_fit();
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.text.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.size
    }
}

impl<'a> Known<'a> {
    /// A field that came as text.
    pub(super) fn literal(class: Name, name: &'a [u8], value: &'a [u8]) -> Self {
        Self {
            class,
            value_is_good: is_good_value(value),
            name,
            value,
        }
    }
}

const fn pseudo(pseudo: Pseudo, name: &'static [u8], value: &'static [u8]) -> Known<'static> {
    Known {
        class: Name::Pseudo(pseudo),
        value_is_good: true,
        name,
        value,
    }
}

const fn regular(id: HeaderId, name: &'static [u8], value: &'static [u8]) -> Known<'static> {
    Known {
        class: Name::Regular(id),
        value_is_good: true,
        name,
        value,
    }
}

const STATIC: [Known<'static>; STATIC_LEN] = [
    pseudo(Pseudo::Authority, b":authority", b""),
    pseudo(Pseudo::Method, b":method", b"GET"),
    pseudo(Pseudo::Method, b":method", b"POST"),
    pseudo(Pseudo::Path, b":path", b"/"),
    pseudo(Pseudo::Path, b":path", b"/index.html"),
    pseudo(Pseudo::Scheme, b":scheme", b"http"),
    pseudo(Pseudo::Scheme, b":scheme", b"https"),
    pseudo(Pseudo::Status, b":status", b"200"),
    pseudo(Pseudo::Status, b":status", b"204"),
    pseudo(Pseudo::Status, b":status", b"206"),
    pseudo(Pseudo::Status, b":status", b"304"),
    pseudo(Pseudo::Status, b":status", b"400"),
    pseudo(Pseudo::Status, b":status", b"404"),
    pseudo(Pseudo::Status, b":status", b"500"),
    regular(HeaderId::Other, b"accept-charset", b""),
    regular(
        HeaderId::AcceptEncoding,
        b"accept-encoding",
        b"gzip, deflate",
    ),
    regular(HeaderId::Other, b"accept-language", b""),
    regular(HeaderId::Other, b"accept-ranges", b""),
    regular(HeaderId::Accept, b"accept", b""),
    regular(HeaderId::Other, b"access-control-allow-origin", b""),
    regular(HeaderId::Other, b"age", b""),
    regular(HeaderId::Other, b"allow", b""),
    regular(HeaderId::Authorization, b"authorization", b""),
    regular(HeaderId::CacheControl, b"cache-control", b""),
    regular(HeaderId::Other, b"content-disposition", b""),
    regular(HeaderId::Other, b"content-encoding", b""),
    regular(HeaderId::Other, b"content-language", b""),
    regular(HeaderId::ContentLength, b"content-length", b""),
    regular(HeaderId::Other, b"content-location", b""),
    regular(HeaderId::Other, b"content-range", b""),
    regular(HeaderId::ContentType, b"content-type", b""),
    regular(HeaderId::Cookie, b"cookie", b""),
    regular(HeaderId::Date, b"date", b""),
    regular(HeaderId::Other, b"etag", b""),
    regular(HeaderId::Expect, b"expect", b""),
    regular(HeaderId::Other, b"expires", b""),
    regular(HeaderId::Other, b"from", b""),
    regular(HeaderId::Host, b"host", b""),
    regular(HeaderId::Other, b"if-match", b""),
    regular(HeaderId::Other, b"if-modified-since", b""),
    regular(HeaderId::Other, b"if-none-match", b""),
    regular(HeaderId::Other, b"if-range", b""),
    regular(HeaderId::Other, b"if-unmodified-since", b""),
    regular(HeaderId::Other, b"last-modified", b""),
    regular(HeaderId::Other, b"link", b""),
    regular(HeaderId::Location, b"location", b""),
    regular(HeaderId::Other, b"max-forwards", b""),
    regular(HeaderId::ProxyAuthenticate, b"proxy-authenticate", b""),
    regular(HeaderId::ProxyAuthorization, b"proxy-authorization", b""),
    regular(HeaderId::Other, b"range", b""),
    regular(HeaderId::Referer, b"referer", b""),
    regular(HeaderId::Other, b"refresh", b""),
    regular(HeaderId::Other, b"retry-after", b""),
    regular(HeaderId::Server, b"server", b""),
    regular(HeaderId::SetCookie, b"set-cookie", b""),
    regular(HeaderId::Other, b"strict-transport-security", b""),
    regular(HeaderId::TransferEncoding, b"transfer-encoding", b""),
    regular(HeaderId::UserAgent, b"user-agent", b""),
    regular(HeaderId::Other, b"vary", b""),
    regular(HeaderId::Via, b"via", b""),
    regular(HeaderId::Other, b"www-authenticate", b""),
];

/// The first index in the static table of a name.
pub(super) fn static_name(name: &[u8]) -> Option<u32> {
    Some(match name {
        b"accept-charset" => 15,
        b"accept-encoding" => 16,
        b"accept-language" => 17,
        b"accept-ranges" => 18,
        b"accept" => 19,
        b"access-control-allow-origin" => 20,
        b"age" => 21,
        b"allow" => 22,
        b"authorization" => 23,
        b"cache-control" => 24,
        b"content-disposition" => 25,
        b"content-encoding" => 26,
        b"content-language" => 27,
        b"content-length" => 28,
        b"content-location" => 29,
        b"content-range" => 30,
        b"content-type" => 31,
        b"cookie" => 32,
        b"date" => 33,
        b"etag" => 34,
        b"expect" => 35,
        b"expires" => 36,
        b"from" => 37,
        b"host" => 38,
        b"if-match" => 39,
        b"if-modified-since" => 40,
        b"if-none-match" => 41,
        b"if-range" => 42,
        b"if-unmodified-since" => 43,
        b"last-modified" => 44,
        b"link" => 45,
        b"location" => 46,
        b"max-forwards" => 47,
        b"proxy-authenticate" => 48,
        b"proxy-authorization" => 49,
        b"range" => 50,
        b"referer" => 51,
        b"refresh" => 52,
        b"retry-after" => 53,
        b"server" => 54,
        b"set-cookie" => 55,
        b"strict-transport-security" => 56,
        b"transfer-encoding" => 57,
        b"user-agent" => 58,
        b"vary" => 59,
        b"via" => 60,
        b"www-authenticate" => 61,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field<'a>(name: &'a [u8], value: &'a [u8]) -> Known<'a> {
        Known::literal(Name::of(name), name, value)
    }

    #[test]
    fn the_static_table_is_classified() {
        for known in &STATIC {
            assert_eq!(known.class, Name::of(known.name));
            if !known.name.starts_with(b":") {
                let index = static_name(known.name).expect("it is in the table");
                assert_eq!(STATIC[index as usize - 1].name, known.name);
            }
        }
    }

    #[test]
    fn h10_indexes_that_nobody_has() {
        let mut table = Table::new(100);
        assert_eq!(table.field(0).err(), Some(Error::Index));
        assert_eq!(table.field(62).err(), Some(Error::Index));
        table.insert(field(b"a", b"b"), 0);
        assert_eq!(table.field(62).unwrap().value, b"b");
        assert_eq!(table.field(63).err(), Some(Error::Index));
        assert_eq!(table.field(u32::MAX).err(), Some(Error::Index));
    }

    #[test]
    fn old_entries_make_room_and_memory_stays() {
        let mut table = Table::new(4096);
        for round in 0..10_000u32 {
            let value = vec![b'v'; (round % 90) as usize];
            table.insert(field(format!("name-{round}").as_bytes(), &value), round);
            assert!(table.size() <= 4096);
        }
        assert!(table.memory() <= 20_000, "{}", table.memory());
        assert!(table.find(9_999, b"name-9999", &[b'v'; 9]).is_some());
        table.shrink();
        assert!(table.memory() <= 4096, "{}", table.memory());
        assert_eq!(table.field(62).unwrap().name, b"name-9999");
        table.insert(field(&[b'n'; 5000], b""), 0);
        assert_eq!(table.size(), 0);
    }
}
