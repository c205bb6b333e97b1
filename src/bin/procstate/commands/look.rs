//! Lists processes, work, past runs and statistics.

use procstate::interchange::to_json;
use procstate::proto::{State, Status};
use procstate::{Clock, Item, List, PastRun, Stats, StoredItem, Summary, SystemClock, Timestamp};
use serde_json::json;

use super::change::schedule;
use crate::failure::{CommandStatus, Failure};
use crate::open::{self, Location};
use crate::terminal::output::{Output, age, count, json_time, time};

pub(crate) fn ls(place: &Location, output: &mut Output) -> Result<CommandStatus, Failure> {
    let store = open::for_looking(place)?;
    let mut rows = Vec::new();
    for name in store.processes()? {
        let process = store.process(&name)?;
        let (summary, schedule) = (process.summary()?, schedule(&process.settings()?));
        if output.is_json() {
            output.json(&summary_json(&summary, schedule))?;
        } else {
            rows.push(summary_row(&summary, schedule));
        }
    }
    if !output.is_json() {
        let head =
            ["PROCESS", "STATE", "OWNER", "PROGRESS", "ACTIVE", "CLEANUP", "DROPPED", "SCHEDULE", "NEXT DUE"];
        output.table(&head, rows)?;
    }
    Ok(CommandStatus::Success)
}

fn summary_row(summary: &Summary, schedule: Option<String>) -> Vec<String> {
    let now = SystemClock::new().now();
    let due = match summary.next_due {
        due if due == Timestamp::MAX => "never".to_owned(),
        due if due <= now => "now".to_owned(),
        due => time(Some(due)),
    };
    let owner = if summary.instance.is_empty() { "-" } else { &summary.instance };
    vec![
        summary.name.clone(),
        state(summary.state),
        owner.to_owned(),
        age(summary.progress, now),
        summary.active.to_string(),
        summary.cleanup.to_string(),
        summary.dropped.to_string(),
        schedule.unwrap_or_else(|| "-".to_owned()),
        due,
    ]
}

fn summary_json(summary: &Summary, schedule: Option<String>) -> serde_json::Value {
    json!({
        "name": summary.name,
        "state": state(summary.state),
        "instance": summary.instance,
        "whereabouts": summary.whereabouts,
        "claimed": json_time(summary.claimed),
        "progress": json_time(summary.progress),
        "active": summary.active,
        "cleanup": summary.cleanup,
        "dropped": summary.dropped,
        "schedule": schedule,
        "nextDue": json_time(Some(summary.next_due)),
    })
}

/// Returns the wire name of a state in lower case.
pub(crate) fn state(state: State) -> String {
    state.as_str_name().to_ascii_lowercase()
}

/// Returns how many items a run has ended, and how many of them failed.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of items")]
pub(super) fn counts(status: &Status) -> (u64, u64) {
    let stat = |label: &str| status.stats.get(label).copied().unwrap_or_default().max(0.0) as u64;
    (stat("workItems"), stat("workItemsDirty") + stat("workItemsAborted"))
}

pub(crate) fn work_list(place: &Location, name: &str, output: &mut Output) -> Result<CommandStatus, Failure> {
    let store = open::for_looking(place)?;
    let process = store.process(name)?;
    let mut rows = Vec::new();
    for item in List::ALL.into_iter().flat_map(|list| process.items(list)) {
        let item = item?;
        if output.is_json() {
            output.json_text(&to_json(&item.to_item()?.response(name))?)?;
        } else {
            rows.push(item_row(&item)?);
        }
    }
    if !output.is_json() {
        output.table(&["WORK", "STATE", "SINCE", "ERRORS", "LAST ERROR"], rows)?;
    }
    Ok(CommandStatus::Success)
}

fn item_row(item: &StoredItem) -> Result<Vec<String>, Failure> {
    let now = SystemClock::new().now();
    let is_active = item.list() == List::Active;
    let errors = if is_active { item.total_errors().to_string() } else { "-".to_owned() };
    let last_error = if item.has_errors() { last_error(&item.to_item()?) } else { String::new() };
    let since = age(item.progress_time().or(item.since()), now);
    Ok(vec![item.name().to_owned(), item.state_name().to_owned(), since, errors, last_error])
}

fn last_error(item: &Item) -> String {
    let status = item.work.as_ref().and_then(|work| work.status.as_ref());
    let last = status.and_then(|status| status.errors.last());
    last.map_or(String::new(), |error| first_line(&error.text))
}

/// Returns the first non-empty line.
pub(super) fn first_line(text: &str) -> String {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

pub(crate) fn history(place: &Location, name: &str, output: &mut Output) -> Result<CommandStatus, Failure> {
    let store = open::for_looking(place)?;
    let runs = store.process(name)?.history()?;
    if output.is_json() {
        runs.iter().try_for_each(|run| output.json(&run_json(run)))?;
    } else {
        let rows = runs.iter().map(run_row).collect();
        output.table(&["START", "TOOK", "STATE", "ITEMS", "ERRORS", "INSTANCE"], rows)?;
    }
    Ok(CommandStatus::Success)
}

fn run_row(run: &PastRun) -> Vec<String> {
    let stat = |label: &str| run.stats.get(label).copied().unwrap_or_default();
    vec![
        time(run.start),
        format!("{:.1}s", stat("duration")),
        state(run.state),
        stat("workItems").to_string(),
        run.total_errors.to_string(),
        run.instance.clone(),
    ]
}

fn run_json(run: &PastRun) -> serde_json::Value {
    let errors: Vec<&str> = run.errors.iter().map(|error| error.text.as_str()).collect();
    json!({
        "start": json_time(run.start),
        "finish": json_time(run.finish),
        "state": state(run.state),
        "instance": run.instance,
        "stats": run.stats,
        "errors": errors,
        "totalErrors": run.total_errors,
    })
}

pub(crate) fn stats(place: &Location, output: &mut Output) -> Result<CommandStatus, Failure> {
    let store = open::for_looking(place)?;
    let stats = store.stats()?;
    if output.is_json() {
        output.json(&json!({
            "engine": stats.engine,
            "processes": stats.processes,
            "records": stats.records,
            "diskBytes": stats.disk_bytes,
            "lastSeq": stats.last_seq,
            "syncedSeq": stats.synced_seq,
            "logSegments": stats.log_segments,
            "logBytes": stats.log_bytes,
            "logFreeBytes": stats.log_free_bytes,
            "memtableRecords": stats.memtable_records,
            "memtableBytes": stats.memtable_bytes,
            "checkpointSeq": stats.checkpoint_seq,
            "snapshotSeq": stats.snapshot_seq,
            "snapshotBytes": stats.snapshot_bytes,
            "indexRecords": stats.index_records,
            "indexBytes": stats.index_bytes,
        }))?;
        return Ok(CommandStatus::Success);
    }
    for (label, value) in stats_rows(&stats) {
        output.line(&format!("{label:<12}{value}"))?;
    }
    Ok(CommandStatus::Success)
}

/// Returns the statistics that are meaningful for a store that was just opened.
fn stats_rows(stats: &Stats) -> [(&'static str, String); 7] {
    [
        (
            "store",
            format!(
                "{}, {}, {} on disk",
                count(stats.processes, "process"),
                count(stats.records, "record"),
                count(stats.disk_bytes, "byte")
            ),
        ),
        ("commits", format!("{}, synced up to {}", stats.last_seq, stats.synced_seq)),
        (
            "log",
            format!(
                "{} with {}, {} free",
                count(stats.log_segments, "segment"),
                count(stats.log_bytes, "byte"),
                count(stats.log_free_bytes, "byte")
            ),
        ),
        (
            "memtable",
            format!(
                "{}, {} of memory",
                count(stats.memtable_records, "record"),
                count(stats.memtable_bytes, "byte")
            ),
        ),
        ("checkpoint", format!("has every commit up to {}", stats.checkpoint_seq)),
        (
            "snapshot",
            match stats.snapshot_bytes {
                0 => "none yet: the log is complete".to_owned(),
                bytes => format!("has every commit up to {}, {}", stats.snapshot_seq, count(bytes, "byte")),
            },
        ),
        ("index", format!("{}, {}", count(stats.index_records, "record"), count(stats.index_bytes, "byte"))),
    ]
}
