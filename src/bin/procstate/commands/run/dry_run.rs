//! Shows what a run would do, by starting it on a private copy of the store.

use std::path::Path;

use procstate::{Claim, ClaimOptions, Instance, List};

use super::args::Run;
use super::template::{self, Template};
use crate::failure::{CommandStatus, Failure};
use crate::input::names;
use crate::open::{self, Location};
use crate::terminal::output::{Output, say};

/// Prints the commands in order, quoted for a shell.
pub(super) fn print(db: &Path, args: &Run, output: &mut Output) -> Result<CommandStatus, Failure> {
    let store = open::for_looking(&Location::Folder(db.to_owned()))?;
    let process = store.process(&args.name)?;
    let options = ClaimOptions::new().force(!args.when.if_due).skip_completed(args.when.failed);
    let mut run = match process.claim_with(&Instance::new(), &options)? {
        Claim::Won(run) => run,
        Claim::NotDue { .. } | Claim::Held { .. } => return Ok(CommandStatus::Success),
    };
    let template = Template::new(&args.command, args.input.replace.as_deref());
    let (settings, mut found) = (run.settings(), CommandStatus::Success);
    while let Some(work) = run.next_work()? {
        if work.list() == List::Cleanup {
            say(&format!("{:?} would be dropped", work.name()));
            continue;
        }
        let values = template::values(&settings, &work.params());
        match template.words(&names::to_os_string(work.name()), &values) {
            Ok(words) => {
                output.bytes(&template::quoted(&words))?;
                output.bytes(b"\n")?;
            }
            Err(error) => {
                found = CommandStatus::Findings;
                say(&format!("{:?} would fail: {error}", work.name()));
            }
        }
    }
    Ok(found)
}
