//! Engines: get, scan and compare-and-commit over records.
//!
//! The only write primitive is [`Engine::commit`]: an atomic [`Batch`] of preconditions and writes.
//! Claiming, fencing, moving an item between lists and changing settings without lost updates are
//! each one batch. Replicated engines offer the same primitive (etcd's `Txn`), so an engine for
//! several machines implements the same trait.

mod api;
#[cfg(test)]
mod bare;
mod batch;
mod durable;
#[cfg(feature = "etcd")]
mod etcd;
mod feed;
mod index_records;
#[cfg(test)]
mod interleavings;
mod liveness;
mod memory;
mod stats;
#[cfg(test)]
pub(crate) mod suite;

pub use api::{Backup, Durability};
pub(crate) use api::{Engine, Outcome, Visitor};
pub(crate) use batch::{Batch, Expect, Precondition, Write};
pub(crate) use durable::{
    DurableEngine, Options, SEGMENT_BYTES_MIN, Snapshot, Snapshots, create, policy, wal,
};
pub use durable::{OpenReport, Rebuilt, Recovery, TornTail, Verify};
#[cfg(feature = "etcd")]
pub use etcd::EtcdOptions;
#[cfg(feature = "etcd")]
pub(crate) use etcd::{EtcdEngine, restore as restore_to_etcd};
pub(crate) use feed::{Alarm, ChangedKeys, Changes, Commit, Feed, Received, Subscription, Written};
pub(crate) use liveness::{InProgram, Liveness, Pulse};
pub(crate) use memory::MemoryEngine;
#[cfg(test)]
pub(crate) use memory::Records;
pub use stats::Stats;
