//! Prints the log, commit by commit.

use std::ops::ControlFlow;

use procstate::recovery::{LogChange, LogCommit, LogEntry};
use serde_json::json;

use crate::args::Log;
use crate::failure::{CommandStatus, Failure};
use crate::open::{self, Location};
use crate::terminal::output::{Output, json_time, say, time};

pub(crate) fn log(place: &Location, args: &Log, output: &mut Output) -> Result<CommandStatus, Failure> {
    if args.follow {
        return follow(place, args.from, output);
    }
    let from = args.from;
    let mut found = CommandStatus::Success;
    let mut failure = Ok(());
    let mut is_empty = true;
    let read = open::read_log(place, from, |entry| {
        is_empty = false;
        if matches!(entry, LogEntry::Gap { .. }) {
            found = CommandStatus::Findings;
        }
        if failure.is_ok() {
            failure = print(&entry, output);
        }
        Ok(())
    });
    failure?;
    let last = read?;
    if is_empty && from > last {
        say(&format!("the last commit in the log is {last}; there is nothing from {from} on"));
    }
    Ok(found)
}

/// Prints the log, and then each new commit.
fn follow(place: &Location, from: u64, output: &mut Output) -> Result<CommandStatus, Failure> {
    let store = open::where_it_is_open(place)?;
    let mut found = CommandStatus::Success;
    let mut failure = Ok(());
    let followed = store.follow_log(from, |entry| {
        if matches!(entry, LogEntry::Gap { .. }) {
            found = CommandStatus::Findings;
        }
        failure = print(&entry, output).and_then(|()| output.flush());
        if failure.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    failure?;
    followed?;
    say("the program that had the store open has closed it, or is gone");
    Ok(found)
}

fn print(entry: &LogEntry, output: &mut Output) -> Result<(), Failure> {
    match entry {
        LogEntry::Commit(commit) if output.is_json() => output.json(&json!({
            "seq": commit.seq,
            "time": json_time(commit.time),
            "by": commit.by,
            "changes": commit.changes.iter().map(change_json).collect::<Vec<_>>(),
        })),
        LogEntry::Commit(commit) => output.line(&commit_line(commit)),
        LogEntry::Gap { path, offset, after, .. } if output.is_json() => output
            .json(&json!({"gap": {"file": path.display().to_string(), "offset": offset, "after": after}})),
        LogEntry::Gap { path, offset, after, .. } => output.line(&format!(
            "--- there is a gap after commit {after}: {} at byte {offset} (see `procstate verify`)",
            path.display()
        )),
        _ => Ok(()),
    }
}

fn change_json(change: &LogChange) -> serde_json::Value {
    json!({"process": change.process, "record": change.record, "work": change.work, "bytes": change.bytes})
}

fn commit_line(commit: &LogCommit) -> String {
    const SHOWN: usize = 8;
    let mut line = format!("{} {}", commit.seq, time(commit.time));
    if let Some(by) = &commit.by {
        line.push_str(&format!(" by {by}"));
    }
    for change in commit.changes.iter().take(SHOWN) {
        let sign = if change.bytes.is_some() { '+' } else { '-' };
        let place: Vec<String> = [Some(&*change.process), Some(change.record), change.work.as_deref()]
            .into_iter()
            .flatten()
            .map(str::to_owned)
            .collect();
        line.push_str(&format!(" {sign}{}", place.join("/")));
    }
    let more = commit.changes.len().saturating_sub(SHOWN);
    if more > 0 {
        line.push_str(&format!(" and {more} more"));
    }
    line
}
