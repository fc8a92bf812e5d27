//! The drivers under real sockets: every case runs on each of them.

mod support;
mod transfer;
