//! The control plane as a library.

#![forbid(unsafe_code)]
