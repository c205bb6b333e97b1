//! Salvage: makes a new store from everything that is still readable in a damaged one.
//!
//! A complete base comes first: the index if it is intact, otherwise the newest intact snapshot,
//! otherwise nothing. Every later commit in the log is replayed over it. If the log has no gap, the
//! result is the whole store. If commits are missing, the record versions that they wrote are
//! searched in all other bytes of the store, and the newest of each record is used.

mod fragments;
mod report;
mod sources;

use std::path::Path;

use super::files::inspection::Inspection;
use super::files::new_store::NewStore;
use super::files::offline::Offline;
use super::options::{Options, bytes_of};
use crate::engine::TornTail;
use crate::engine::policy::{MissingCommits, Source};
use crate::error::Result;
use report::Report;
pub use report::{Fate, SalvagedRecord};
use sources::Sources;

/// What a salvaged store was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MadeOf {
    /// The index and the log after it.
    Index,
    /// A snapshot and the log after it, because the index could not be used.
    Snapshot,
    /// The log, from its first commit on.
    Log,
    /// Everything that could be found: commits are missing.
    Pieces,
}

/// The result of a salvage.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvaged {
    /// What the new store was made from.
    pub made_of: MadeOf,
    /// The newest commit of which the new store contains anything.
    pub seq: u64,
    /// The number of records in their last version.
    pub kept: u64,
    /// The number of records in their newest readable version, which missing commits may have
    /// changed or deleted.
    pub uncertain: u64,
    /// The number of records in a version known to be outdated.
    pub older: u64,
    /// The number of records that may have been changed or deleted since.
    pub suspicious: u64,
    /// The number of records known to have existed that could not be recovered.
    pub lost: u64,
    /// The number of records left out because a newer version of the work item is on another list.
    pub superseded: u64,
    /// The commits that are missing from the log.
    pub missing: Vec<MissingCommits>,
    /// The end of the log that was truncated, as opening the store would.
    pub torn_tail: Option<TornTail>,
    /// Why opening the original is refused; `None` if it opens.
    pub refused: Option<String>,
}

impl Salvaged {
    /// Reports whether the new store has everything that the original was ever known to hold.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && [self.uncertain, self.older, self.suspicious, self.lost] == [0; 4]
    }

    /// Returns the number of records in the new store.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.kept + self.uncertain + self.older + self.suspicious
    }
}

/// Makes a new store in the folder `into` from everything readable in the store in the folder
/// `from`, which no program has open and which does not change.
///
/// The new store has an id of its own, is verified, and gets its final name once it is complete and
/// durable. `visit` receives every record with its fate.
///
/// # Errors
///
/// [`is_invalid`](crate::Error::is_invalid) if `into` is not empty or lies inside the store;
/// [`is_not_found`](crate::Error::is_not_found) if there is no store;
/// [`is_locked`](crate::Error::is_locked) while a program has it open;
/// [`is_disk_full`](crate::Error::is_disk_full) if there is not enough space; if a newer version
/// wrote it. In all these cases nothing is left at `into`. Damage is not an error.
///
/// ```
/// use procstate::recovery::{Fate, Options, salvage};
/// # use procstate::{Params, Store};
/// # let folder = tempfile::tempdir()?;
/// # let (damaged, rescued) = (folder.path().join("state"), folder.path().join("state.new"));
/// # let store = Store::open(&damaged)?;
/// # store.process("gckeys")?.register("project-1", Params::new())?;
/// # store.close()?;
///
/// let options = Options::default().scratch(folder.path());
/// let salvaged = salvage(&damaged, &rescued, options, |record| {
///     if record.fate == Fate::Lost {
///         println!("lost: {} of {}", record.record, record.process);
///     }
/// })?;
/// assert!(salvaged.is_complete());
/// println!("{} records, {} of them older versions", salvaged.records(), salvaged.older);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn salvage(
    from: impl AsRef<Path>,
    into: impl AsRef<Path>,
    options: Options<'_>,
    mut visit: impl FnMut(SalvagedRecord),
) -> Result<Salvaged> {
    let (from, into) = (from.as_ref(), into.as_ref());
    let store = Offline::open(from)?;
    // Checked before expensive work.
    let new_store = NewStore::begin(from, into)?;
    let bytes: u64 = store.closed.files()?.iter().map(|file| bytes_of(file)).sum();
    let scratch = options.scratch_folder();
    let meter = options.meter(2 * bytes);
    let inspection = Inspection::read(&store, &scratch, &meter)?;
    let mut sources = Sources::read(&inspection)?;
    if !sources.missing.is_complete() {
        fragments::gather(&store, &inspection, &meter, &mut sources)?;
    }
    sources.sort_out(&store)?;
    let mut report = Report::new(&sources, &mut visit);
    let records = sources.records(&store)?.inspect(|record| {
        if let Ok(found) = record {
            meter.add((found.key.len() + found.value.len()) as u64);
        }
    });
    new_store.fill(sources.seq, report.passing(records, &sources.lists))?;
    report.tell_lost();
    let counts = report.counts();
    new_store.finish(Some(&scratch), || store.closed.confirm())?;
    Ok(Salvaged {
        made_of: made_of(&sources),
        seq: sources.seq,
        kept: counts.kept,
        uncertain: counts.uncertain,
        older: counts.older,
        suspicious: counts.suspicious,
        lost: counts.lost,
        superseded: counts.superseded,
        missing: sources.missing.missing().to_vec(),
        torn_tail: sources.torn_tail,
        refused: inspection.judge().opens.err().map(|refusal| refusal.to_string()),
    })
}

fn made_of(sources: &Sources<'_>) -> MadeOf {
    match sources.source {
        _ if !sources.missing.is_complete() => MadeOf::Pieces,
        Source::Index => MadeOf::Index,
        Source::Snapshot(_) => MadeOf::Snapshot,
        Source::Nothing => MadeOf::Log,
    }
}
