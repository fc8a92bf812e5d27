//! Reading a body off a connection: by length, by chunks or to the end.
//!
//! Used by both ends: the origin reads requests with it, the load client reads responses.

/// How much of a body is still to come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Body {
    /// So many bytes.
    Bytes(u64),
    /// A chunk-size line comes next.
    ChunkLine,
    /// So many bytes of this chunk, then CRLF.
    ChunkData(u64),
    /// The CRLF behind a chunk.
    ChunkEnd,
    /// Trailer lines up to an empty one.
    Trailers,
    /// Everything until the connection ends.
    ToEnd,
}

/// The framing is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Malformed;

/// Longest chunk-size or trailer line that is read.
const LINE_MAX: usize = 4096;

impl Body {
    /// True if nothing is missing.
    pub(crate) fn is_complete(self) -> bool {
        self == Self::Bytes(0)
    }

    /// Takes what it can from `input`: calls `data` with body bytes and returns how many bytes of
    /// `input` are used up. Stops behind the body's last byte.
    pub(crate) fn read(
        &mut self,
        input: &[u8],
        mut data: impl FnMut(&[u8]),
    ) -> Result<usize, Malformed> {
        let mut used = 0;
        while !self.is_complete() {
            let rest = &input[used..];
            let step = match *self {
                Self::Bytes(left) | Self::ChunkData(left) => self.plain(rest, left, &mut data),
                Self::ToEnd => {
                    data(rest);
                    rest.len()
                }
                Self::ChunkLine | Self::ChunkEnd | Self::Trailers => self.line(rest)?,
            };
            if step == 0 {
                break;
            }
            used += step;
        }
        Ok(used)
    }

    fn plain(&mut self, rest: &[u8], left: u64, data: &mut impl FnMut(&[u8])) -> usize {
        let count = (rest.len() as u64).min(left) as usize;
        if count > 0 {
            data(&rest[..count]);
        }
        let left = left - count as u64;
        *self = match self {
            Self::ChunkData(_) if left == 0 => Self::ChunkEnd,
            Self::ChunkData(_) => Self::ChunkData(left),
            _ => Self::Bytes(left),
        };
        count
    }

    /// Takes one line; 0 if it is not complete yet.
    fn line(&mut self, rest: &[u8]) -> Result<usize, Malformed> {
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else {
            return if rest.len() > LINE_MAX {
                Err(Malformed)
            } else {
                Ok(0)
            };
        };
        *self = match (*self, &rest[..end]) {
            (Self::ChunkLine, size) => match chunk_size(size)? {
                0 => Self::Trailers,
                size => Self::ChunkData(size),
            },
            (Self::ChunkEnd, []) => Self::ChunkLine,
            (Self::ChunkEnd, _) => return Err(Malformed),
            (_, []) => Self::Bytes(0),
            (state, _) => state,
        };
        Ok(end + 2)
    }
}

fn chunk_size(line: &[u8]) -> Result<u64, Malformed> {
    let digits = line.split(|&byte| byte == b';').next().unwrap_or(line);
    let digits = std::str::from_utf8(digits).map_err(|_| Malformed)?;
    u64::from_str_radix(digits, 16).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use super::{Body, Malformed};

    #[track_caller]
    fn check(mut body: Body, input: &[u8], expect: Result<(usize, &str, bool), Malformed>) {
        let mut data = Vec::new();
        let used = body.read(input, |bytes| data.extend_from_slice(bytes));
        let text = std::str::from_utf8(&data).unwrap();
        assert_eq!(used.map(|used| (used, text, body.is_complete())), expect);
    }

    #[test]
    fn bodies_end_where_they_say() {
        check(Body::Bytes(3), b"abcdef", Ok((3, "abc", true)));
        check(Body::Bytes(3), b"ab", Ok((2, "ab", false)));
        check(Body::ToEnd, b"abc", Ok((3, "abc", false)));
        let chunks = b"3\r\nabc\r\n2;x\r\nde\r\n0\r\nt: 1\r\n\r\nGET";
        check(Body::ChunkLine, chunks, Ok((28, "abcde", true)));
        check(Body::ChunkLine, b"3\r\nabc\r", Ok((6, "abc", false)));
        check(Body::ChunkLine, b"3\r\nabcd\r\n", Err(Malformed));
        check(Body::ChunkLine, b"g\r\n", Err(Malformed));
    }

    #[test]
    fn bytes_may_come_one_by_one() {
        let (mut body, mut data) = (Body::ChunkLine, Vec::new());
        let mut waiting = Vec::new();
        for byte in b"3\r\nabc\r\n0\r\n\r\n" {
            waiting.push(*byte);
            let used = body.read(&waiting, |bytes| data.extend_from_slice(bytes));
            waiting.drain(..used.unwrap());
        }
        assert!(body.is_complete() && waiting.is_empty());
        assert_eq!(data, b"abc");
    }
}
