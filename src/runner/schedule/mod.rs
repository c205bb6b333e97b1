//! Decides when a runner claims its process, and waits until then.
//!
//! It reads the schedule and the owner through [`crate::store`] and [`crate::model`], and writes
//! nothing. [`super::dispatch`] executes a claimed run.

pub(super) mod idle;
pub(super) mod planner;
pub(super) mod scheduler;
pub(super) mod setting;
