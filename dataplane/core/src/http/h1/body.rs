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
