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

use std::path::{Path, PathBuf};

use super::files::inspection::Inspection;
use super::files::offline::Offline;
use super::finding::{Finding, Severity};
use super::options::{Options, bytes_of};
use crate::error::Result;
use report::Report;

/// What verifying a store came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// Why opening the store is refused; `None` if it opens.
    pub refused: Option<String>,
    /// How many findings there are of each severity.
    pub notes: u64,
    /// See [`Severity::Warning`].
    pub warnings: u64,
    /// See [`Severity::Damage`].
    pub damages: u64,
    /// The newest commit that the store has.
    pub last_seq: u64,
    /// How many records the index has, if that can be read. The log behind it may have
    /// others.
    pub records: Option<u64>,
    /// How many commits of the log were read.
    pub commits: u64,
    /// How many files the store has.
    pub files: u64,
    /// And how many bytes.
    pub bytes: u64,
}

impl Verified {
    /// Whether nothing is damaged.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.warnings == 0 && self.damages == 0 && self.refused.is_none()
    }
}

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

/// Where `path` is in the store, for sorting it in.
fn top(store: &Offline, path: &Path) -> PathBuf {
    let within = path.strip_prefix(store.closed.layout().root()).unwrap_or(path);
    within.components().next().map(|first| PathBuf::from(first.as_os_str())).unwrap_or_default()
}
