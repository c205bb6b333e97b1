//! Executes a run: worker threads take items from the dispatcher, and the supervisor handles time
//! limits, retries, the heartbeat and the end.
//!
//! It uses the run, the worker and the signals of the runner. It reads no record and knows no
//! schedule: [`super::schedule`] decides when there is a run.

pub(super) mod attempt;
pub(super) mod dispatcher;
pub(super) mod end;
pub(super) mod flow_control;
pub(super) mod in_flight;
pub(super) mod settle;
pub(super) mod supervisor;
pub(super) mod worker_thread;
