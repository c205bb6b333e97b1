//! A new store from a backup, or from what another store was at some moment.

use std::path::Path;

use bytes::Bytes;
use jiff::Timestamp;

use super::changes::Changes;
use super::draft::Draft;
use super::offline::Offline;
use super::sound::open_record;
use crate::archive;
use crate::disk::ReadOnlyDisk;
use crate::engine::wal::{Directory, Entry, Found, browse, decode, scan};
use crate::engine::{self, Snapshot};
use crate::error::{Error, Failure, Result};
use crate::folder::Folder;
use crate::index;

/// Up to where a store is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// All that is there.
    End,
    /// The commit with this sequence number, and nothing after.
    Seq(u64),
    /// The last commit before the first that is later than this.
    Time(Timestamp),
}

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
/// Every record is checked as it is read. The new store has an id of its own, and
/// appears under its name when it is complete and durable.
///
/// # Errors
///
/// [`is_invalid`](crate::Error::is_invalid) if `into` is not empty, or if the
/// backup or the log of the store does not reach back, or ahead, to `until`;
/// [`is_corrupt`](crate::Error::is_corrupt) if what is needed is damaged;
/// [`is_locked`](crate::Error::is_locked) while a program has the store open. In
/// each case nothing is left at `into`.
pub fn restore(from: impl AsRef<Path>, into: impl AsRef<Path>, until: Until) -> Result<Restored> {
    let (from, into) = (from.as_ref(), into.as_ref());
    if from.is_dir() {
        return restore_store(from, into, until);
    }
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
    make(from, into, seq, None, Changes::default(), archive::Reader::open(&ReadOnlyDisk, from)?)
}

fn restore_store(from: &Path, into: &Path, until: Until) -> Result<Restored> {
    let store = Offline::open(from)?;
    match store.closed.manifest()? {
        Some(manifest) if manifest.has_log() => {}
        Some(_) => {
            let why =
                "is of an earlier format and has no log; open it once with this version, which begins one";
            return Err(Error::argument(format!("the store {} {why}", from.display())));
        }
        None => return Err(Failure::NoStore { path: from.to_owned() }.into()),
    }
    let base = store.snapshots()?.into_iter().next();
    let base_seq = base.as_ref().map_or(0, |snapshot| snapshot.seq);
    let log = store.log()?;
    let replayed = match until {
        Until::End => replay_all(&log, base_seq)?,
        until => replay_until(&log, base_seq, until)?,
    };
    let Replayed { changes, seq, time } = replayed;
    let restored = match &base {
        None => make(from, into, seq, time, changes, std::iter::empty())?,
        Some(Snapshot { path, .. }) => make(from, into, seq, time, changes, store.archive(path)?)?,
    };
    store.closed.confirm()?;
    Ok(restored)
}

/// What a log adds to the snapshot before it.
struct Replayed {
    changes: Changes,
    seq: u64,
    time: Option<Timestamp>,
}

impl Replayed {
    fn add(&mut self, seq: u64, entry: Entry) {
        (self.seq, self.time) = (seq, entry.time);
        self.changes.add(seq, entry.writes);
    }
}

fn replay_all(log: &Directory, base: u64) -> Result<Replayed> {
    let mut replayed = Replayed { changes: Changes::default(), seq: base, time: None };
    let found = scan(log, base, &mut |seq, entry| {
        replayed.add(seq, decoded(seq, entry)?);
        Ok(())
    })?;
    if found.is_some() {
        return Ok(replayed);
    }
    let why =
        "all of it is gone. `procstate salvage --output NEWDIR` makes a new store of what the index has";
    Err(Failure::Corrupt { place: "the log".to_owned(), why: why.to_owned() }.into())
}

fn decoded(seq: u64, entry: &[u8]) -> Result<Entry> {
    decode(entry).ok_or_else(|| {
        let why = "its checksum is right and it does not decode".to_owned();
        Failure::Corrupt { place: format!("commit {seq} in the log"), why }.into()
    })
}

/// Reads the log as far as `until`, whatever comes after.
fn replay_until(log: &Directory, base: u64, until: Until) -> Result<Replayed> {
    let mut replayed = Replayed { changes: Changes::default(), seq: base, time: None };
    let mut has_passed = false;
    // With the commit at which the snapshot was, for its time.
    browse(log, base.saturating_sub(1), &mut |found| {
        let Found::Commit { seq, entry, .. } = found else { return Ok(()) };
        let entry = decoded(seq, entry)?;
        if seq <= base {
            replayed.time = entry.time;
        } else if has_passed || is_after(seq, entry.time, until)? {
            has_passed = true;
        } else if seq == replayed.seq + 1 {
            replayed.add(seq, entry);
        } else {
            let why = format!("commits {} to {} are missing", replayed.seq + 1, seq - 1);
            return Err(Failure::Corrupt { place: "the log".to_owned(), why }.into());
        }
        Ok(())
    })?;
    check_reached(&replayed, base, until).map(|()| replayed)
}

fn is_after(seq: u64, time: Option<Timestamp>, until: Until) -> Result<bool> {
    match (until, time) {
        (Until::End, _) => Ok(false),
        (Until::Seq(wanted), _) => Ok(seq > wanted),
        (Until::Time(wanted), Some(time)) => Ok(time > wanted),
        (Until::Time(_), None) => Err(Error::argument(format!(
            "commit {seq} is of an earlier version, which did not note times; name a sequence number"
        ))),
    }
}

/// Fails where the log does not tell what the store was at `until`.
fn check_reached(replayed: &Replayed, base: u64, until: Until) -> Result<()> {
    let seq = replayed.seq;
    let range = format!("the store can be restored to any commit from {base} to the last in its log");
    match until {
        Until::Seq(wanted) if wanted < base => {
            Err(Error::argument(format!("commit {wanted} is before the snapshot of commit {base}; {range}")))
        }
        Until::Seq(wanted) if wanted > seq => {
            Err(Error::argument(format!("the log ends with commit {seq}, before {wanted}; {range}")))
        }
        Until::Time(wanted) if seq == base && base > 0 && replayed.time.is_none_or(|time| time > wanted) => {
            Err(Error::argument(format!(
                "the log does not reach back to {wanted}: the snapshot of commit {base} is later, or its time is not in the log any more; {range}"
            )))
        }
        _ => Ok(()),
    }
}

/// Makes the new store: `base` with `changes`, as of the commit `seq`.
fn make(
    source: &Path,
    into: &Path,
    seq: u64,
    time: Option<Timestamp>,
    changes: Changes,
    base: impl Iterator<Item = Result<(Bytes, Bytes)>>,
) -> Result<Restored> {
    let draft = Draft::begin(source, into)?;
    let mut records = 0;
    let checked = changes.over(base).map(|record| {
        let (key, value) = record?.into();
        records += 1;
        match open_record(&key, &value) {
            Ok(_) => Ok((key, value)),
            Err(why) => Err(damaged(source, why)),
        }
    });
    create(draft.path(), seq, checked)?;
    draft.finish()?;
    Ok(Restored { seq, time, records })
}

/// Makes a store in an empty folder, and opens it once, which checks all of it.
pub(super) fn create(
    folder: &Path,
    seq: u64,
    mut records: impl Iterator<Item = Result<(Bytes, Bytes)>>,
) -> Result<()> {
    let options = index::Options { cache_bytes: 16 << 20, verify: true };
    engine::create(Folder::open(folder, true)?, &options, seq, &mut records)
}

fn damaged(source: &Path, why: String) -> Error {
    Failure::Corrupt { place: source.display().to_string(), why }.into()
}
