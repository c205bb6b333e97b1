//! Shows one process, or one work item, in full.

use std::collections::BTreeMap;

use procstate::interchange::to_json;
use procstate::proto::Status;
use procstate::{Params, Process, Settings, Summary, Timestamp};

use super::change::schedule;
use super::look::state;
use crate::failure::{CommandStatus, Failure};
use crate::open::{self, Location};
use crate::terminal::output::{Output, time};

pub(crate) fn show(place: &Location, name: &str, output: &mut Output) -> Result<CommandStatus, Failure> {
    let store = open::for_looking(place)?;
    let handle = store.process(name)?;
    let process = handle.snapshot()?;
    if output.is_json() {
        output.json_text(&to_json(&process)?)?;
    } else {
        print_process(&process, &handle.summary()?, &handle.settings()?, output)?;
    }
    Ok(CommandStatus::Success)
}

fn print_process(
    process: &Process,
    summary: &Summary,
    settings: &Settings,
    output: &mut Output,
) -> Result<(), Failure> {
    field(output, "process", &process.process_name)?;
    let owner = if summary.instance.is_empty() { "none" } else { &summary.instance };
    field(output, "owner", owner)?;
    if !summary.whereabouts.is_empty() {
        field(output, "where", &summary.whereabouts)?;
    }
    field(output, "claimed", &time(summary.claimed))?;
    let every = schedule(settings).unwrap_or_else(|| "no schedule".to_owned());
    let every =
        if settings.schedule.is_some() && settings.cron.is_none() { format!("every {every}") } else { every };
    field(output, "schedule", &every)?;
    field(output, "next due", &time(Some(summary.next_due)))?;
    let counts =
        format!("{} active, {} cleanup, {} dropped", summary.active, summary.cleanup, summary.dropped);
    field(output, "work", &counts)?;
    params(output, "settings", Some(&settings.params))?;
    if let Some(status) = &process.process_status {
        field(output, "state", &state(status.state()))?;
        print_status(status, output)?;
    }
    numbers(output, "totals", &process.aggregate_stats)
}

pub(crate) fn work(
    place: &Location,
    name: &str,
    work: &str,
    output: &mut Output,
) -> Result<CommandStatus, Failure> {
    let store = open::for_looking(place)?;
    let response = store.process(name)?.work(work)?;
    let found = if response.state == "purged" { CommandStatus::Findings } else { CommandStatus::Success };
    if output.is_json() {
        output.json_text(&to_json(&response)?)?;
        return Ok(found);
    }
    field(output, "work", &response.id)?;
    field(output, "state", &response.state)?;
    if let Some(details) = response.details {
        field(output, "modified", &wire_time(details.modified))?;
        params(output, "params", details.params.as_ref())?;
        print_status(&details.status.unwrap_or_default(), output)?;
    }
    Ok(found)
}

fn print_status(status: &Status, output: &mut Output) -> Result<(), Failure> {
    field(output, "started", &wire_time(status.start_time))?;
    field(output, "progress", &wire_time(status.progress_time))?;
    field(output, "finished", &wire_time(status.finish_time))?;
    numbers(output, "stats", &status.stats)?;
    if status.total_errors > 0 {
        field(output, "errors", &status.total_errors.to_string())?;
        for error in &status.errors {
            output.line(&format!("  {}  {}", wire_time(error.time), error.text))?;
        }
    }
    Ok(())
}

fn params(output: &mut Output, label: &str, params: Option<&Params>) -> Result<(), Failure> {
    let Some(params) = params else { return Ok(()) };
    let ints = params.int_params.iter().map(|(name, value)| (name, value.to_string()));
    let strings = params.string_params.iter().map(|(name, value)| (name, format!("{value:?}")));
    for (name, value) in ints.chain(strings) {
        field(output, label, &format!("{name} = {value}"))?;
    }
    Ok(())
}

fn numbers(output: &mut Output, label: &str, stats: &BTreeMap<String, f64>) -> Result<(), Failure> {
    stats.iter().try_for_each(|(name, value)| field(output, label, &format!("{name} = {value}")))
}

fn field(output: &mut Output, label: &str, value: &str) -> Result<(), Failure> {
    output.line(&format!("{label:<10}{value}"))
}

fn wire_time(wire: Option<prost_types::Timestamp>) -> String {
    time(wire.and_then(|wire| Timestamp::new(wire.seconds, wire.nanos).ok()))
}
