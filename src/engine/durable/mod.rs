//! The durable engine.

mod memtable;
mod wal;
