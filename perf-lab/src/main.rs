//! Load generator, origin, experiments against peers.

#![forbid(unsafe_code)]

fn main() {}
