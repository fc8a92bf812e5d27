//! The drivers under real sockets: every case runs on each of them.

mod choice;
mod death;
mod exhaustion;
mod relay;
mod support;
mod transfer;
