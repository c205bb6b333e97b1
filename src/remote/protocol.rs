//! The constants that both halves of the protocol share.

/// The version of `proto/engine/v1/engine.proto`.
///
/// Every change of a call's meaning gets a new version.
pub(super) const PROTOCOL: u32 = 1;

/// The header with the protocol version of a request.
pub(super) const PROTOCOL_HEADER: &str = "procstate-protocol";

/// The header with the opening of the store that a request is for.
pub(super) const OPENING_HEADER: &str = "procstate-opening";

/// The path prefix of all calls.
pub(super) const PREFIX: &str = "/engine/v1/";
