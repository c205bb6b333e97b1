//! Rebuilding the index from the newest snapshot, behind which the log goes on.

use std::path::PathBuf;

use bytes::Bytes;

use super::base::{Base, Change, Home};
use super::checkpoint::Steps;
use super::snapshots::{Snapshot, Snapshots};
use super::verdict::not_rebuilt;
use crate::error::{Failure, Result, reason};
use crate::record::Position;

/// Keys and values, in order.
pub(crate) type Records<'a> = dyn Iterator<Item = Result<(Bytes, Bytes)>> + 'a;

/// Puts a new index in place of the one in `home`, with which something is `wrong`, of the
/// newest snapshot, or of nothing. Until that is done nothing of the old one is touched.
/// Answers where it is kept.
pub(crate) fn rebuild(
    home: &dyn Home,
    snapshots: &Snapshots,
    newest: Option<&Snapshot>,
    wrong: &str,
) -> Result<Option<PathBuf>> {
    let attempt = || {
        let base = home.begin()?;
        if let Some(snapshot) = newest {
            load(&*base, snapshots, snapshot)?;
        }
        base.close()?;
        home.adopt()
    };
    attempt().map_err(|error| not_rebuilt(wrong, &reason(&error)))
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
