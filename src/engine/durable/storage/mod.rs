//! The parts of a store on disk besides its log: the index, its directory, and the snapshots.
//!
//! The index and its directory are traits, so that tests can use an index that loses unsynced
//! changes. Nothing here takes a lock or knows about commits in progress: callers say what to write
//! and when.

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
