//! A server with a thread and a runtime of its own: it accepts connections, limits them, and
//! stops in good order.
//!
//! Serves whatever router it is given.

pub(super) mod connections;
pub(super) mod server;
