//! Integers with a prefix (RFC 7541 section 5.1).

use super::Error;

/// Continuation octets of an integer (H10): enough for every value that means something.
const OCTETS_MAX: usize = 5;

/// Reads an integer whose first octet has `prefix_bits` for it. Returns the value and the octets
/// that it took; `None` if it goes on behind `bytes`.
///
/// # Errors
/// [`Error::Integer`] if it takes more octets or bits than any integer here may.
#[inline]
pub(super) fn decode(prefix_bits: u32, bytes: &[u8]) -> Result<Option<(u32, usize)>, Error> {
    let Some(&first) = bytes.first() else {
        return Ok(None);
    };
    let prefix = (1u32 << prefix_bits) - 1;
    let value = u32::from(first) & prefix;
    if value < prefix {
        return Ok(Some((value, 1)));
    }
    decode_rest(prefix, &bytes[1..])
}

fn decode_rest(prefix: u32, bytes: &[u8]) -> Result<Option<(u32, usize)>, Error> {
    let mut value = u64::from(prefix);
    for (index, &byte) in bytes.iter().enumerate() {
        if index == OCTETS_MAX {
            return Err(Error::Integer);
        }
        value += u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).map_err(|_| Error::Integer)?;
            return Ok(Some((value, index + 2)));
        }
    }
    match bytes.len() {
        0..=OCTETS_MAX => Ok(None),
        _ => Err(Error::Integer),
    }
}

/// Appends an integer; `first` holds the bits above the prefix.
#[inline]
pub(super) fn encode(prefix_bits: u32, first: u8, value: usize, out: &mut Vec<u8>) {
    let prefix = (1usize << prefix_bits) - 1;
    if value < prefix {
        return out.push(first | value as u8);
    }
    out.push(first | prefix as u8);
    let mut rest = value - prefix;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7541 appendix C.1.
    #[test]
    fn examples_of_the_rfc() {
        for (prefix_bits, value, bytes) in [
            (5, 10, &[0x0a][..]),
            (5, 1337, &[0x1f, 0x9a, 0x0a]),
            (8, 42, &[0x2a]),
        ] {
            let mut out = Vec::new();
            encode(prefix_bits, 0, value, &mut out);
            assert_eq!(out, bytes);
            let expect = Some((value as u32, bytes.len()));
            assert_eq!(decode(prefix_bits, bytes), Ok(expect));
        }
    }

    #[test]
    fn every_value_comes_back() {
        for prefix_bits in [4, 5, 6, 7] {
            for value in (0..300).chain([16_383, 16_384, u32::MAX as usize]) {
                let mut out = Vec::new();
                encode(prefix_bits, 0, value, &mut out);
                let expect = Ok(Some((value as u32, out.len())));
                assert_eq!(decode(prefix_bits, &out), expect);
                for len in 0..out.len() {
                    assert_eq!(decode(prefix_bits, &out[..len]), Ok(None));
                }
            }
        }
    }

    #[test]
    fn h10_integers_that_are_too_long() {
        let overlong = [0x1f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00];
        assert_eq!(decode(5, &overlong), Err(Error::Integer));
        assert_eq!(decode(5, &overlong[..6]), Ok(None));
        let too_large = [0x1f, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert_eq!(decode(5, &too_large), Err(Error::Integer));
    }
}
