//! Decides when a runner claims its process, and waits until then.
//!
//! Reads the schedule and the owner through [`crate::store`] and [`crate::model`]; writes
//! nothing. What a run does once it is claimed is the business of [`super::dispatch`].

pub(super) mod idle;
pub(super) mod planner;
pub(super) mod scheduler;
pub(super) mod setting;
