//! Recovery: what can be done with a store that no program has open, down to one
//! that does not open any more.
//!
//! Nothing here changes the store it is called for, but for [`compact`] and
//! [`remove_damaged`], which say so. What is made anew is made under another name,
//! verified, and renamed when it is complete.
//!
//! `docs/recovery.md` is the runbook for operators; the tool `procstate` has a
//! command for each of these.

mod address;
mod carve;
mod changes;
mod compact;
mod draft;
mod finding;
mod identity;
mod inspection;
mod lists;
mod log;
mod offline;
mod options;
mod owners;
mod replay;
mod restore;
mod salvage;
mod scratch;
mod sound;
mod until;
mod verify;

pub use compact::{Compacted, compact, remove_damaged};
pub use finding::{Finding, Severity};
pub(crate) use log::Teller;
pub use log::{LogChange, LogCommit, LogEntry, read_log};
pub use options::{Options, Progress};
#[cfg(feature = "etcd")]
pub use restore::restore_to_etcd;
pub use restore::{Restored, restore};
pub use salvage::{Fate, MadeOf, Salvaged, SalvagedRecord, salvage};
#[cfg(any(test, fuzzing))]
pub(crate) use sound::open_record;
pub use until::Until;
pub use verify::{Verified, verify};

pub use crate::engine::verdict::MissingCommits;
