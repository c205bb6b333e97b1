//! What lies under the log and the memtable: the index, and where it lives. A seam,
//! so that tests put an index there that forgets what was not synced.

use std::fmt::Debug;
use std::path::PathBuf;

use bytes::Bytes;

use crate::engine::stored::open_value;
use crate::error::{Failure, Result};
use crate::index::{Addition, Contents, Index, Stop, Transaction, Visit};
use crate::record::{Key, Position, Writers};

/// An ordered map of records, behind the log by what the memtable holds.
pub(crate) trait Base: Debug + Send + Sync {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// Visits the records from `start` up to but not including `end`. Of what changes
    /// meanwhile it may show the old or the new.
    fn scan(&self, start: &[u8], end: &[u8], visit: &mut dyn Visit) -> Result<()>;

    /// What it holds in all.
    fn contents(&self) -> Result<Contents>;

    /// Makes a step: all of it or nothing.
    fn apply(&self, step: &Step<'_>) -> Result<()>;

    /// Makes every step so far survive power loss.
    fn sync(&self) -> Result<()>;

    fn disk_bytes(&self) -> Result<u64>;

    /// Lets go of its files.
    fn close(self: Box<Self>) -> Result<()>;
}

/// A part of a checkpoint.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    pub(crate) changes: &'a [Change],
    /// The commit up to which the index has everything, before.
    pub(crate) from: u64,
    /// And after, if this is the last step.
    pub(crate) to: Option<Position>,
}

#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) key: Bytes,
    /// The envelope; `None` deletes.
    pub(crate) value: Option<Bytes>,
    pub(crate) owner: Option<OwnerCheck>,
}

/// Which owner record a change may replace: the one that its log entry says it
/// replaces, and nobody else's.
#[derive(Debug, Clone)]
pub(crate) struct OwnerCheck {
    pub(crate) key: Key,
    /// The version of that one; 0 for none.
    pub(crate) replaces: u64,
    /// A checkpoint that was interrupted may have left any version up to this one,
    /// or none; 0 if there was no such checkpoint.
    pub(crate) leftover: u64,
}

impl OwnerCheck {
    fn allows(&self, found: u64, applied: u64) -> bool {
        let is_leftover = found == 0 || applied < found;
        found == self.replaces || (is_leftover && self.leftover > 0 && found <= self.leftover)
    }

    /// Checks the value that is about to be replaced.
    pub(crate) fn check(&self, found: Option<&Bytes>, applied: u64) -> Result<()> {
        let version =
            found.map(|value| open_value(&self.key, value)).transpose()?.map_or(0, |old| old.version);
        if self.allows(version, applied) {
            return Ok(());
        }
        let why = format!(
            "the index has its version {version} and the log replaces version {}: the index was changed by someone else",
            self.replaces
        );
        Err(Failure::Corrupt { place: self.key.describe(), why }.into())
    }
}

/// Where the index of a store lives, and what is noted of it.
pub(crate) trait Home: Debug + Send + Sync {
    /// The commit up to which the index had everything when this was noted; `None`
    /// before the store was completed.
    fn noted(&self) -> Option<Position>;

    /// Whether there must be a log: not before the store was completed, and not in
    /// a store of an earlier format.
    fn has_log(&self) -> bool;

    /// Whether there must be a note of what is synced: not before the store was completed,
    /// and not in a store of an earlier format.
    fn has_synced(&self) -> bool;

    /// Notes that there is a log, and up to which commit index and log durably have
    /// everything.
    fn note(&self, position: Position, writers: Writers) -> Result<()>;

    /// Who can have written the newest commit of the log, as it was noted.
    fn writers(&self) -> Writers;

    fn exists(&self) -> bool;

    /// Opens the index, and creates it if there is none.
    fn open(&self) -> Result<Box<dyn Base>>;

    /// Begins another index beside it.
    fn begin(&self) -> Result<Box<dyn Base>>;

    /// Puts the index that was begun, and closed, in its place. Answers where the
    /// one that was there is kept.
    fn adopt(&self) -> Result<Option<PathBuf>>;

    /// Puts the index that was begun, and closed, in place of the one that is there, closed
    /// too, if it takes less; or else leaves that as it was before it was opened, if what it
    /// holds is the same. Keeps nothing else.
    fn adopt_smaller(&self, is_unchanged: bool) -> Result<()>;

    /// Lets others have the store.
    fn release(&self);
}

impl Base for Index {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Self::get(self, key)
    }

    fn scan(&self, start: &[u8], end: &[u8], visit: &mut dyn Visit) -> Result<()> {
        Self::scan(self, start, end, visit)
    }

    fn contents(&self) -> Result<Contents> {
        Ok(Self::contents(self)?.unwrap_or_default())
    }

    fn apply(&self, step: &Step<'_>) -> Result<()> {
        if let Some(addition) = begin_addition(self, step)? {
            return add(addition, step);
        }
        match self.transact(|transaction| apply(transaction, step))? {
            Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn sync(&self) -> Result<()> {
        Self::sync(self)
    }

    fn disk_bytes(&self) -> Result<u64> {
        Self::disk_bytes(self)
    }

    fn close(self: Box<Self>) -> Result<()> {
        Self::close(*self)
    }
}

/// Begins a step that replaces nothing, if that is what it does.
fn begin_addition<'a>(index: &'a Index, step: &Step<'_>) -> Result<Option<Addition<'a>>> {
    let (Some(first), Some(last)) = (step.changes.first(), step.changes.last()) else { return Ok(None) };
    if !step.changes.is_sorted_by(|one, next| one.key < next.key) {
        return Ok(None);
    }
    index.add_between(&first.key, &last.key)
}

fn add(mut addition: Addition<'_>, step: &Step<'_>) -> Result<()> {
    check_from(addition.seq(), step)?;
    for change in step.changes {
        if let Some(owner) = &change.owner {
            owner.check(None, step.from)?;
        }
        if let Some(value) = &change.value {
            addition.put(&change.key, value);
        }
    }
    addition.commit(step.to)
}

fn apply(transaction: &Transaction<'_>, step: &Step<'_>) -> Result<(), Stop<crate::Error>> {
    check_from(transaction.seq(), step).map_err(Stop::Refuse)?;
    for change in step.changes {
        if let Some(owner) = &change.owner {
            let found = transaction.get(&change.key)?;
            owner.check(found.as_ref(), step.from).map_err(Stop::Refuse)?;
        }
        match &change.value {
            Some(value) => transaction.put(&change.key, value)?,
            None => transaction.delete(&change.key)?,
        }
    }
    if let Some(to) = step.to {
        transaction.set_position(to);
    }
    Ok(())
}

/// Nobody else moves the index on.
pub(crate) fn check_from(found: u64, step: &Step<'_>) -> Result<()> {
    if found == step.from {
        return Ok(());
    }
    let why = format!(
        "it has everything up to commit {found}, and should up to {}: it was changed by someone else",
        step.from
    );
    Err(Failure::Corrupt { place: "the index".to_owned(), why }.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record;

    fn change(name: &str, value: Option<&'static [u8]>) -> Change {
        let value = value.map(Bytes::from_static);
        Change { key: Bytes::from(name.to_owned()), value, owner: None }
    }

    fn read(index: &Index) -> Vec<(Bytes, Bytes)> {
        index.records().map(Result::unwrap).collect()
    }

    /// Whether a step is an addition must not show.
    #[test]
    fn a_step_leaves_the_same_whatever_stood_there() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(&folder.path().join("index"), &crate::index::Options::default()).unwrap();
        let steps: [&[Change]; 4] = [
            &[change("a", Some(b"1")), change("b", None), change("c", Some(b"1"))],
            &[change("b", Some(b"2")), change("c", Some(b"2")), change("d", Some(b"2"))],
            // Not in order, and one of them twice.
            &[change("f", Some(b"3")), change("e", Some(b"3")), change("f", Some(b"4"))],
            &[change("a", None), change("g", Some(b"5"))],
        ];
        for (changes, from) in steps.into_iter().zip(0..) {
            index.apply(&Step { changes, from, to: Some(Position::new(from + 1, None)) }).unwrap();
            index.verify().unwrap();
        }
        let expected = [("b", "2"), ("c", "2"), ("d", "2"), ("e", "3"), ("f", "4"), ("g", "5")];
        assert_eq!(read(&index), expected.map(|(key, value)| (Bytes::from(key), Bytes::from(value))));
    }

    #[test]
    fn an_addition_is_checked_as_a_transaction_is() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(&folder.path().join("index"), &crate::index::Options::default()).unwrap();
        let owner = |replaces| OwnerCheck { key: Key::owner("p"), replaces, leftover: 0 };
        let changes = [Change { owner: Some(owner(4)), ..change("p", Some(b"x")) }];
        assert!(index.apply(&Step { changes: &changes, from: 0, to: None }).unwrap_err().is_corrupt());
        let changes = [Change { owner: Some(owner(0)), ..change("p", Some(b"x")) }];
        assert!(index.apply(&Step { changes: &changes, from: 3, to: None }).unwrap_err().is_corrupt());
        assert_eq!(read(&index), []);
    }

    #[test]
    fn an_owner_is_replaced_by_its_successor_only() {
        let key = Key::owner("p");
        let verdict = |leftover: u64, version: u64| {
            let check = OwnerCheck { key: key.clone(), replaces: 4, leftover };
            let value = (version > 0).then(|| record::seal(&key, version, b"x"));
            check.check(value.as_ref(), 10).is_ok()
        };
        let allowed = |leftover| (0..30).filter(|version| verdict(leftover, *version)).collect::<Vec<u64>>();
        assert_eq!(allowed(0), [4]);
        assert_eq!(allowed(13), [0, 4, 11, 12, 13], "what an interrupted checkpoint may have left");
    }
}
