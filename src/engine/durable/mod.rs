//! The durable engine: a write-ahead log, a memtable, and an index that is brought up to date
//! behind the commits.
//!
//! ```text
//! commit -> log (write, and fdatasync if Synced) -> memtable -> acknowledged
//!                                                      |
//!                         checkpoint, in the background v
//!             snapshot  <-  index at `applied`  <-  newest state of each key
//! ```
//!
//! | part | owns | uses |
//! |---|---|---|
//! | [`open`] | nothing: it runs before the others exist | storage, log, `checkpoint::Checkpoint` |
//! | [`checkpoint`] | what the index has, the newest snapshot | commit path, storage |
//! | [`commit`] | the end of the log, the queue, group commit, back-pressure | log, memtable |
//! | [`read`] | nothing | memtable, index |
//! | [`storage`] | index, its directory, snapshots, on disk | |
//! | [`wal`] | the segments of the log, on disk | |
//! | [`memtable`] | the newest state of each key that the index lacks | |
//!
//! [`engine`] composes them, [`threads`] runs the background work, and [`shared`] has the few
//! things that all of them need, and the lock order.
//!
//! - **A commit** checks its preconditions, appends one entry to the log and puts its records
//!   into the memtable, under the writer lock, which orders commits. The thread that holds the
//!   lock commits every queued batch in one write. One sync serves all commits that wait for
//!   one.
//! - **Reads** consult the memtable first, then the index. A scan takes a view of the memtable,
//!   which costs nothing and never changes; the view itself has everything that a checkpoint
//!   changes in the index.
//! - **A checkpoint** freezes the memtable, syncs the log up to there, waits for readers that
//!   do not see the frozen part, and applies it to the index in bounded steps. Each step checks
//!   that the index is where the last checkpoint left it, and that an owner record is replaced
//!   only by its successor. Then the manifest records the last commit in index and log.
//! - **A snapshot** is an archive of the index between two checkpoints. The log that it covers
//!   is released: snapshot and log are always complete.
//! - **SYNCED** records, outside of the log, how far the log is synced. The syncing thread
//!   writes it, so that a log that ends earlier is known to be incomplete.
//! - **An epoch** is drawn by each opening, and the log records which opening wrote each
//!   commit. It identifies files that come from another copy of the store.
//! - **Opening** reads the log after `applied` and judges its end. An index that is missing,
//!   damaged or behind is rebuilt from snapshot and log.
//! - **A failed write or sync** poisons the store. A disk that is full before anything was
//!   written does not.
//!
//! `docs/durability.md` describes the promises, `docs/format.md` the files.

mod checkpoint;
mod commit;
mod engine;
mod memtable;
mod open;
mod open_index;
mod options;
mod poison;
mod read;
mod report;
mod shared;
mod signal;
mod storage;
#[cfg(test)]
mod tests;
mod threads;
mod verification;
pub(crate) mod wal;

#[cfg(test)]
pub(crate) use commit::GroupCommit;
pub(crate) use engine::DurableEngine;
pub(crate) use open::{create, policy};
pub(crate) use options::{Options, SEGMENT_BYTES_MIN};
pub use options::{Recovery, Verify};
pub use report::{OpenReport, Rebuilt, TornTail};
pub(crate) use storage::{Snapshot, Snapshots};
