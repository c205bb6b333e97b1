//! Requests to the members of a cluster, and their responses.

pub(super) mod cluster;
pub(super) mod trouble;
pub(super) mod txn;
