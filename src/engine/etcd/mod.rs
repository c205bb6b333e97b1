//! etcd as an engine (feature `etcd`): a store that programs on several machines share.
//!
//! A commit is one transaction, and a record's version is the revision that wrote it. Further
//! transactions provide what one transaction cannot: the outcome of a commit whose response was lost,
//! and a change too large for one transaction ([`commit`]). Leases decide which owners are alive
//! ([`liveness`]).

mod client;
mod commit;
mod engine;
mod heartbeats;
mod keys;
mod limits;
mod liveness;
mod options;
mod read;
mod slots;
#[cfg(test)]
pub(crate) mod tests;
mod transport;
mod watch;

pub(crate) use commit::restore::restore;
pub(crate) use engine::EtcdEngine;
pub use options::EtcdOptions;
