//! Verifying a store: everything in it is read, and nothing is changed.
//!
//! What a finding means depends on what else is sound: damage to the index is a
//! warning where snapshot and log have the same, and damage where they do not. So
//! the parts are judged first, as opening judges them, and told of then.

mod digest;
mod files;
mod index;
mod log;
mod report;
mod snapshots;
mod verified;

use std::path::Path;

pub use verified::Verified;

use super::files::inspection::Inspection;
use super::files::offline::Offline;
use super::finding::Finding;
use super::options::{Options, bytes_of};
use crate::error::Result;
use report::Report;

/// Reads every file of a store that no program has open: manifest, log, snapshots and
/// index, each checksum, envelope, key and message, the rule that a work item is on
/// one list, the order of commits, and whether the index is what snapshot and log say.
/// Not a byte of the store is changed; a copy of the index is opened instead of it.
/// Each finding is handed to `visit` as it is made.
///
/// # Errors
///
/// [`is_not_found`](crate::Error::is_not_found) if there is no store;
/// [`is_locked`](crate::Error::is_locked) while a program has it open;
/// [`is_disk_full`](crate::Error::is_disk_full) if there is no room for the copy; if
/// a newer version wrote it. Damage is no error, but a finding.
///
/// # Examples
///
/// ```
/// use procstate::recovery::{Options, verify};
/// # let folder = tempfile::tempdir()?;
/// # procstate::Store::open(folder.path())?.close()?;
///
/// let verified = verify(folder.path(), Options::default(), |finding| {
///     println!("{}: {}. {}", finding.file.display(), finding.what, finding.meaning);
/// })?;
/// assert!(verified.is_sound());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn verify(
    store: impl AsRef<Path>,
    options: Options<'_>,
    mut visit: impl FnMut(Finding),
) -> Result<Verified> {
    let store = Offline::open(store.as_ref())?;
    let files = store.closed.files()?;
    let bytes: u64 = files.iter().map(|file| bytes_of(file)).sum();
    let scratch = options.scratch_folder();
    // Most of it is read twice.
    let meter = options.meter(2 * bytes);
    let inspection = Inspection::read(&store, &scratch, &meter)?;
    let mut report = Report::new(&store, &inspection, &mut visit);
    files::check(&store, &files, &inspection, &mut report);
    snapshots::check(&store, &inspection, &mut report)?;
    let behind = log::check(&store, &inspection, &mut report)?;
    index::check(&store, &inspection, &behind, &meter, &mut report)?;
    store.closed.confirm()?;
    Ok(report.finish(&files, bytes))
}
