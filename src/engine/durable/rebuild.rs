//! Rebuilding the index from the newest snapshot, behind which the log goes on.

use std::path::PathBuf;

use bytes::Bytes;

use super::base::{Base, Change, Home};
use super::checkpoint::Steps;
use super::snapshots::{Snapshot, Snapshots};
use super::wal::{Directory, scan};
use super::witness::Witness;
use crate::error::{self, Error, Failure, Result};
use crate::record::Position;

/// Keys and values, in order.
pub(crate) type Records<'a> = dyn Iterator<Item = Result<(Bytes, Bytes)>> + 'a;

/// Puts a new index in place of the one in `home`, with which something is wrong.
/// What is rebuilt must reach the `log`, if there is one.
/// Until that is done nothing of the old one is touched. Answers where it is kept.
pub(crate) fn rebuild(
    home: &dyn Home,
    snapshots: &Snapshots,
    newest: Option<&Snapshot>,
    log: Option<(&Directory, &Witness)>,
    wrong: &str,
) -> Result<Option<PathBuf>> {
    let attempt = || {
        if let Some((log, witness)) = log {
            let found = scan(log, newest.map_or(0, |snapshot| snapshot.seq), &mut |_, _| Ok(()))?;
            if let Some(why) = witness.why_not_log(found.as_ref(), None) {
                return Err(Failure::Corrupt { place: "the log".to_owned(), why }.into());
            }
        }
        let base = home.begin()?;
        if let Some(snapshot) = newest {
            load(&*base, snapshots, snapshot)?;
        }
        base.close()?;
        home.adopt()
    };
    attempt().map_err(|error| hopeless(wrong, &error))
}

/// Fills an empty index.
fn load(base: &dyn Base, snapshots: &Snapshots, snapshot: &Snapshot) -> Result<()> {
    let mut records = snapshots.read(snapshot)?;
    let position = records.summary().position();
    fill(base, position, &mut records)?;
    let (contents, summary) = (base.contents()?, records.summary());
    if (contents.records, contents.sum) == (summary.records, summary.sum) {
        return Ok(());
    }
    let why = "an index rebuilt from it does not hold the same".to_owned();
    Err(Failure::Corrupt { place: format!("snapshot {}", snapshot.path.display()), why }.into())
}

/// Fills an empty index with the records that there were after the commit `position`.
pub(crate) fn fill(base: &dyn Base, position: Position, records: &mut Records<'_>) -> Result<()> {
    let mut steps = Steps::new(base, 0, &|| true);
    for record in records {
        let (key, value) = record?;
        steps.add(Change { key, value: Some(value), owner: None })?;
    }
    steps.finish(position)
}

fn hopeless(wrong: &str, error: &Error) -> Error {
    let error = error::reason(error);
    let why = format!(
        "{wrong}. It could not be rebuilt from snapshot and log either: {error}. Nothing was changed. Put back what was moved or deleted, or restore a backup; `procstate verify` tells what is wrong, and `procstate salvage --output NEWDIR` makes a new store of all that can still be read"
    );
    Failure::Corrupt { place: "the index".to_owned(), why }.into()
}
