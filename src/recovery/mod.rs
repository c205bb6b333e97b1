//! Recovery: operations on a store that no program has open, which may not open any more.
//!
//! Only [`compact`] and [`remove_damaged`] change the store they are called for. New stores are
//! made under a temporary name, verified, and renamed once complete.
//!
//! `docs/recovery.md` is the runbook for operators; the tool `procstate` has a command for each of
//! these functions.

mod carve;
mod compact;
mod files;
mod finding;
mod log;
mod options;
mod records;
mod restore;
mod salvage;
mod verify;

pub use compact::{Compacted, compact, remove_damaged};
pub use finding::{Finding, Severity};
pub(crate) use log::LogDescriber;
pub use log::{LogChange, LogCommit, LogEntry, read_log};
pub use options::{Options, Progress};
#[cfg(any(test, fuzzing))]
pub(crate) use records::validate::open_record;
#[cfg(feature = "etcd")]
pub use restore::restore_to_etcd;
pub use restore::until::Until;
pub use restore::{Restored, restore};
pub use salvage::{Fate, MadeOf, Salvaged, SalvagedRecord, salvage};
pub use verify::{Verified, verify};

pub use crate::engine::policy::MissingCommits;
