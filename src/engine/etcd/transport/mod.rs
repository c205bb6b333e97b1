//! What is said to the members of a cluster, and heard.

pub(super) mod line;
pub(super) mod trouble;
pub(super) mod txn;
