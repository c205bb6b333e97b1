//! What was committed, in order: the events of a [`Watch`](crate::Watch) and the log of an open
//! store.
//!
//! Subscribes to the engine's feed; writes nothing.

pub(super) mod log;
pub(super) mod watch;
