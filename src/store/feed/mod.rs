//! Change feeds: the events of a [`Watch`](crate::Watch) and the log of an open store, in order,
//! and the coalesced [`Changes`](crate::Changes).
//!
//! Subscribes to the engine's feed; writes nothing.

pub(super) mod changes;
pub(super) mod log;
pub(super) mod watch;
