//! How bytes from outside are written so that no reader of a line or field takes them for
//! structure.

/// Where the bytes go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Escape {
    /// A line of text: quotes, backslashes, control characters and invalid UTF-8 become `\"`, `\\`,
    /// `\n` or `\x1b`.
    Log,
    /// Inside a JSON string (RFC 8259 section 7); invalid UTF-8 becomes U+FFFD.
    Json,
    /// A field value (RFC 9110 section 5.5): control bytes but the tab are left out.
    Header,
}

impl Escape {
    /// Appends `bytes`.
    pub(super) fn append(self, bytes: &[u8], out: &mut Vec<u8>) {
        if bytes.iter().copied().all(is_plain) {
            return out.extend_from_slice(bytes);
        }
        match self {
            Self::Header => out.extend(bytes.iter().filter(|byte| is_field_byte(**byte))),
            Self::Log | Self::Json => self.append_characters(bytes, out),
        }
    }

    fn append_characters(self, bytes: &[u8], out: &mut Vec<u8>) {
        for chunk in bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                self.append_character(character, out);
            }
            match self {
                Self::Json if !chunk.invalid().is_empty() => {
                    out.extend_from_slice("\u{fffd}".as_bytes());
                }
                _ => chunk.invalid().iter().for_each(|&byte| hex(byte, out)),
            }
        }
    }

    fn append_character(self, character: char, out: &mut Vec<u8>) {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            _ if !misleads(character) => {
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            // Every character that misleads is below U+10000: one escape is enough.
            _ if self == Self::Json => {
                let [high, low] = (character as u16).to_be_bytes();
                out.extend_from_slice(b"\\u");
                digits(high, out);
                digits(low, out);
            }
            _ => {
                let mut bytes = [0; 4];
                let text = character.encode_utf8(&mut bytes);
                text.bytes().for_each(|byte| hex(byte, out));
            }
        }
    }
}

/// Needs no care anywhere.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

fn is_field_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Control characters (C0, DEL, C1), line separators, and marks that turn the direction of text:
/// they make a terminal or an editor show something else than what is there.
fn misleads(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

fn hex(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\x");
    digits(byte, out);
}

fn digits(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(DIGITS[usize::from(byte >> 4)]);
    out.push(DIGITS[usize::from(byte & 15)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(escape: Escape, bytes: &[u8], expect: &str) {
        let mut out = Vec::new();
        escape.append(bytes, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expect);
    }

    #[test]
    fn log_lines() {
        check(Escape::Log, b"plain text/1?x=y", "plain text/1?x=y");
        check(Escape::Log, b"a\"b\\c", r#"a\"b\\c"#);
        check(
            Escape::Log,
            b"a\r\nb\tc\x1b[31m\0\x7f",
            r"a\r\nb\tc\x1b[31m\x00\x7f",
        );
        check(
            Escape::Log,
            "gr\u{fc}n \u{9b}".as_bytes(),
            "gr\u{fc}n \\xc2\\x9b",
        );
        check(Escape::Log, b"\xff\xc3(", r"\xff\xc3(");
        check(
            Escape::Log,
            "\u{202e}x\u{2028}".as_bytes(),
            r"\xe2\x80\xaex\xe2\x80\xa8",
        );
    }

    #[test]
    fn json_strings() {
        check(Escape::Json, b"a\"b\\c\r\n\t", r#"a\"b\\c\r\n\t"#);
        check(Escape::Json, b"\x1b\0\x7f", r"\u001b\u0000\u007f");
        check(Escape::Json, b"a\xffb\xe2\x82", "a\u{fffd}b\u{fffd}");
        check(
            Escape::Json,
            "\u{9b}\u{2028}\u{1f600}".as_bytes(),
            "\\u009b\\u2028\u{1f600}",
        );
    }

    #[test]
    fn header_values() {
        check(Escape::Header, b"a\r\nb: c\0\x7f\t\"\\", "ab: c\t\"\\");
        check(Escape::Header, "gr\u{fc}n".as_bytes(), "gr\u{fc}n");
    }
}
