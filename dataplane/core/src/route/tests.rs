//! Behaviour of a compiled table: one check per feature, and a comparison with a linear oracle.

mod build;
mod forward;
mod lookup;
mod oracle;
mod property;
mod redirect;
