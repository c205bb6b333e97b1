//! etcd as an engine (feature `etcd`): a store that programs on several machines share.
//!
//! A commit is one transaction, and a record's version the revision that wrote it. What a
//! transaction does not have is made of others: the answer that was lost ([`commit`]), a
//! change too large for one ([`large`]), and who lives ([`liveness`]).

mod client;
mod commit;
mod engine;
mod keys;
mod large;
mod line;
mod liveness;
mod options;
mod read;
mod restore;
mod slots;
#[cfg(test)]
pub(crate) mod tests;
mod trouble;
mod txn;
mod watch;

pub(crate) use engine::EtcdEngine;
pub use options::EtcdOptions;
pub(crate) use restore::restore;
