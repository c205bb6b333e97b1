//! Engines: get, scan and compare-and-commit over records.
//!
//! The one write primitive is [`Engine::commit`]: a [`Batch`] of preconditions
//! and writes, all or nothing. Claiming, fencing, moving an item between lists
//! and changing settings without a lost update are each one batch. It is also
//! what a replicated engine offers (etcd's `Txn`), so an engine for several
//! machines would be another implementation of this trait.

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
pub(crate) use batch::{Batch, Expect, Write};
pub(crate) use durable::{
    DurableEngine, Options, SEGMENT_BYTES_MIN, Snapshot, Snapshots, create, policy, wal,
};
pub use durable::{OpenReport, Rebuilt, Recovery, TornTail};
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
