//! etcd as an engine (feature `etcd`): a store that programs on several machines share.
//!
//! A commit is one transaction, and a record's version the revision that wrote it. What a
//! transaction does not have is made of others: the answer that was lost and a change
//! too large for one ([`commit`]), and who lives ([`liveness`]).

mod client;
mod commit;
mod engine;
mod keys;
mod limits;
mod liveness;
mod options;
mod read;
mod signs;
mod slots;
#[cfg(test)]
pub(crate) mod tests;
mod transport;
mod watch;

pub(crate) use commit::restore::restore;
pub(crate) use engine::EtcdEngine;
pub use options::EtcdOptions;
