//! Which endpoint serves a request, and whether the cluster may take one more.

mod breaker;

pub use breaker::{Breakers, Thresholds};
