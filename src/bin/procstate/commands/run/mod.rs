//! Runs a command for each work item.
//!
//! A [`session`] has one run, and [`stay`] has many. A [`job`] is the worker: it fills in a
//! [`template`], and runs the command as a supervised [`child`]. Its output goes through a
//! [`capture`] to the [`report`] and into files.

pub(crate) mod args;
pub(crate) mod child;
mod dry_run;
mod extent;
mod interrupts;
mod job;
pub(crate) mod output;
mod pace;
mod schedule;
mod session;
mod stay;
mod template;

use args::Run;
use child::Reaper;
use interrupts::Interrupts;
use session::Session;

use crate::failure::{CommandStatus, Failure};
use crate::open::Location;
use crate::terminal::output::Output;

pub(crate) fn run(place: &Location, args: &Run, output: &mut Output) -> Result<CommandStatus, Failure> {
    begin(place, args, output).map_err(|failure| match failure {
        // Here 1 means that items failed.
        Failure::Absent(text) => Failure::Failed(text),
        other => other,
    })
}

fn begin(place: &Location, args: &Run, output: &mut Output) -> Result<CommandStatus, Failure> {
    if args.when.dry_run {
        // It claims the process in a private copy, which etcd cannot provide.
        return dry_run::print(place.folder()?, args, output);
    }
    if let Some(nice) = args.pace.nice {
        // Applies to this thread and everything that it starts, including the commands.
        rustix::process::nice(nice)
            .map_err(|error| Failure::Failed(format!("could not change the niceness by {nice}: {error}")))?;
    }
    let session = Session {
        place,
        args,
        is_json: output.is_json(),
        interrupts: Interrupts::install()?,
        reaper: Reaper::new(),
    };
    match (&args.when.cron, args.when.every) {
        (None, None) => session.once(),
        _ => session.stay(),
    }
}
