//! A server with its own thread and runtime: accepts connections, limits them, and shuts down
//! gracefully.
//!
//! Serves whatever router it is given.

pub(super) mod connections;
pub(super) mod server;
