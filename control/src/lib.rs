//! The control plane as a library; `penstock control` will run it. It is ordinary tokio and tonic,
//! and never on the request path.
//!
//! Empty so far: gateways are configured by file. This is the map of the rooms to come, in the
//! order in which a change meets them, so that what is written elsewhere meanwhile leaves their
//! place free.
//!
//! ```text
//! sources      where wishes come from: files first, then Gateway API and SMI objects
//!    │
//!    ▼
//! model        one model of services, routes and policies; knows no client and no source
//!    │
//!    ▼
//! render       the model for one kind of client: our gateway, Envoy, proxyless gRPC
//!    │
//!    ▼
//! ads          xDS streams: versions by content hash, what each client has accepted or refused
//!
//! identity     the certificate authority, and who may ask it for what
//! telemetry    load reports and the status of every resource, gathered for people
//! ui           one page over the admin API
//! ```
//!
//! What crosses to a gateway is xDS and nothing else, so each side can be replaced by another
//! product of that protocol.

#![forbid(unsafe_code)]
