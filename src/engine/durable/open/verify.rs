//! Verifies a store that was opened without verification.

use super::gather::{is_of_the_index, read_copies, snapshot_facts};
use super::policy::{Facts, judge};
use crate::engine::durable::options::Recovery;
use crate::engine::durable::storage::{IndexBackend, StoreFiles};
use crate::error::{Failure, Result, reason};
use crate::record::Position;

/// Reads everything that opening did not read, and judges the store as if it were opened now;
/// returns false if `stop` returned true first.
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
    let log = files.log.load()?;
    let newest = files.snapshots.newest()?;
    let (index, copies) = std::thread::scope(|scope| {
        let copies = scope.spawn(|| read_copies(&files.snapshots, newest.as_ref(), &log, stop));
        (verify_index(index, stop), copies.join().map_err(super::gather::panicked).flatten())
    });
    let (index, (survey, soundness, in_snapshot)) = (index?, copies?);
    if stop() {
        return Ok(false);
    }
    let (manifest, synced) = (files.index_dir.manifest()?, files.synced.read()?);
    let snapshots = snapshot_facts(newest.as_ref(), in_snapshot, soundness);
    let facts = Facts { snapshots, index, log: Ok(survey), ..Facts::noted(Ok(&manifest), &synced) };
    let verdict = judge(&facts, Recovery::Refuse);
    verdict.index.map_err(|fault| damaged("the index", &fault.to_string()))?;
    let plan = verdict.opens.map_err(|refusal| refusal.into_error(&files.log.dir))?;
    let damage = [
        ("the log", plan.damaged_log.map(|fault| fault.to_string())),
        ("the newest snapshot", plan.damaged_snapshot),
        ("SYNCED", plan.damaged_synced),
    ];
    match damage.into_iter().find_map(|(place, damage)| Some((place, damage?))) {
        Some((place, why)) => Err(damaged(place, &why)),
        None => Ok(true),
    }
}

/// Verifies the index, and returns its last commit; the inner error is its damage.
fn verify_index(
    index: &dyn IndexBackend,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Result<Position, String>> {
    match index.verify(stop).and_then(|()| index.contents()) {
        Ok(contents) => Ok(Ok(contents.position())),
        Err(error) if is_of_the_index(&error) => Ok(Err(reason(&error))),
        Err(error) => Err(error),
    }
}

fn damaged(place: &str, why: &str) -> crate::Error {
    let why = format!("{why}. Nothing was written since the store was opened; opening it again repairs it");
    Failure::Corrupt { place: place.to_owned(), why }.into()
}
