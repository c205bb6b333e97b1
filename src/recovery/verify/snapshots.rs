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
        None if report.verdict.copies.is_err() && parts.has_log() => {
            let what = "there is no snapshot, and the log does not go back to the first commit";
            let finding = report.broken(&store.closed.snapshots(), what, spare.then_some("the index"));
            report.tell(finding);
        }
        None => {}
    }
}
