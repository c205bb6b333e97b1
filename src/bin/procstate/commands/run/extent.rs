//! The number of items of a run.

use procstate::proto::State;
use procstate::{Item, List, ProcessHandle};

use crate::failure::Failure;

/// The number of items per read.
const PAGE: usize = 1000;

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
    let (mut to_do, mut after) = (0, None);
    loop {
        let page = process.list(List::Active, after.as_deref(), PAGE)?;
        let is_completed = |item: &Item| {
            let status = item.work.as_ref().and_then(|work| work.status.as_ref());
            status.is_some_and(|status| status.state() == State::Completed)
        };
        to_do += page.items.iter().filter(|item| !is_completed(item)).count();
        after = page.next;
        if after.is_none() {
            return Ok((u64::try_from(to_do).unwrap_or_default(), 0));
        }
    }
}
