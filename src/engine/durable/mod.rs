//! The durable engine.

mod wal;
