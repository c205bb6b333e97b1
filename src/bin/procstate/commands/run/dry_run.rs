//! What a run would do: it is begun on a private copy of the store.

use std::path::Path;

use procstate::{Claim, ClaimOptions, Instance, List};

use super::args::Run;
use super::template::{self, Template};
use crate::failure::{Failure, Found};
use crate::input::names;
use crate::open::{self, Place};
use crate::terminal::output::{Output, say};

/// Prints the commands as a shell would read them, in their order.
pub(super) fn print(db: &Path, args: &Run, output: &mut Output) -> Result<Found, Failure> {
    let store = open::for_looking(&Place::Folder(db.to_owned()))?;
    let process = store.process(&args.name)?;
    let options = ClaimOptions::new().force(!args.when.if_due).skip_completed(args.when.failed);
    let mut run = match process.claim_with(&Instance::new(), &options)? {
        Claim::Won(run) => run,
        Claim::NotDue { .. } | Claim::Held { .. } => return Ok(Found::AllWell),
    };
    let template = Template::new(&args.command, args.input.replace.as_deref());
    let (settings, mut found) = (run.settings(), Found::AllWell);
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
                found = Found::Something;
                say(&format!("{:?} would fail: {error}", work.name()));
            }
        }
    }
    Ok(found)
}
