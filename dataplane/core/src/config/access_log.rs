//! Access logs of a listener: which format goes to which sink.

use crate::format::Format;

/// A file or stream that lines are written to, numbered by the binary. Stable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SinkId(pub u16);

/// One access log (`envoy.extensions.access_loggers.*`).
#[derive(Debug)]
pub struct AccessLog {
    /// Where to.
    pub sink: SinkId,
    /// What a line says, its line end included.
    pub format: Format,
}
