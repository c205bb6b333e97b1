//! A new store from a backup, or from what another store was at some moment.

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

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// The new store has every commit up to this one, and nothing of those after.
    pub seq: u64,
    /// When that one was made, if its log entry was read and tells.
    pub time: Option<Timestamp>,
    /// How many records the new store has.
    pub records: u64,
}

/// Makes a new store in the folder `into` of the backup file `from`, or of the
/// store in the folder `from`, which no program has open and which is not changed.
/// Every record is checked as it is read. The new store has an id of its own, is
/// verified, and appears under its name when it is complete and durable.
///
/// # Errors
///
/// [`is_invalid`](crate::Error::is_invalid) if `into` is not empty, or if the
/// backup or the log of the store does not reach back, or ahead, to `until`;
/// [`is_corrupt`](crate::Error::is_corrupt) if what is needed is damaged, or if the
/// store is known to have had more than its log leads to;
/// [`is_locked`](crate::Error::is_locked) while a program has the store open. In
/// each case nothing is left at `into`.
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
            "`procstate --db {} salvage --output NEWDIR` makes a new store of all that can still be read",
            from.display()
        );
        return restore_store(from, into, until).map_err(|error| advising(error, &what_next));
    }
    let what_next = "A backup is restored whole or not at all: take another one, or salvage the store that it was made of";
    restore_backup(from, into, until).map_err(|error| advising(error, what_next))
}

/// Makes a new store in etcd of the backup file `from` (feature `etcd`). Every record is
/// checked as it is read, and none is seen before all are there: what an interrupted attempt
/// leaves is no store, and the next one removes it. A backup of the store in etcd, restored
/// by [`restore`], is the way back.
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
/// [`is_invalid`](crate::Error::is_invalid) if something is there already;
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
    // All of it is read before anything is made of it.
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

/// Says what damage means here, and what to do.
fn advising(error: Error, what_next: &str) -> Error {
    match error.failure() {
        Failure::Corrupt { place, why } if !why.contains("salvage") => {
            let why = format!("{why}. Nothing was made of it. {what_next}");
            Failure::Corrupt { place: place.clone(), why }.into()
        }
        _ => error,
    }
}

fn restore_backup(from: &Path, into: &Path, until: Until) -> Result<Restored> {
    // A backup may be named by a link, which no file of a store is.
    let target = if from.is_symlink() { from.canonicalize().ok() } else { None };
    let from = target.as_deref().unwrap_or(from);
    // All of it is read before anything is made of it.
    let seq = archive::Reader::open(&ReadOnlyDisk, from)?.finish()?.seq;
    match until {
        Until::End => {}
        Until::Seq(wanted) if wanted == seq => {}
        Until::Seq(_) | Until::Time(_) => {
            return Err(Error::argument(format!(
                "{} is a backup of one moment, that of commit {seq}, and can be restored to no other; name the folder of a store to choose",
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
                "is of an earlier format and has no log; open it once with this version, which begins one";
            return Err(Error::argument(format!("the store {} {why}", from.display())));
        }
        None => return Err(without_manifest(from)),
    };
    // Before much work for nothing.
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

/// What is known of a store besides its log. The index is of no use here.
fn facts(manifest: &Manifest, synced: &Synced, newest: Option<Position>) -> Facts {
    let snapshot = newest.map(|position| SnapshotFacts { position, soundness: Integrity::Unchecked });
    Facts { snapshots: snapshot.into_iter().collect(), ..Facts::noted(Ok(manifest), synced) }
}

/// Makes the new store: `base` with what was replayed. Answers how many records it has.
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
