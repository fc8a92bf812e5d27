//! The Huffman code of RFC 7541 appendix B.
//!
//! The code is canonical: codes of one length are consecutive and in the order of their symbols.
//! So the lengths say everything; codes and decoding tables are computed from them when this file
//! is compiled. Codes of up to ten bits, which is nearly all text, decode by one look-up; a longer
//! one by its distance from the first code of its length.

use super::Error;

/// Bits of each symbol's code; the last one is the end of the string, which is never sent.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30,
    28, 28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5,
    7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22,
    22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23,
    22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22,
    21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26,
    26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20,
    24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27,
    27, 28, 27, 27, 27, 27, 27, 26, 30,
];
/// The symbol of the end.
const END: u16 = 256;
const LENGTH_MAX: usize = 30;
/// Bits that one look-up covers.
const FAST_BITS: u32 = 10;

/// Symbols in the order of their codes; for each length where its symbols begin, its first code
/// and how many there are.
struct Canonical {
    symbols: [u16; 257],
    begins: [u16; LENGTH_MAX + 1],
    first: [u32; LENGTH_MAX + 1],
    count: [u16; LENGTH_MAX + 1],
}

static CANONICAL: Canonical = canonical();
static CODES: [u32; 257] = codes();
/// Symbol, and above it the bits of its code; zero where the code is longer than the look-up.
static FAST: [u16; 1 << FAST_BITS] = fast();

const fn canonical() -> Canonical {
    let mut made = Canonical {
        symbols: [0; 257],
        begins: [0; LENGTH_MAX + 1],
        first: [0; LENGTH_MAX + 1],
        count: [0; LENGTH_MAX + 1],
    };
    let (mut length, mut code, mut placed) = (1, 0u32, 0);
    while length <= LENGTH_MAX {
        code <<= 1;
        made.begins[length] = placed;
        made.first[length] = code;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                made.symbols[placed as usize] = symbol as u16;
                made.count[length] += 1;
                placed += 1;
                code += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    made
}

const fn codes() -> [u32; 257] {
    let made = canonical();
    let mut codes = [0; 257];
    let mut length = 1;
    while length <= LENGTH_MAX {
        let mut index = 0;
        while index < made.count[length] {
            let symbol = made.symbols[(made.begins[length] + index) as usize];
            codes[symbol as usize] = made.first[length] + index as u32;
            index += 1;
        }
        length += 1;
    }
    codes
}

const fn fast() -> [u16; 1 << FAST_BITS] {
    let codes = codes();
    let mut table = [0; 1 << FAST_BITS];
    let mut symbol = 0;
    while symbol < 256 {
        let length = LENGTHS[symbol] as u32;
        if length <= FAST_BITS {
            let spare = FAST_BITS - length;
            let begin = (codes[symbol] << spare) as usize;
            let mut at = begin;
            while at < begin + (1 << spare) {
                table[at] = symbol as u16 | (length as u16) << 8;
                at += 1;
            }
        }
        symbol += 1;
    }
    table
}

/// Appends what `bytes` stand for to `out`.
///
/// # Errors
/// [`Error::Huffman`] for the end symbol, and for padding that is longer than seven bits or not all
/// ones (H10).
pub(super) fn decode(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    out.reserve(bytes.len() * 8 / 5);
    // The bits at hand stand at the top of the word, zeros below them.
    let (mut word, mut held) = (0u64, 0u32);
    let mut rest = bytes;
    loop {
        fill(&mut rest, &mut word, &mut held);
        if held == 0 {
            return Ok(());
        }
        let entry = FAST[(word >> (64 - FAST_BITS)) as usize];
        let (symbol, length) = match u32::from(entry >> 8) {
            0 => long(word)?,
            length => (entry as u8, length),
        };
        if length > held {
            return padding(word, held);
        }
        out.push(symbol);
        word <<= length;
        held -= length;
    }
}

/// Puts as many octets as fit behind the bits at hand.
#[inline]
fn fill(rest: &mut &[u8], word: &mut u64, held: &mut u32) {
    if *held > 32 {
        return;
    }
    if let Some((four, behind)) = rest.split_first_chunk::<4>() {
        *word |= u64::from(u32::from_be_bytes(*four)) << (32 - *held);
        *held += 32;
        *rest = behind;
        return;
    }
    while let Some((&byte, behind)) = rest.split_first() {
        *word |= u64::from(byte) << (56 - *held);
        *held += 8;
        *rest = behind;
    }
}

/// A code of more than [`FAST_BITS`] bits. Zeros behind the last bit at hand may stand in it; the
/// caller sees that by its length.
fn long(word: u64) -> Result<(u8, u32), Error> {
    for length in FAST_BITS as usize + 1..=LENGTH_MAX {
        let code = (word >> (64 - length)) as u32;
        let distance = code.wrapping_sub(CANONICAL.first[length]);
        if distance < u32::from(CANONICAL.count[length]) {
            let at = usize::from(CANONICAL.begins[length]) + distance as usize;
            return match CANONICAL.symbols[at] {
                END => Err(Error::Huffman),
                symbol => Ok((symbol as u8, length as u32)),
            };
        }
    }
    Err(Error::Huffman)
}

/// The last bits of a string: fewer than eight ones.
fn padding(word: u64, held: u32) -> Result<(), Error> {
    let ones = u64::MAX << (64 - held);
    if held < 8 && word == ones {
        return Ok(());
    }
    Err(Error::Huffman)
}

/// Octets that the code of `text` takes.
pub(super) fn encoded_len(text: &[u8]) -> usize {
    let bits: usize = text
        .iter()
        .map(|&byte| usize::from(LENGTHS[byte as usize]))
        .sum();
    bits.div_ceil(8)
}

/// Appends the code of `text`.
pub(super) fn encode(text: &[u8], out: &mut Vec<u8>) {
    // The bits not yet written stand at the bottom of the word, fewer than 32 of them.
    let (mut word, mut held) = (0u64, 0u32);
    for &byte in text {
        let length = u32::from(LENGTHS[byte as usize]);
        word = word << length | u64::from(CODES[byte as usize]);
        held += length;
        if held >= 32 {
            held -= 32;
            out.extend_from_slice(&((word >> held) as u32).to_be_bytes());
        }
    }
    while held >= 8 {
        held -= 8;
        out.push((word >> held) as u8);
    }
    if held > 0 {
        out.push((word << (8 - held)) as u8 | 0xff >> held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8]) {
        let (mut coded, mut again) = (Vec::new(), Vec::new());
        encode(text, &mut coded);
        assert_eq!(coded.len(), encoded_len(text));
        decode(&coded, &mut again).expect("what was encoded decodes");
        assert_eq!(again, text);
    }

    #[test]
    fn codes_are_those_of_the_appendix() {
        for (symbol, code) in [(b'0', 0x0), (b'a', 0x3), (b' ', 0x14), (b'}', 0x3ffd)] {
            assert_eq!(CODES[symbol as usize], code);
        }
        assert_eq!(CODES[0], 0x1ff8);
        assert_eq!(CODES[249], 0xffffffe);
        assert_eq!(CODES[END as usize], 0x3fff_ffff);
    }

    #[test]
    fn every_symbol_comes_back() {
        for byte in 0..=255 {
            for len in 0..9 {
                check(&vec![byte; len]);
                check(&[&vec![byte; len][..], b"/a"].concat());
            }
        }
        check(&(0..=255).collect::<Vec<u8>>());
    }

    #[test]
    fn h10_padding_and_end_of_string() {
        let decoded = |bytes: &[u8]| decode(bytes, &mut Vec::new());
        assert_eq!(decoded(&[0b0001_1111]), Ok(()));
        assert_eq!(decoded(&[0b0001_1110]), Err(Error::Huffman));
        assert_eq!(decoded(&[0b0001_1000]), Err(Error::Huffman));
        assert_eq!(decoded(&[0b0001_1111, 0xff]), Err(Error::Huffman));
        assert_eq!(decoded(&[0xff]), Err(Error::Huffman));
        assert_eq!(decoded(&[0xff; 4]), Err(Error::Huffman));
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xfe]), Err(Error::Huffman));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        for first in 0..=255u8 {
            for second in 0..=255u8 {
                let _ = decode(&[first, second, second, first, second], &mut Vec::new());
            }
        }
    }
}
