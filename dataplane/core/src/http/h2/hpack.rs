//! Header compression (RFC 7541): decoding straight into the arena of a head, and encoding from
//! the model. It knows octets, tables and indexes; what a field means is decided in `head.rs`.

mod decode;
mod encode;
mod huffman;
mod integer;
mod name;
mod table;

pub(crate) use decode::{Decoded, Decoder, Sink};
pub(crate) use encode::Encoder;
pub(crate) use name::{Name, Pseudo};
pub(crate) use table::ENTRY_OVERHEAD;

/// Why a header block cannot be decoded. The connection is lost with it: the two tables would
/// differ from then on (section 2.3.3; COMPRESSION_ERROR).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Error {
    /// An integer is longer or larger than any may be.
    Integer,
    /// An index that neither table has.
    Index,
    /// A Huffman code, its padding or its end is wrong.
    Huffman,
    /// A size update that is too large, too late or one too many.
    SizeUpdate,
    /// The block ends inside of a field.
    Truncated,
    /// More fields or bytes than even a refused head may come to. The only one that is no
    /// compression error.
    Ceiling,
}

#[cfg(test)]
mod tests;
