//! Prints the output that a run kept for an item.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::run::child::Stream;
use super::run::output::log_files::{LogFiles, SETTING};
use crate::args::Logs;
use crate::failure::{CommandStatus, Failure};
use crate::open::{self, Location};
use crate::terminal::output::Output;

const CHUNK: usize = 64 << 10;

/// Prints the output of an item's last command: its standard output, then its standard error, each
/// on the same stream.
pub(crate) fn logs(place: &Location, args: &Logs, output: &mut Output) -> Result<CommandStatus, Failure> {
    let logs = LogFiles::new(&folder(place, args)?, &args.name, None);
    let mut found = false;
    if !args.stderr {
        found |= copy(&logs.path(&args.work, Stream::Stdout), |bytes| output.bytes(bytes))?;
        output.flush()?;
    }
    if !args.stdout {
        let stderr = &mut io::stderr();
        found |=
            copy(&logs.path(&args.work, Stream::Stderr), |bytes| Ok(io::Write::write_all(stderr, bytes)?))?;
    }
    if found {
        return Ok(CommandStatus::Success);
    }
    Err(Failure::Absent(format!(
        "there is no output of {:?} in {}: its last command wrote none, or it was not run with --logs",
        args.work,
        logs.path(&args.work, Stream::Stdout).parent().unwrap_or(Path::new("")).display()
    )))
}

fn folder(place: &Location, args: &Logs) -> Result<PathBuf, Failure> {
    if let Some(folder) = &args.logs {
        return Ok(folder.clone());
    }
    let settings = open::for_looking(place)?.process(&args.name)?.settings()?;
    settings.params.get_string(SETTING).map(PathBuf::from).ok_or_else(|| {
        Failure::Absent(format!("process {:?} keeps no logs: `procstate run --logs DIR` does", args.name))
    })
}

/// Copies a file; returns whether it exists.
fn copy(path: &Path, mut write: impl FnMut(&[u8]) -> Result<(), Failure>) -> Result<bool, Failure> {
    let failed = |error: io::Error| Failure::Failed(format!("could not read {}: {error}", path.display()));
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other.map_err(failed)?,
    };
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = file.read(&mut buffer).map_err(failed)?;
        if length == 0 {
            return Ok(true);
        }
        write(buffer.get(..length).unwrap_or_default())?;
    }
}
