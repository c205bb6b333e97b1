//! Rebuilding the index from the newest snapshot, behind which the log goes on.

use std::path::PathBuf;

use crate::engine::durable::open::policy::not_rebuilt;
use crate::engine::durable::storage::{IndexBackend, IndexDirectory, Snapshot, Snapshots, fill};
use crate::error::{Failure, Result, reason};

/// Puts a new index in place of the one in `home`, with which something is `wrong`, of the
/// newest snapshot, or of nothing. Until that is done nothing of the old one is touched.
/// Answers where it is kept.
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

/// Fills an empty index.
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
