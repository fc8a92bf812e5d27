//! The administration interface: what operators ask and what they may change.

pub mod control;

pub use control::{Control, Listening, Loaded, State};
