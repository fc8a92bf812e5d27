//! Takes the body of one message out of the bytes of its connection, whatever frames it.

use super::ChunkedDecoder;
use crate::buffer::Buffer;
use crate::http::{BodyLength, Fields, Refusal};

/// Where the body of a message is. The number is what is still to come.
#[derive(Debug)]
pub enum BodyDecoder {
    /// There is no body.
    None,
    /// So many bytes.
    Bytes(u64),
    /// Chunks.
    Chunked(ChunkedDecoder),
    /// All bytes until the connection ends.
    ToClose,
}

/// What became of a buffer. Its window is the payload; it may be empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decoded {
    /// The message is complete.
    pub finished: bool,
    /// Start and end in the block of the bytes that lie behind the message. They are overwritten by
    /// whatever is appended to the window.
    pub rest: Option<(usize, usize)>,
}

impl BodyDecoder {
    /// A decoder for a body of this length.
    pub fn new(length: BodyLength) -> Self {
        match length {
            BodyLength::None => Self::None,
            BodyLength::Bytes(bytes) => Self::Bytes(bytes),
            BodyLength::Chunked => Self::Chunked(ChunkedDecoder::default()),
            BodyLength::ToClose => Self::ToClose,
        }
    }

    /// Narrows the window of `buffer` to the payload in it, contiguous and in order.
    ///
    /// # Errors
    /// F08-F12; the connection is of no use then.
    pub fn decode(&mut self, buffer: &mut Buffer) -> Result<Decoded, Refusal> {
        match self {
            Self::None => Ok(cut(buffer, 0)),
            Self::Bytes(remaining) => {
                let len = (*remaining).min(buffer.len() as u64);
                *remaining -= len;
                let decoded = cut(buffer, len as usize);
                Ok(Decoded {
                    finished: *remaining == 0,
                    ..decoded
                })
            }
            Self::Chunked(chunked) => chunked.decode(buffer),
            Self::ToClose => Ok(Decoded {
                finished: false,
                rest: None,
            }),
        }
    }

    /// Bytes still to come, if the body is nothing but a known number of them.
    pub fn remaining(&self) -> Option<u64> {
        match self {
            Self::Bytes(remaining) => Some(*remaining),
            _ => None,
        }
    }

    /// Counts bytes that passed by without being looked at.
    pub fn skip(&mut self, bytes: u64) {
        if let Self::Bytes(remaining) = self {
            debug_assert!(bytes <= *remaining, "more bytes passed than the body has");
            *remaining = remaining.saturating_sub(bytes);
        }
    }

    /// True when no byte of the body is awaited.
    pub fn is_finished(&self) -> bool {
        match self {
            Self::None | Self::Bytes(0) => true,
            Self::Bytes(_) | Self::ToClose => false,
            Self::Chunked(chunked) => chunked.is_finished(),
        }
    }

    /// Is the end of the stream the end of the body?
    ///
    /// # Errors
    /// [`Refusal::Truncated`] if bytes are missing (F16, R06).
    pub fn finish_at_eof(&self) -> Result<(), Refusal> {
        match self {
            Self::ToClose => Ok(()),
            _ if self.is_finished() => Ok(()),
            _ => Err(Refusal::Truncated),
        }
    }

    /// The trailers, if any came and were kept (F13).
    pub fn trailers(&self) -> Option<&Fields> {
        match self {
            Self::Chunked(chunked) => chunked.trailers(),
            _ => None,
        }
    }
}

/// Keeps the first `len` bytes of the window and reports the others.
fn cut(buffer: &mut Buffer, len: usize) -> Decoded {
    let window = buffer.window();
    buffer.truncate(len);
    let end = window.start + len;
    Decoded {
        finished: true,
        rest: (end < window.end).then_some((end, window.end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(bytes: &[u8]) -> Buffer {
        let mut buffer = Buffer::with_payload(bytes.len());
        buffer.fill_from(bytes);
        buffer
    }

    /// Decodes one buffer; payload, whether it is the end, and what lies behind.
    fn check(decoder: &mut BodyDecoder, bytes: &str, expect: (&str, bool, &str)) -> Buffer {
        let mut buffer = buffer(bytes.as_bytes());
        let decoded = decoder.decode(&mut buffer).expect("the body is good");
        let rest = decoded.rest.map_or(0..0, |(start, end)| start..end);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let found = (
            text(buffer.as_slice()),
            decoded.finished,
            text(buffer.block(rest)),
        );
        assert_eq!(
            found,
            (expect.0.into(), expect.1, expect.2.into()),
            "{bytes:?}"
        );
        buffer
    }

    #[test]
    fn lengths_cut_the_window() {
        let mut decoder = BodyDecoder::new(BodyLength::Bytes(5));
        check(&mut decoder, "hel", ("hel", false, ""));
        assert_eq!(decoder.finish_at_eof(), Err(Refusal::Truncated));
        check(&mut decoder, "loGET", ("lo", true, "GET"));
        check(&mut decoder, "more", ("", true, "more"));
        assert_eq!(decoder.finish_at_eof(), Ok(()));
        check(
            &mut BodyDecoder::new(BodyLength::None),
            "GET",
            ("", true, "GET"),
        );
        let mut to_close = BodyDecoder::new(BodyLength::ToClose);
        check(&mut to_close, "all", ("all", false, ""));
        assert_eq!(to_close.finish_at_eof(), Ok(()));
    }

    #[test]
    fn chunks_are_squeezed_together() {
        let mut decoder = BodyDecoder::new(BodyLength::Chunked);
        check(
            &mut decoder,
            "3\r\nabc\r\n2\r\nde\r\n5\r",
            ("abcde", false, ""),
        );
        check(&mut decoder, "\n", ("", false, ""));
        check(&mut decoder, "fghij\r\n0", ("fghij", false, ""));
        assert_eq!(decoder.finish_at_eof(), Err(Refusal::Truncated));
        check(&mut decoder, ";a\r\nB: 1\r\n\r\nGET", ("", true, "GET"));
        let trailers = decoder.trailers().expect("one trailer came");
        assert_eq!(
            trailers.iter().collect::<Vec<_>>(),
            [(&b"b"[..], &b"1"[..])]
        );
    }

    #[test]
    fn one_large_chunk_stays_where_it_is() {
        let mut decoder = BodyDecoder::new(BodyLength::Chunked);
        let bytes = format!("3e8\r\n{}\r\n0\r\n\r\n", "x".repeat(1000));
        let buffer = check(&mut decoder, &bytes, (&"x".repeat(1000), true, ""));
        let start = crate::buffer::HEADROOM + 5;
        assert_eq!(buffer.window(), start..start + 1000);
    }

    #[test]
    fn idle_decoders_are_small() {
        assert!(size_of::<BodyDecoder>() <= 48);
    }
}
