//! Executes a run on the tokio runtime: the dispatcher hands items to tasks and supervises them;
//! tasks answer through the mailbox.
//!
//! It uses the run and the worker; [`super::scheduler`] decides when there is a run.

pub(super) mod attempt;
pub(super) mod dispatcher;
pub(super) mod either;
pub(super) mod end;
pub(super) mod in_flight;
pub(super) mod mailbox;
pub(super) mod task;
