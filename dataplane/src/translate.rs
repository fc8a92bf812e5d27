//! The bootstrap to a snapshot: what a configuration means. All validation that is about meaning is
//! here.

pub mod names;
