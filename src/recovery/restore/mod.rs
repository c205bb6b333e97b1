//! Makes a new store from a backup, or from the state of another store at some moment.

pub(super) mod replay;
pub(super) mod until;

use std::path::Path;

use bytes::Bytes;
use jiff::Timestamp;

use super::files::new_store::NewStore;
use super::files::offline::Offline;
use super::records::validate::open_record;
use super::restore::replay::{Replayed, replay};
use super::restore::until::Until;
use crate::archive;
use crate::disk::ReadOnlyDisk;
use crate::engine::policy::{Facts, Integrity, SnapshotFacts};
use crate::error::{Error, Failure, Result};
use crate::folder::{Manifest, Synced, without_manifest};
use crate::record::Position;

/// The result of a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// The last commit of the new store, which has all commits up to it.
    pub seq: u64,
    /// When this commit was made, if its log entry was read and has a time.
    pub time: Option<Timestamp>,
    /// The number of records in the new store.
    pub records: u64,
}

/// Makes a new store in the folder `into` from the backup file `from`, or from the closed store in
/// the folder `from`, which does not change.
///
/// Every record is checked. The new store has an id of its own, is verified, and gets its final
/// name once it is complete and durable.
///
/// # Errors
///
/// [`is_invalid`](crate::Error::is_invalid) if `into` is not empty, or if the backup or the log
/// does not extend to `until`; [`is_corrupt`](crate::Error::is_corrupt) if needed data is damaged,
/// or if the store is known to have had more than its log contains;
/// [`is_locked`](crate::Error::is_locked) while a program has the store open. In all these cases
/// nothing is left at `into`.
///
/// ```
/// use procstate::recovery::{Until, restore};
/// use procstate::{Params, Store};
///
/// let folder = tempfile::tempdir()?;
/// let (backup, restored) = (folder.path().join("backup"), folder.path().join("restored"));
/// let store = Store::open(folder.path().join("state"))?;
/// store.process("gckeys")?.register("project-1", Params::new())?;
/// store.backup(&backup)?;
///
/// restore(&backup, &restored, Until::End)?;
/// assert_eq!(Store::open(&restored)?.processes()?, ["gckeys"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn restore(from: impl AsRef<Path>, into: impl AsRef<Path>, until: Until) -> Result<Restored> {
    let (from, into) = (from.as_ref(), into.as_ref());
    if from.is_dir() {
        let what_next = format!(
            "`procstate --db {} salvage --output NEWDIR` copies everything still readable into a new store",
            from.display()
        );
        return restore_store(from, into, until).map_err(|error| advising(error, &what_next));
    }
    let what_next = "A backup is restored whole or not at all: use another backup, or salvage the store that it was made from";
    restore_backup(from, into, until).map_err(|error| advising(error, what_next))
}

/// Makes a new store in etcd from the backup file `from` (feature `etcd`).
///
/// Every record is checked, and none is visible before all are there: an interrupted attempt leaves
/// no store, and the next one removes its data. To go back, make a backup of the store in etcd and
/// [`restore`] it.
///
/// ```no_run
/// use procstate::{EtcdOptions, recovery};
///
/// let members = ["http://10.0.0.1:2379", "http://10.0.0.2:2379", "http://10.0.0.3:2379"];
/// recovery::restore_to_etcd("nightly.backup", &EtcdOptions::new(members))?;
/// # Ok::<(), procstate::Error>(())
/// ```
///
/// # Errors
///
/// [`is_invalid`](crate::Error::is_invalid) if the prefix already holds data;
/// [`is_corrupt`](crate::Error::is_corrupt) if the backup is damaged;
/// [`is_unreachable`](crate::Error::is_unreachable) as [`Store::connect`](crate::Store::connect).
#[cfg(feature = "etcd")]
pub fn restore_to_etcd(from: impl AsRef<Path>, into: &crate::engine::EtcdOptions) -> Result<Restored> {
    let from = from.as_ref();
    if from.is_dir() {
        return Err(Error::argument(format!(
            "{} is a folder: make a backup of the store in it (`procstate --db DIR backup FILE`), and restore that",
            from.display()
        )));
    }
    // Reads the whole backup before creating anything.
    let seq = archive::Reader::open(&ReadOnlyDisk, from)?.finish()?.seq;
    let checked = archive::Reader::open(&ReadOnlyDisk, from)?.map(|record| {
        let (key, value) = record?;
        match open_record(&key, &value) {
            Ok(_) => Ok((key, value)),
            Err(why) => Err(Failure::Corrupt { place: from.display().to_string(), why }.into()),
        }
    });
    let records = crate::engine::restore_to_etcd(into, seq, checked)?;
    Ok(Restored { seq, time: None, records })
}

/// Adds the consequence of damage and what to do.
fn advising(error: Error, what_next: &str) -> Error {
    match error.failure() {
        Failure::Corrupt { place, why } if !why.contains("salvage") => {
            let why = format!("{why}. Nothing was restored. {what_next}");
            Failure::Corrupt { place: place.clone(), why }.into()
        }
        _ => error,
    }
}

fn restore_backup(from: &Path, into: &Path, until: Until) -> Result<Restored> {
    // A backup may be named by a symbolic link, unlike files of a store.
    let target = if from.is_symlink() { from.canonicalize().ok() } else { None };
    let from = target.as_deref().unwrap_or(from);
    // Reads the whole backup before creating anything.
    let seq = archive::Reader::open(&ReadOnlyDisk, from)?.finish()?.seq;
    match until {
        Until::End => {}
        Until::Seq(wanted) if wanted == seq => {}
        Until::Seq(_) | Until::Time(_) => {
            return Err(Error::argument(format!(
                "{} is a backup as of commit {seq} and cannot be restored to another; to choose a commit, name the folder of a store",
                from.display()
            )));
        }
    }
    let new_store = NewStore::begin(from, into)?;
    let replayed = Replayed::nothing_after(seq);
    let records = fill(&new_store, from, &replayed, archive::Reader::open(&ReadOnlyDisk, from)?)?;
    new_store.finish(None, || Ok(()))?;
    Ok(Restored { seq, time: None, records })
}

fn restore_store(from: &Path, into: &Path, until: Until) -> Result<Restored> {
    let store = Offline::open(from)?;
    let manifest = match store.closed.manifest()? {
        Some(manifest) if manifest.has_log() => manifest,
        Some(_) => {
            let why =
                "is of an earlier format and has no log; open it once with this version, which starts one";
            return Err(Error::argument(format!("the store {} {why}", from.display())));
        }
        None => return Err(without_manifest(from)),
    };
    // Checked before expensive work.
    let new_store = NewStore::begin(from, into)?;
    let newest = store.snapshots()?.into_iter().next();
    let base = newest.as_ref().map(|newest| store.snapshot(newest)).transpose()?;
    let base_seq = newest.as_ref().map_or(0, |newest| newest.seq);
    let snapshot = base.as_ref().map(|base| base.summary().position());
    let facts = facts(&manifest, &store.synced()?, snapshot);
    let replayed = replay(&store.log()?, base_seq, facts, until)?;
    let records = match base {
        None => fill(&new_store, from, &replayed, std::iter::empty())?,
        Some(base) => fill(&new_store, from, &replayed, base)?,
    };
    new_store.finish(None, || store.closed.confirm())?;
    Ok(Restored { seq: replayed.seq, time: replayed.time, records })
}

/// Returns what is known of a store besides its log; the index does not matter here.
fn facts(manifest: &Manifest, synced: &Synced, newest: Option<Position>) -> Facts {
    let snapshot = newest.map(|position| SnapshotFacts { position, soundness: Integrity::Unchecked });
    Facts { snapshots: snapshot.into_iter().collect(), ..Facts::noted(Ok(manifest), synced) }
}

/// Fills the new store with `base` and the replayed changes; returns the number of records.
fn fill(
    new_store: &NewStore,
    source: &Path,
    replayed: &Replayed,
    base: impl Iterator<Item = Result<(Bytes, Bytes)>>,
) -> Result<u64> {
    let mut records = 0;
    let checked = replayed.changes.over(base).map(|record| {
        let (key, value) = record?.into();
        records += 1;
        match open_record(&key, &value) {
            Ok(_) => Ok((key, value)),
            Err(why) => Err(Failure::Corrupt { place: source.display().to_string(), why }.into()),
        }
    });
    new_store.fill(replayed.seq, checked)?;
    Ok(records)
}
