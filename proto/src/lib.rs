//! The served subset of xDS as protobuf types, with its descriptor set.
