//! The output of the commands that `run` starts: passed on, kept in files, counted.
//!
//! Starts and stops nothing; that is `child` and `job`.

pub(super) mod capture;
pub(super) mod joblog;
pub(crate) mod log_files;
pub(super) mod report;
