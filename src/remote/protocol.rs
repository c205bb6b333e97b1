//! What both halves of the protocol agree on, besides its messages.

/// The protocol of `proto/engine/v1/engine.proto`. What changes the meaning of a call is
/// another version.
pub(super) const PROTOCOL: u32 = 1;

/// The version of the protocol that a request is in.
pub(super) const PROTOCOL_HEADER: &str = "procstate-protocol";

/// The opening of the store that a request is for.
pub(super) const OPENING_HEADER: &str = "procstate-opening";

/// Where every call is.
pub(super) const PREFIX: &str = "/engine/v1/";
