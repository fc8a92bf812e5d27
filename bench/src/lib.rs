//! Micro-benchmarks of the pure parts.
