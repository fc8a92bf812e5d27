//! TLS as a machine without I/O: bytes in, bytes out, over the worker's buffers.

pub mod hello;
mod read;
