//! Streams against rustls's own buffered connections and against each other.

#[path = "../../testdata/authority.rs"]
mod authority;
mod building;
mod certificates;
mod handshakes;
mod records;
mod world;
