//! Micro-benchmarks of the pure parts.

#![forbid(unsafe_code)]
