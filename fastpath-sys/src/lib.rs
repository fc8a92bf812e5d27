//! Every unsafe line of Penstock behind a safe API: rings, sockets, affinity.
