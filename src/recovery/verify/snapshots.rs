//! The newest snapshot.

use super::report::Report;
use super::{Offline, Parts};

pub(super) fn check(store: &Offline, parts: &Parts, report: &mut Report<'_>) {
    let spare = report.verdict.index.as_ref().is_ok_and(|_| report.verdict.opens.is_ok());
    match parts.newest_snapshot() {
        Some(newest) => {
            if let Err(why) = &newest.summary {
                let finding = report.broken(&newest.snapshot.path, why.clone(), spare.then_some("the index"));
                report.tell(finding);
            }
        }
        // An index alone cannot be rebuilt when it is damaged.
        None if parts.has_log() && (report.verdict.opens.is_ok() || report.verdict.index.is_err()) => {
            let Err(why) = &report.verdict.copies else { return };
            let what =
                format!("there is no snapshot, and the log alone is not enough for another index: {why}");
            let finding =
                report.broken(&store.closed.layout().snapshots(), what, spare.then_some("the index"));
            report.tell(finding);
        }
        None => {}
    }
}
