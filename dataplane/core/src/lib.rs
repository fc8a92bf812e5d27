//! The proxy as a machine: events in, operations out, no I/O.
#![forbid(unsafe_code)]
