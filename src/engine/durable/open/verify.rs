//! Verifies what opening did not read of a store that is verified later: the records in the index, and
//! the newest snapshot.

use super::gather::{is_damage, panicked};
use crate::engine::durable::storage::{IndexBackend, Snapshot, StoreFiles};
use crate::error::{Error, Failure, Result, reason};

/// Reads index and snapshot; returns false if `stop` returned true first.
///
/// Nothing may be written to the store meanwhile.
///
/// # Errors
///
/// If there is damage, which opening the store with verification repairs.
pub(crate) fn verify(
    files: &StoreFiles,
    index: &dyn IndexBackend,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<bool> {
    let newest = files.snapshots.newest()?;
    let read = |newest: &Snapshot| files.snapshots.read(newest)?.finish_unless(stop).map(drop);
    let (index, snapshot) = std::thread::scope(|scope| {
        let snapshot = scope.spawn(|| newest.as_ref().map_or(Ok(()), read));
        (index.verify(stop), snapshot.join().map_err(panicked).flatten())
    });
    if stop() {
        return Ok(false);
    }
    index.map_err(|error| damaged("the index", error))?;
    snapshot.map_err(|error| damaged("the newest snapshot", error))?;
    Ok(true)
}

/// Says how to repair the damage, if that is what the error is about.
fn damaged(place: &str, error: Error) -> Error {
    if !is_damage(&error) {
        return error;
    }
    let why = reason(&error);
    let why = format!("{why}. Nothing was written since the store was opened; opening it again repairs it");
    Failure::Corrupt { place: place.to_owned(), why }.into()
}
