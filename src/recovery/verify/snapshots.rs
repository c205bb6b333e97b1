//! Verifies the newest snapshot.

use std::path::Path;

use super::report::Report;
use crate::engine::policy::Integrity;
use crate::error::Result;
use crate::recovery::files::inspection::Inspection;
use crate::recovery::files::offline::Offline;
use crate::recovery::records::validate::open_record;

pub(super) fn check(store: &Offline, inspection: &Inspection, report: &mut Report<'_>) -> Result<()> {
    let spare = report.verdict.index.as_ref().is_ok_and(|_| report.verdict.opens.is_ok());
    match inspection.newest_snapshot() {
        Some((newest, Integrity::Damaged(why))) => {
            let finding = report.broken(&newest.path, why.clone(), spare.then_some("the index"));
            report.tell(finding);
        }
        Some((newest, _)) => check_records(store, &newest.path, report)?,
        // Without a snapshot the index could not be rebuilt.
        None if inspection.has_log() && (report.verdict.opens.is_ok() || report.verdict.index.is_err()) => {
            let Err(why) = &report.verdict.copies else { return Ok(()) };
            let what =
                format!("there is no snapshot, and the log alone is not enough for another index: {why}");
            let finding =
                report.broken(&store.closed.layout().snapshots(), what, spare.then_some("the index"));
            report.tell(finding);
        }
        None => {}
    }
    Ok(())
}

/// Checks records in a file whose checksums match: they may have been written wrongly.
fn check_records(store: &Offline, path: &Path, report: &mut Report<'_>) -> Result<()> {
    for record in store.archive(path)? {
        let (key, value) = record?;
        if let Err(why) = open_record(&key, &value) {
            let meaning = "it was written this way: by other software, or because of a bug in this one";
            let finding = report.wrong(path, why, meaning);
            report.tell(finding);
        }
    }
    Ok(())
}
