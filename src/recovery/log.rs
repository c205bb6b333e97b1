//! Describes the commits in the log.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::files::offline::Offline;
use super::records::names::named_in_process;
use crate::engine::wal::{Entry, Found, Logged, Spot, walk};
use crate::error::Result;
use crate::proto::record::Owner;
use crate::record::{Kind, Payload, Record};

/// An entry of a log, from oldest to newest.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogEntry {
    /// A commit.
    Commit(LogCommit),
    /// Missing commits, or an unreadable part of a file.
    ///
    /// At the end of the log of a crashed program or machine this may be data that was never
    /// synced.
    Gap {
        /// The file.
        path: PathBuf,
        /// The offset at which the gap starts.
        offset: u64,
        /// The last commit read before the gap; 0 for none.
        after: u64,
    },
}

/// A commit in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogCommit {
    /// Its sequence number.
    pub seq: u64,
    /// When it was made; `None` in logs of earlier versions.
    pub time: Option<Timestamp>,
    /// The instance that claimed a process with this commit, or that owned the process whose status
    /// it wrote, if known.
    pub by: Option<String>,
    /// The records that it wrote.
    pub changes: Vec<LogChange>,
}

/// A record that a commit wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogChange {
    /// The process.
    pub process: String,
    /// The record: `owner`, `settings`, `status`, `totals`, `active`, `cleanup`, `dropped` or
    /// `history`.
    pub record: &'static str,
    /// The work item, for a record on one of the lists.
    pub work: Option<String>,
    /// The length of the new value in bytes; `None` if the record was deleted.
    pub bytes: Option<usize>,
}

/// Visits the commits from `from` on, and the gaps between them, in the log of a store that no
/// program has open; returns the last commit in the log, or 0.
///
/// The log goes back at least to the newest snapshot. Nothing is changed.
///
/// # Errors
///
/// [`is_not_found`](crate::Error::is_not_found) if there is no store;
/// [`is_locked`](crate::Error::is_locked) while a program has it open; if a newer version wrote it;
/// if a file cannot be read; any error of `visit`.
///
/// ```
/// use procstate::recovery::{LogEntry, read_log};
/// # use procstate::{Params, Store};
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path())?;
/// # store.process("gckeys")?.register("project-1", Params::new())?;
/// # store.close()?;
///
/// let newest = read_log(folder.path(), 0, |entry| {
///     if let LogEntry::Commit(commit) = entry {
///         println!("commit {}", commit.seq);
///     }
///     Ok(())
/// })?;
/// assert!(newest > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_log(
    store: impl AsRef<Path>,
    from: u64,
    mut visit: impl FnMut(LogEntry) -> Result<()>,
) -> Result<u64> {
    let store = Offline::open(store.as_ref())?;
    let (log, _) = store.log_anyhow()?;
    let newest = store.snapshots()?.first().map_or(0, |snapshot| snapshot.seq);
    let mut describer = LogDescriber::new(from);
    walk(&log, newest, &mut |found| describer.tell(found, &mut visit))?;
    store.closed.confirm()?;
    Ok(describer.last)
}

/// Describes log entries.
pub(crate) struct LogDescriber {
    from: u64,
    owners: HashMap<String, String>,
    /// The newest commit so far.
    pub(crate) last: u64,
}

impl LogDescriber {
    /// Describes commits from `from` on.
    pub(crate) fn new(from: u64) -> Self {
        Self { from, owners: HashMap::new(), last: 0 }
    }

    pub(crate) fn tell(
        &mut self,
        found: Found<'_>,
        visit: &mut dyn FnMut(LogEntry) -> Result<()>,
    ) -> Result<()> {
        let from = self.from;
        match found {
            Found::Commit { seq, entry, at } => {
                self.last = seq.max(self.last);
                let Some(entry) = Entry::decode(entry) else { return visit(gap(at, seq.saturating_sub(1))) };
                let commit = commit(seq, entry, &mut self.owners);
                if seq >= from { visit(LogEntry::Commit(commit)) } else { Ok(()) }
            }
            Found::Begun { seq, at, .. } if seq >= from => visit(gap(at, seq.saturating_sub(1))),
            Found::Gap { at, after, .. } if after + 1 >= from => visit(gap(at, after)),
            Found::Begun { .. } | Found::Gap { .. } => Ok(()),
        }
    }
}

fn gap(Spot { path, offset }: Spot, after: u64) -> LogEntry {
    LogEntry::Gap { path: Arc::unwrap_or_clone(path), offset, after }
}

fn commit(seq: u64, entry: Entry<'_>, owners: &mut HashMap<String, String>) -> LogCommit {
    let mut by = None;
    let mut changes = Vec::new();
    for write in entry.writes() {
        let Some(address) = write.key.address() else { continue };
        if write.key.kind() == Kind::Owner {
            note_owner(seq, &write, &address.process, owners);
        }
        if matches!(write.key.kind(), Kind::Owner | Kind::Status) {
            by = owners.get(&address.process).cloned().or(by);
        }
        let bytes = write.payload.map(|payload| payload.len());
        let (process, record, work) = named_in_process(address);
        changes.push(LogChange { process, record, work, bytes });
    }
    LogCommit { seq, time: entry.time, by, changes }
}

fn note_owner(seq: u64, write: &Logged, process: &str, owners: &mut HashMap<String, String>) {
    let Some(payload) = write.payload.clone() else { return };
    let record = Record { key: write.key.clone(), version: seq, payload };
    if let Ok(owner) = Owner::from_record(&record)
        && !owner.instance.is_empty()
    {
        owners.insert(process.to_owned(), owner.instance);
    }
}
