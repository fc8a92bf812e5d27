//! The administration interface: what operators ask and what they may change.
//!
//! One thread with a listener of its own, never a data core. Reading is GET, every change is POST,
//! and the process is reached through [`Control`] alone. One request per connection: so one time
//! limit and one connection limit bound everything that a client of this interface can hold.

mod answer;
mod clusters;
mod config_dump;
pub mod control;
mod desk;
mod endpoints;
mod journal;
mod life;
mod listeners;
mod query;
mod server;
mod server_info;
mod statistics;

pub use control::{Control, Listening, Loaded, State};
pub use desk::About;
pub use journal::AdminLog;
pub use server::{Admin, AdminError, Options};

#[cfg(test)]
mod tests;
