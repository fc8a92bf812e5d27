//! The parts of the gateway that are not on the request path: what surrounds the workers.
//!
//! The binary (`main.rs`) puts them together. Nothing here runs on a data core, and nothing here
//! may make a data core wait.

#![forbid(unsafe_code)]

pub mod admin;
pub mod boot;
pub mod bootstrap;
pub mod cli;
pub mod demo;
pub mod dns;
pub mod notify;
pub mod telemetry;
pub mod translate;

#[cfg(test)]
mod fixture;
