//! What a field name is: known once for each entry of a table, not once for each use of it.

use crate::http::HeaderId;

/// A field name, classified.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Name {
    /// A well-formed name of a regular field.
    Regular(HeaderId),
    /// A pseudo-header.
    Pseudo(Pseudo),
    /// D01: upper case, empty, or a byte that no name may have.
    Malformed,
}

/// Pseudo-headers (RFC 9113 section 8.3, RFC 8441 section 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pseudo {
    Method,
    Scheme,
    Authority,
    Path,
    Protocol,
    Status,
    /// Begins with a colon and is none of these.
    Unknown,
}

impl Pseudo {
    /// How many can mean something.
    pub(crate) const COUNT: usize = 6;
}

impl Name {
    /// The class of a name as it came.
    pub(crate) fn of(name: &[u8]) -> Self {
        if name.first() == Some(&b':') {
            return Self::Pseudo(pseudo(name));
        }
        match HeaderId::of(name) {
            HeaderId::Other if !is_well_formed(name) => Self::Malformed,
            id => Self::Regular(id),
        }
    }
}

fn pseudo(name: &[u8]) -> Pseudo {
    match name {
        b":method" => Pseudo::Method,
        b":scheme" => Pseudo::Scheme,
        b":authority" => Pseudo::Authority,
        b":path" => Pseudo::Path,
        b":protocol" => Pseudo::Protocol,
        b":status" => Pseudo::Status,
        _ => Pseudo::Unknown,
    }
}

fn is_well_formed(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&byte| NAME_BYTES[byte as usize])
}

/// D02: no control byte but HTAB, and no whitespace at either end.
pub(crate) fn is_good_value(value: &[u8]) -> bool {
    let control = |byte: u8| ((byte < b' ') & (byte != b'\t')) | (byte == 0x7f);
    let controls = value
        .iter()
        .fold(false, |found, &byte| found | control(byte));
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    !controls && !blank(value.first()) && !blank(value.last())
}

/// `tchar` without upper case.
const NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let others = b"!#$%&'*+-.^_`|~0123456789";
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    let mut letter = b'a';
    while letter <= b'z' {
        table[letter as usize] = true;
        letter += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d01_names() {
        assert_eq!(Name::of(b"cookie"), Name::Regular(HeaderId::Cookie));
        assert_eq!(Name::of(b"x-a_1"), Name::Regular(HeaderId::Other));
        assert_eq!(Name::of(b":path"), Name::Pseudo(Pseudo::Path));
        assert_eq!(Name::of(b":"), Name::Pseudo(Pseudo::Unknown));
        for name in ["", "Cookie", "a:", "a b", "a\0", "a\r", "\u{e9}", "a\u{7f}"] {
            assert_eq!(Name::of(name.as_bytes()), Name::Malformed, "{name:?}");
        }
    }

    #[test]
    fn d02_values() {
        for value in ["", "a", "a b\tc", "\u{e9}", "\""] {
            assert!(is_good_value(value.as_bytes()), "{value:?}");
        }
        for value in [" a", "a\t", "\n", "a\rb", "a\0b", "\u{7f}", " ", "a\x0bb"] {
            assert!(!is_good_value(value.as_bytes()), "{value:?}");
        }
    }
}
