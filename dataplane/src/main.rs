//! Service-mesh gateway: the binary.

fn main() {}
