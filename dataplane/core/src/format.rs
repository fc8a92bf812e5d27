//! Format strings with `%COMMAND(argument):length%` operators, parsed once and written per request.

/// A parsed format: literal text and operators.
#[derive(Debug, Default)]
pub struct Format {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Text(Box<[u8]>),
}

impl Format {
    /// A format that is only text.
    pub fn literal(text: &[u8]) -> Self {
        Self {
            pieces: vec![Piece::Text(text.into())],
        }
    }

    /// Writes the format with the facts of an exchange.
    pub fn write(&self, _facts: &crate::access_log::Facts<'_>, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
            }
        }
    }
}
