//! The rules of the domain: pure functions, no clock, no I/O.

pub(crate) mod errors;
pub(crate) mod item;
pub(crate) mod limits;
mod lists;
pub(crate) mod merge;
pub(crate) mod ownership;
mod params;
pub(crate) mod response;
pub(crate) mod run;
pub(crate) mod run_limits;
pub(crate) mod schedule;
pub(crate) mod stats;
pub(crate) mod time;

pub use lists::List;
pub use run_limits::FailureLimit;
