//! What a store has on disk besides its log: the index, its directory, and the snapshots.
//!
//! The index lies behind a trait, and so does its directory, so that tests can put an index
//! there that loses what was not synced. Nothing here takes a lock or knows of a commit that
//! is under way: callers say what to write and when.

mod index_backend;
mod index_directory;
mod sled_backend;
mod snapshots;
mod steps;
mod store_files;
mod store_folder;

pub(crate) use index_backend::{Change, IndexBackend, OwnerCheck};
#[cfg(test)]
pub(crate) use index_backend::{Step, check_from};
pub(crate) use index_directory::IndexDirectory;
pub(crate) use snapshots::{Snapshot, Snapshots};
pub(crate) use steps::{Records, Steps, fill};
pub(crate) use store_files::StoreFiles;
