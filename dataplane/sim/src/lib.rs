//! A seeded world around the core: network, peers, faults, oracle.

#![forbid(unsafe_code)]
