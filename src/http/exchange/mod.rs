//! The shared parts of all endpoints and pages: requests, responses, problems, addresses under a
//! prefix, and blocking calls of the store.
//!
//! Knows nothing about particular resources.

pub(super) mod address;
pub(super) mod answer;
pub(super) mod calls;
pub(super) mod input;
pub(super) mod paging;
pub(super) mod problem;
