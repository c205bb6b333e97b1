//! The index backend on disk: sled, through [`Index`].

use bytes::Bytes;

use super::index_backend::{IndexBackend, Step, check_from};
use crate::error::{Error, Result};
use crate::index::{Addition, Contents, Index, Stop, Transaction, Visit};

impl IndexBackend for Index {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Self::get(self, key)
    }

    fn scan(&self, start: &[u8], end: &[u8], visit: &mut dyn Visit) -> Result<()> {
        Self::scan(self, start, end, visit)
    }

    fn contents(&self) -> Result<Contents> {
        Ok(Self::contents(self)?.unwrap_or_default())
    }

    fn verify(&self, stop: &(dyn Fn() -> bool + Sync)) -> Result<()> {
        Self::verify(self, stop)
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

/// Starts an addition, if the step replaces nothing.
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

fn apply(transaction: &Transaction<'_>, step: &Step<'_>) -> Result<(), Stop<Error>> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::durable::storage::{Change, OwnerCheck};
    use crate::record::{self, Key, Position};

    fn change(name: &str, value: Option<&'static [u8]>) -> Change {
        let value = value.map(Bytes::from_static);
        Change { key: Bytes::from(name.to_owned()), value, owner: None }
    }

    fn read(index: &Index) -> Vec<(Bytes, Bytes)> {
        index.records().map(Result::unwrap).collect()
    }

    /// Additions and transactions must have the same result.
    #[test]
    fn a_step_has_the_same_result_on_any_previous_state() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(&folder.path().join("index"), &crate::index::Options::default()).unwrap();
        let steps: [&[Change]; 4] = [
            &[change("a", Some(b"1")), change("b", None), change("c", Some(b"1"))],
            &[change("b", Some(b"2")), change("c", Some(b"2")), change("d", Some(b"2"))],
            // Unordered, with one duplicate.
            &[change("f", Some(b"3")), change("e", Some(b"3")), change("f", Some(b"4"))],
            &[change("a", None), change("g", Some(b"5"))],
        ];
        for (changes, from) in steps.into_iter().zip(0..) {
            index.apply(&Step { changes, from, to: Some(Position::new(from + 1, None)) }).unwrap();
            index.verify(&|| false).unwrap();
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
