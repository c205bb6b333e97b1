//! Does one run on the tokio runtime: the dispatcher hands items to tasks and watches over
//! both; tasks answer through the mailbox.
//!
//! Uses the run and the worker; when there is a run is decided by [`super::scheduler`].

pub(super) mod attempt;
pub(super) mod dispatcher;
pub(super) mod either;
pub(super) mod end;
pub(super) mod in_flight;
pub(super) mod mailbox;
pub(super) mod task;
