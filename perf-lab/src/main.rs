//! Load generator, origin, experiments against peers.

fn main() {}
