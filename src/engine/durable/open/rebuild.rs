//! Rebuilds the index from the newest snapshot; the log after that is replayed later.

use std::path::PathBuf;

use crate::engine::durable::open::policy::not_rebuilt;
use crate::engine::durable::storage::{IndexBackend, IndexDirectory, Snapshot, Snapshots, fill};
use crate::error::{Failure, Result, reason};

/// Replaces the damaged index in `index_dir` by one made from the newest snapshot, or by an empty
/// one; returns where the old one is kept.
///
/// The old index is not touched before the new one is complete.
pub(crate) fn rebuild(
    index_dir: &dyn IndexDirectory,
    snapshots: &Snapshots,
    newest: Option<&Snapshot>,
    wrong: &str,
) -> Result<Option<PathBuf>> {
    let attempt = || {
        let index = index_dir.begin()?;
        if let Some(snapshot) = newest {
            load(&*index, snapshots, snapshot)?;
        }
        index.close()?;
        index_dir.adopt()
    };
    attempt().map_err(|error| not_rebuilt(wrong, &reason(&error)))
}

/// Fills an empty index with the records of a snapshot.
fn load(index: &dyn IndexBackend, snapshots: &Snapshots, snapshot: &Snapshot) -> Result<()> {
    let mut records = snapshots.read(snapshot)?;
    let position = records.summary().position();
    fill(index, position, &mut records)?;
    let (contents, summary) = (index.contents()?, records.summary());
    if (contents.records, contents.sum) == (summary.records, summary.sum) {
        return Ok(());
    }
    let why = "an index rebuilt from it does not hold the same".to_owned();
    Err(Failure::Corrupt { place: format!("snapshot {}", snapshot.path.display()), why }.into())
}
