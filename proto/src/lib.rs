//! The served subset of xDS as protobuf types, with its descriptor set.
//!
//! The `.proto` files in this folder carry the packages, messages, field names and numbers of the
//! public xDS API, cut to what Penstock serves: a field that is not there is not served. The types
//! are generated from them at build time, one module per package; the descriptors are embedded, so
//! that files can be checked against them by name. Beside them stand the messages of Service Mesh
//! Performance v0.6.1, in which perf-lab writes its results; they have a descriptor set of their
//! own and configure nothing. No logic lives here.
#![forbid(unsafe_code)]

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, MessageDescriptor};

mod generated {
    #![allow(missing_docs, reason = "generated modules have no text of their own")]
    #![allow(clippy::all, reason = "generated code")]
    include!(concat!(env!("OUT_DIR"), "/all.rs"));
}

pub use generated::{envoy, smp};
pub use prost;
pub use prost_reflect;
pub use prost_types;

/// The descriptors of all served messages and of the well-known types they use, encoded as a
/// `google.protobuf.FileDescriptorSet`.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The descriptors of the messages of a measurement, package `smp`, in the same encoding.
pub const SMP_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/smp.bin"));

/// Begins the type URL of a message in `google.protobuf.Any`.
pub const TYPE_URL_PREFIX: &str = "type.googleapis.com/";

/// The fields and enum values of the public API for every message and enum that is served.
///
/// One line per message or enum: its full name, a colon, then all names it has in the public API.
/// With it a report can tell a misspelt field from one that is known but not served.
pub const ENVOY_NAMES: &str = include_str!("../envoy-fields.txt");

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the build wrote a valid set")
});

static SMP_POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(SMP_DESCRIPTOR_SET).expect("the build wrote a valid set")
});

/// The descriptors of the messages of a measurement, decoded on first use.
pub fn smp_pool() -> &'static DescriptorPool {
    &SMP_POOL
}

/// The descriptors of all served messages, decoded on first use.
pub fn pool() -> &'static DescriptorPool {
    &POOL
}

/// The descriptor behind the type URL of an `Any`, if its message is served.
pub fn message_of_type_url(type_url: &str) -> Option<MessageDescriptor> {
    let (_, name) = type_url.rsplit_once('/')?;
    pool().get_message_by_name(name)
}
