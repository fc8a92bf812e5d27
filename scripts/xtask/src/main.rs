//! Project tasks: ci, tidy, peers.

fn main() {}
