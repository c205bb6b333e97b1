//! Verifies a store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use procstate::recovery::{self, Finding, Options, Severity, Verified};
use serde_json::json;

use crate::failure::{CommandStatus, Failure};
use crate::terminal::output::{Output, count};
use crate::terminal::progress::Bar;

/// The maximum number of similar findings to print; --json prints all.
const ALIKE_SHOWN_MAX: u64 = 20;

pub(crate) fn verify(
    db: &Path,
    scratch: Option<PathBuf>,
    output: &mut Output,
) -> Result<CommandStatus, Failure> {
    let bar = Bar::new("verifying");
    let mut failure = Ok(());
    let mut alike: BTreeMap<String, u64> = BTreeMap::new();
    let verified = recovery::verify(db, options(scratch, &bar), |finding| {
        let count = alike.entry(kind_of(&finding.what)).or_default();
        *count += 1;
        if failure.is_ok() && (output.is_json() || *count <= ALIKE_SHOWN_MAX) {
            failure = bar.aside(|| tell(db, &finding, output));
        }
    });
    drop(bar);
    failure?;
    alike.retain(|_, count| *count > ALIKE_SHOWN_MAX && !output.is_json());
    for (what, times) in &alike {
        output.line(&format!("and {} more: {what}", count(times - ALIKE_SHOWN_MAX, "time")))?;
    }
    let verified = verified.map_err(|error| Failure::failed(&error))?;
    sum_up(db, &verified, output)?;
    Ok(if verified.is_sound() { CommandStatus::Success } else { CommandStatus::Findings })
}

/// Returns a finding without names and numbers.
fn kind_of(what: &str) -> String {
    let unnamed: String = what.split('"').step_by(2).collect();
    unnamed.chars().filter(|c| !c.is_ascii_digit()).collect()
}

pub(crate) fn options(scratch: Option<PathBuf>, bar: &Bar) -> Options<'_> {
    let options = Options::default().progress(|progress| bar.set(progress.done, progress.total));
    match scratch {
        Some(folder) => options.scratch(folder),
        None => options,
    }
}

fn tell(db: &Path, finding: &Finding, output: &mut Output) -> Result<(), Failure> {
    let Finding { severity, file, offset, record, what, meaning, help, .. } = finding;
    let file = file.strip_prefix(db).unwrap_or(file).display().to_string();
    if output.is_json() {
        return output.json(&json!({
            "severity": severity.to_string(), "file": file, "offset": offset, "record": record,
            "what": what, "meaning": meaning, "help": help,
        }));
    }
    let place = offset.map(|offset| format!(" at byte {offset}")).unwrap_or_default();
    let record = record.as_ref().map(|record| format!("{record}: ")).unwrap_or_default();
    output.line(&format!("{severity}: {file}{place}: {record}{what}"))?;
    output.line(&format!("    {meaning}"))?;
    output.line(&format!("    {} {help}", if *severity == Severity::Note { "--" } else { "->" }))
}

fn sum_up(db: &Path, verified: &Verified, output: &mut Output) -> Result<(), Failure> {
    let Verified { refused, notes, warnings, damages, last_seq, records, commits, files, bytes, .. } =
        verified;
    if output.is_json() {
        return output.json(&json!({"summary": {
            "sound": verified.is_sound(), "refused": refused, "notes": notes, "warnings": warnings,
            "damages": damages, "lastSeq": last_seq, "records": records, "commits": commits,
            "files": files, "bytes": bytes,
        }}));
    }
    let store = db.display();
    output.line(&match (refused, damages, warnings) {
        (Some(why), ..) => format!("DAMAGED: {store} does not open: {why}"),
        (None, 0, 0) => format!("sound: {store}"),
        (None, 0, _) => format!("damaged, but nothing is lost: opening {store} repairs it"),
        (None, ..) => format!("DAMAGED: {store} opens, but with the errors above"),
    })?;
    let records = records.map_or("an unreadable index".to_owned(), |records| {
        format!("{} in the index", count(records, "record"))
    });
    output.line(&format!(
        "read {}, {}: {records}, {} in the log, the last is {last_seq}",
        count(*files, "file"),
        count(*bytes, "byte"),
        count(*commits, "commit")
    ))
}
