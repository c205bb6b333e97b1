//! Registers and unregisters work.

use procstate::{Params, ProcessHandle, Tally};
use serde_json::json;

use crate::args::{Register, Unregister};
use crate::failure::{CommandStatus, Failure};
use crate::input::lists::{self, Form, Listed};
use crate::open::{self, Location};
use crate::terminal::output::{Output, count, say};

/// The maximum number of unknown names to print.
const UNKNOWN_SHOWN_MAX: usize = 10;

pub(crate) fn register(
    place: &Location,
    args: &Register,
    output: &mut Output,
) -> Result<CommandStatus, Failure> {
    let form = match (args.json_lines, args.items.null) {
        (true, _) => Form::JsonLines,
        (false, true) => Form::Null,
        (false, false) => Form::Lines,
    };
    let command = format!("register {}", args.name);
    let listed = lists::read(&args.items, form, &args.params.to_params(), &command)?;
    if args.exact && listed.is_empty() && !args.allow_empty {
        return Err(Failure::Failed(format!(
            "the list is empty, and with --exact all work of process {:?} would be unregistered; nothing was changed. If this is intended, use --allow-empty",
            args.name
        )));
    }
    let store = open::for_changing(place)?;
    let process = store.process(&args.name)?;
    let only = match &*listed {
        [item] if !args.exact => Some(item.name.clone()),
        _ => None,
    };
    let items = listed.into_iter().map(|item| (item.name, item.params));
    let tally = if args.exact { process.sync_work(items)? } else { process.register_all(items)? };
    store.close()?;
    if output.is_json() {
        let Tally { changed, unchanged, unregistered, .. } = tally;
        output.json(&json!({"changed": changed, "unchanged": unchanged, "unregistered": unregistered}))?;
    } else {
        say(&only.map_or_else(|| registered_words(&tally, args.exact), |name| registered_one(&name, &tally)));
    }
    Ok(CommandStatus::Success)
}

fn registered_one(name: &str, tally: &Tally) -> String {
    if tally.changed == 1 {
        format!("registered {name:?}")
    } else {
        format!("{name:?} was registered with these parameters already")
    }
}

fn registered_words(tally: &Tally, exact: bool) -> String {
    let mut words = format!("registered {}", count(tally.changed, "item"));
    if tally.unchanged > 0 {
        let were = if tally.unchanged == 1 { "was" } else { "were" };
        let unchanged = count(tally.unchanged, "item");
        words.push_str(&format!("; {unchanged} {were} registered with these parameters already"));
    }
    if exact {
        words.push_str(&format!("; unregistered {}", count(tally.unregistered, "item")));
    }
    words
}

pub(crate) fn unregister(
    place: &Location,
    args: &Unregister,
    output: &mut Output,
) -> Result<CommandStatus, Failure> {
    let form = if args.items.null { Form::Null } else { Form::Lines };
    let command = format!("unregister {}", args.name);
    let listed = lists::read(&args.items, form, &Params::new(), &command)?;
    let store = open::for_changing(place)?;
    let process = store.process(&args.name)?;
    let (known, unknown) =
        if args.cleanup_unknown { (listed, Vec::new()) } else { by_being_known(&process, listed)? };
    let tally = process.unregister_all(known.iter().map(|item| item.name.clone()))?;
    store.close()?;
    say_unknown(&args.name, &unknown);
    if output.is_json() {
        let Tally { unchanged, unregistered, .. } = tally;
        output
            .json(&json!({"unregistered": unregistered, "unchanged": unchanged, "unknown": unknown.len()}))?;
    } else if !known.is_empty() || unknown.is_empty() {
        say(&unregistered_words(&known, &tally));
    }
    Ok(if known.is_empty() && !unknown.is_empty() { CommandStatus::Findings } else { CommandStatus::Success })
}

/// Splits names into those on a list and unknown ones.
fn by_being_known(
    process: &ProcessHandle,
    listed: Vec<Listed>,
) -> procstate::Result<(Vec<Listed>, Vec<Listed>)> {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for item in listed {
        let is_known = process.work(&item.name)?.state != "purged";
        if is_known { &mut known } else { &mut unknown }.push(item);
    }
    Ok((known, unknown))
}

fn say_unknown(process: &str, unknown: &[Listed]) {
    for item in unknown.iter().take(UNKNOWN_SHOWN_MAX) {
        say(&format!(
            "process {process:?} has no work {:?}: it was never registered, or was purged",
            item.name
        ));
    }
    let more = unknown.len().saturating_sub(UNKNOWN_SHOWN_MAX);
    if more > 0 {
        say(&format!("and {} more that it does not have", count(more, "name")));
    }
}

fn unregistered_words(known: &[Listed], tally: &Tally) -> String {
    match known {
        [item] if tally.unregistered == 1 => return format!("unregistered {:?}", item.name),
        [item] => return format!("{:?} was unregistered already", item.name),
        _ => {}
    }
    let mut words = format!("unregistered {}", count(tally.unregistered, "item"));
    if tally.unchanged > 0 {
        let were = if tally.unchanged == 1 { "was" } else { "were" };
        words.push_str(&format!("; {} {were} unregistered already", count(tally.unchanged, "item")));
    }
    words
}
