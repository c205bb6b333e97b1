//! Verifies a store: reads everything in it, and changes nothing.
//!
//! The severity of damage depends on the other parts: damage to the index is a warning if snapshot
//! and log have the same content, and damage otherwise. So all parts are first judged as opening
//! judges them, and then reported.

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

/// Reads every file of a store that no program has open and passes each finding to `visit`.
///
/// It checks manifest, log, snapshots and index; each checksum, envelope, key and message; the rule
/// that a work item is on one list; the order of commits; and whether the index agrees with
/// snapshot and log. Not a byte of the store changes; a copy of the index is opened instead of it.
///
/// # Errors
///
/// [`is_not_found`](crate::Error::is_not_found) if there is no store;
/// [`is_locked`](crate::Error::is_locked) while a program has it open;
/// [`is_disk_full`](crate::Error::is_disk_full) if there is not enough space for the copy; if a
/// newer version wrote it. Damage is a finding, not an error.
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
