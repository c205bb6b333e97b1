//! The number of items of a run.

use procstate::proto::State;
use procstate::{List, ProcessHandle};

use crate::failure::Failure;

/// Returns how many items a run has to process, and how many of them it completed before an
/// interruption.
pub(super) fn extent(process: &ProcessHandle, only_failed: bool) -> Result<(u64, u64), Failure> {
    let summary = process.summary()?;
    if summary.state == State::Active {
        let done = summary.ended.saturating_sub(summary.failed);
        return Ok((summary.active.max(done), done));
    }
    if !only_failed {
        return Ok((summary.active, 0));
    }
    let mut to_do = 0;
    for item in process.items(List::Active) {
        to_do += u64::from(item?.state() != Some(State::Completed));
    }
    Ok((to_do, 0))
}
