//! Micro-benchmarks of the pure parts: one list of cases, measured twice.
//!
//! `cargo bench -p penstock-bench` measures the wall time of every case with criterion;
//! `cargo xtask gate` counts instructions and allocations of the hottest ones under callgrind and
//! compares them with `bench/instructions.txt`. Both take a [`Case`] from [`cases`]: inputs and
//! seeds are fixed, so the same code does the same work each time. Nothing here is shipped.

#![forbid(unsafe_code)]

mod case;
mod corpus;
mod gateway;

pub use case::route;
pub use case::{Case, Iteration, cases};
