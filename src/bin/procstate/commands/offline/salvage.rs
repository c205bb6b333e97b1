//! Salvages a store that does not open.

use std::path::{Path, PathBuf};

use procstate::recovery::{self, Fate, MadeOf, Salvaged, SalvagedRecord};
use serde_json::json;

use super::verify::options;
use crate::failure::{CommandStatus, Failure};
use crate::terminal::output::{Output, count};
use crate::terminal::progress::Bar;

pub(crate) fn salvage(
    db: &Path,
    target: &Path,
    scratch: Option<PathBuf>,
    output: &mut Output,
) -> Result<CommandStatus, Failure> {
    let bar = Bar::new("salvaging");
    let mut failure = Ok(());
    let salvaged = recovery::salvage(db, target, options(scratch, &bar), |record| {
        if failure.is_ok() && (output.is_json() || record.fate != Fate::Kept) {
            failure = bar.aside(|| tell(&record, output));
        }
    });
    drop(bar);
    failure?;
    let salvaged = salvaged.map_err(|error| Failure::failed(&error))?;
    sum_up(target, &salvaged, output)?;
    Ok(if salvaged.is_complete() { CommandStatus::Success } else { CommandStatus::Findings })
}

fn tell(found: &SalvagedRecord, output: &mut Output) -> Result<(), Failure> {
    let SalvagedRecord { fate, process, record, work, version, .. } = found;
    if output.is_json() {
        return output.json(&json!({
            "fate": fate.to_string(), "process": process, "record": record, "work": work, "version": version,
        }));
    }
    let place: Vec<&str> = [Some(&**process), Some(*record), work.as_deref()].into_iter().flatten().collect();
    output.line(&format!("{fate}: {} (commit {version})", place.join("/")))
}

fn sum_up(target: &Path, salvaged: &Salvaged, output: &mut Output) -> Result<(), Failure> {
    let Salvaged {
        made_of,
        seq,
        kept,
        uncertain,
        older,
        suspicious,
        lost,
        superseded,
        missing,
        torn_tail,
        refused,
        ..
    } = salvaged;
    let made_of = match made_of {
        MadeOf::Index => "the index and the log after it",
        MadeOf::Snapshot => "the snapshot and the log after it",
        MadeOf::Log => "the log",
        _ => "everything that could be found",
    };
    if output.is_json() {
        return output.json(&json!({"summary": {
            "complete": salvaged.is_complete(), "store": target.display().to_string(),
            "madeOf": made_of, "seq": seq, "records": salvaged.records(), "kept": kept,
            "uncertain": uncertain, "older": older,
            "suspicious": suspicious, "superseded": superseded, "lost": lost, "refused": refused,
            "missing": missing.iter().map(|range| json!({"first": range.first, "last": range.last})).collect::<Vec<_>>(),
            "cutAfter": torn_tail.as_ref().map(|torn| torn.kept),
        }}));
    }
    let (target, records) = (target.display(), count(salvaged.records(), "record"));
    output.line(&format!("{target} has {records} as of commit {seq}, made from {made_of}"))?;
    if let Some(torn) = torn_tail {
        output.line(&format!(
            "commits after {}, which were not known to be durable, were removed",
            torn.kept
        ))?;
    }
    for range in missing {
        output.line(&format!("MISSING: {range}: known only as far as found elsewhere"))?;
    }
    if salvaged.is_complete() {
        return output.line("complete: nothing that was acknowledged as durable is lost");
    }
    output.line(&format!(
        "INCOMPLETE: {} in their newest readable version, {kept} of them certainly current; possibly changed or deleted by missing commits: {uncertain}; older than they were: {older}; from bytes that may be outdated: {suspicious}; left out for newer ones on another list: {superseded}; lost: {lost}",
        count(kept + uncertain, "record")
    ))
}
