//! The binary from outside: real processes, real sockets, both drivers.
//!
//! Each test starts its own gateways on free ports; addresses are read from the start-up block. The
//! origins are those of perf-lab, in this process, so what they saw can be asked.

#![forbid(unsafe_code)]

mod bulk;
mod command_line;
mod examples;
mod hardship;
mod http_safety;
mod life;
mod process;
mod recorder;
mod startup;
mod wire;
