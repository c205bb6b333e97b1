//! What was committed: in order, the events of a [`Watch`](crate::Watch) and the log of an open
//! store; or gathered between two looks, [`Changes`](crate::Changes).
//!
//! Subscribes to the engine's feed; writes nothing.

pub(super) mod changes;
pub(super) mod log;
pub(super) mod watch;
