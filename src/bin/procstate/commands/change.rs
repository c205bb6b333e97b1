//! Operator commands that change settings or owners.

use std::time::Duration;

use procstate::{FailureLimit, Settings};
use serde_json::json;

use crate::args::SettingsArgs;
use crate::failure::{CommandStatus, Failure};
use crate::open::{self, Location};
use crate::terminal::output::{Output, count, json_time, say, time};

pub(crate) fn settings(
    place: &Location,
    args: &SettingsArgs,
    output: &mut Output,
) -> Result<CommandStatus, Failure> {
    let schedules = args.every.is_some() || args.cron.is_some() || args.no_schedule;
    let limits = args.max_failed_items.is_some() || args.min_interval.is_some();
    if !schedules && !limits && args.params.is_empty() {
        return print_settings(place, &args.name, output);
    }
    let store = open::for_changing(place)?;
    let process = store.process(&args.name)?;
    if !process.exists()? {
        say(&format!("creating process {:?}", args.name));
    }
    if let Some(cron) = &args.cron {
        process.set_cron(cron, &args.time_zone)?;
    } else if let Some(every) = args.every {
        process.set_schedule_with_offset(every, args.offset.unwrap_or_default())?;
    } else if args.no_schedule {
        process.set_schedule(None)?;
    }
    if let Some(limit) = args.max_failed_items {
        process.set_max_failed_items(Some(limit).filter(|limit| *limit != FailureLimit::None))?;
    }
    if args.min_interval.is_some() {
        process.set_min_interval(args.min_interval)?;
    }
    if !args.params.is_empty() {
        process.update_params(|params| args.params.add_to(params))?;
    }
    store.close()?;
    Ok(CommandStatus::Success)
}

fn print_settings(place: &Location, name: &str, output: &mut Output) -> Result<CommandStatus, Failure> {
    let store = open::for_looking(place)?;
    let settings = store.process(name)?.settings()?;
    if output.is_json() {
        output.json(&json!({
            "scheduleSeconds": settings.schedule.map(|every| every.as_secs_f64()),
            "offsetSeconds": settings.offset.map(|offset| offset.as_secs_f64()),
            "cron": settings.cron,
            "maxFailedItems": settings.max_failed_items.map(|limit| limit.to_string()),
            "minIntervalSeconds": settings.min_interval.map(|interval| interval.as_secs_f64()),
            "intParams": settings.params.int_params,
            "stringParams": settings.params.string_params,
            "changed": json_time(settings.changed),
        }))?;
        return Ok(CommandStatus::Success);
    }
    output.line(&format!("schedule = {}", schedule(&settings).unwrap_or_else(|| "none".to_owned())))?;
    if let Some(limit) = settings.max_failed_items {
        output.line(&format!("max failed items = {limit}"))?;
    }
    if let Some(interval) = settings.min_interval {
        output.line(&format!("min interval = {}", humantime::format_duration(interval)))?;
    }
    for (name, value) in &settings.params.int_params {
        output.line(&format!("{name} = {value}"))?;
    }
    for (name, value) in &settings.params.string_params {
        output.line(&format!("{name} = {value:?}"))?;
    }
    Ok(CommandStatus::Success)
}

/// Describes the schedule, if there is one.
pub(crate) fn schedule(settings: &Settings) -> Option<String> {
    if let Some(cron) = &settings.cron {
        return Some(format!("cron {cron}"));
    }
    let every = humantime::format_duration(settings.schedule?);
    Some(match settings.offset {
        Some(offset) => format!("{every} after {}", humantime::format_duration(offset)),
        None => every.to_string(),
    })
}

pub(crate) fn release(place: &Location, name: &str, output: &mut Output) -> Result<CommandStatus, Failure> {
    let store = open::for_changing(place)?;
    let released = store.process(name)?.release()?;
    store.close()?;
    match released {
        None => say(&format!("process {name:?} has no owner")),
        Some(released) if output.is_json() => {
            output.json(&json!({"instance": released.instance, "since": json_time(released.since)}))?;
        }
        Some(released) => {
            say(&format!(
                "released the lock of {}, its owner since {}",
                released.instance,
                time(released.since)
            ));
        }
    }
    Ok(CommandStatus::Success)
}

pub(crate) fn purge(
    place: &Location,
    name: &str,
    older_than: Duration,
    output: &mut Output,
) -> Result<CommandStatus, Failure> {
    let store = open::for_changing(place)?;
    let purged = store.process(name)?.purge(older_than)?;
    store.close()?;
    if output.is_json() {
        output.json(&json!({"dropped": purged.dropped, "runs": purged.runs}))?;
    } else {
        let (dropped, runs) = (count(purged.dropped, "dropped item"), count(purged.runs, "past run"));
        say(&format!("purged {dropped} and {runs}"));
    }
    Ok(CommandStatus::Success)
}
