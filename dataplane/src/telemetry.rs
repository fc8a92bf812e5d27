//! What the process tells about itself: access logs, metrics, its own log.
//!
//! Nothing here runs on a data core but [`access_log::LogRing::push`], which neither waits nor asks
//! the kernel for anything beyond a rare wake-up.

pub mod access_log;
pub mod log;
pub mod metrics;
pub mod process;
pub mod startup;
