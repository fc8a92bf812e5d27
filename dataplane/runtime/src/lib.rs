//! One worker per core, and the drivers that move its bytes.
//!
//! ```text
//! runtime.rs    start, command and stop all workers          (control side, any thread)
//!   placement.rs  which CPUs the workers get
//!   listen.rs     one SO_REUSEPORT socket per worker, bound before threads start
//!   mailbox.rs    commands in, acknowledgements out
//! worker.rs     the loop of one core, on one page            (data core from here on)
//!   clock.rs      time, read once per turn
//!   driver.rs     what a driver is; the choice, made once
//!     driver/uring.rs   io_uring
//!     driver/epoll.rs   epoll: the equal
//! ```
//!
//! Nothing here knows HTTP: a worker runs any [`penstock_core::machine::Machine`].

#![forbid(unsafe_code)]

pub mod clock;
pub mod driver;
pub mod listen;
pub mod mailbox;
pub mod placement;
pub mod runtime;
pub mod worker;

pub use fastpath_sys::socket::ListenOptions;
pub use fastpath_sys::{process, signals};

pub use driver::uring::caps::{Caps, UringOptions};
pub use driver::{Choice, Driver, Preference};
pub use listen::{ListenGroup, ListenSocket};
pub use placement::Placement;
pub use runtime::{Options, Runtime, StartError};
