//! Pauses, resumes and retries.

use procstate::Effect;
use serde_json::json;

use crate::args::RetryArgs;
use crate::failure::{CommandStatus, Failure};
use crate::input::names::from_argument;
use crate::open::{self, Location};
use crate::terminal::output::{Output, count, say};

pub(crate) fn pause(place: &Location, name: &str, output: &mut Output) -> Result<CommandStatus, Failure> {
    let store = open::for_changing(place)?;
    let effect = store.process(name)?.pause()?;
    store.close()?;
    tell(name, effect, "paused", output)
}

pub(crate) fn resume(place: &Location, name: &str, output: &mut Output) -> Result<CommandStatus, Failure> {
    let store = open::for_changing(place)?;
    let process = store.process(name)?;
    let effect = if process.is_paused()? { process.resume()? } else { Effect::Unchanged };
    store.close()?;
    tell(name, effect, "resumed", output)
}

fn tell(name: &str, effect: Effect, done: &str, output: &mut Output) -> Result<CommandStatus, Failure> {
    let is_changed = effect == Effect::Changed;
    if output.is_json() {
        output.json(&json!({"changed": is_changed}))?;
    } else if is_changed {
        say(&format!("{done} process {name:?}"));
    } else {
        let was = if done == "paused" { "was paused already" } else { "was not paused" };
        say(&format!("process {name:?} {was}"));
    }
    Ok(CommandStatus::Success)
}

pub(crate) fn retry(
    place: &Location,
    args: &RetryArgs,
    output: &mut Output,
) -> Result<CommandStatus, Failure> {
    let store = open::for_changing(place)?;
    let process = store.process(&args.name)?;
    let queued = if args.failed {
        process.retry_failed()?
    } else {
        process.retry(args.work.iter().map(|work| from_argument(work)))?
    };
    store.close()?;
    if output.is_json() {
        output.json(&json!({"queued": queued}))?;
    } else {
        say(&format!("queued {}", count(queued, "item")));
    }
    Ok(CommandStatus::Success)
}
