//! One worker per core and the drivers that move its bytes.

#![forbid(unsafe_code)]
