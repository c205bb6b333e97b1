//! What all endpoints and pages share: reading a request, forming an answer or a problem,
//! addresses under a prefix, and blocking calls of the store.
//!
//! Knows nothing about particular resources.

pub(super) mod address;
pub(super) mod answer;
pub(super) mod calls;
pub(super) mod input;
pub(super) mod paging;
pub(super) mod problem;
