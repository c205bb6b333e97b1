//! A sled transaction.

use std::cell::Cell;

use bytes::Bytes;
use sled::IVec;
use sled::transaction::{
    ConflictableTransactionError, TransactionError, TransactionalTree, UnabortableTransactionError,
};

use super::chunks;
use super::chunks::Set;
use super::contents::{self, Contents};
use super::guard::Fault;
use super::key::record_key;
use crate::error::{Error, Result};
use crate::record::Position;

/// The operations available within a transaction.
///
/// Its body must not use the index otherwise, since sled would deadlock.
pub(crate) struct Transaction<'a> {
    tree: &'a TransactionalTree,
    contents: Cell<Contents>,
}

/// Why the body of a transaction stops.
pub(crate) enum Stop<R> {
    /// The body refused; nothing is written.
    Refuse(R),
    /// A record that it read is damaged.
    Fail(Fault),
    /// sled aborts the attempt.
    Sled(UnabortableTransactionError),
}

impl<R> From<Fault> for Stop<R> {
    fn from(fault: Fault) -> Self {
        Self::Fail(fault)
    }
}

impl<R> From<Error> for Stop<R> {
    fn from(error: Error) -> Self {
        Self::Fail(error.into())
    }
}

impl<R> From<UnabortableTransactionError> for Stop<R> {
    fn from(error: UnabortableTransactionError) -> Self {
        Self::Sled(error)
    }
}

impl Transaction<'_> {
    pub(crate) fn get<R>(&self, key: &[u8]) -> Result<Option<Bytes>, Stop<R>> {
        let head = self.tree.get(record_key(key))?;
        head.map(|head| self.join(head)).transpose()
    }

    pub(crate) fn put<R>(&self, key: &[u8], value: &[u8]) -> Result<(), Stop<R>> {
        let replaced = if chunks::is_large(key, value) {
            let set = Set::new(self.new_set(), value);
            for (key, chunk) in set.entries(value) {
                self.tree.insert(key, chunk)?;
            }
            self.tree.insert(record_key(key), set.head())?
        } else {
            self.tree.insert(record_key(key), chunks::whole(value))?
        };
        self.forget(key, replaced)?;
        self.update(|contents| contents.add(key, value));
        Ok(())
    }

    pub(crate) fn delete<R>(&self, key: &[u8]) -> Result<(), Stop<R>> {
        let removed = self.tree.remove(record_key(key))?;
        self.forget(key, removed)
    }

    /// Subtracts the record under `key` from the contents, and removes its chunks.
    fn forget<R>(&self, key: &[u8], head: Option<IVec>) -> Result<(), Stop<R>> {
        let Some(head) = head else { return Ok(()) };
        let set = Set::of_head(&head);
        let value = self.join(head)?;
        for chunk in set.into_iter().flat_map(Set::keys) {
            self.tree.remove(chunk)?;
        }
        self.update(|contents| contents.remove(key, &value));
        Ok(())
    }

    fn join<R>(&self, head: IVec) -> Result<Bytes, Stop<R>> {
        chunks::join(head, |chunk| Ok(self.tree.get(chunk)?))
    }

    /// Returns the id of a new set of chunks.
    fn new_set(&self) -> u64 {
        self.update(|contents| contents.last_set += 1);
        self.contents.get().last_set
    }

    /// Returns the last commit that the index includes.
    pub(crate) fn seq(&self) -> u64 {
        self.contents.get().seq
    }

    pub(crate) fn set_position(&self, position: Position) {
        self.update(|contents| contents.set_position(position));
    }

    fn update(&self, change: impl FnOnce(&mut Contents)) {
        let mut contents = self.contents.get();
        change(&mut contents);
        self.contents.set(contents);
    }
}

/// Runs `body` in a transaction on the index of `store`; the inner error is the body's refusal.
pub(super) fn run<T, R>(
    db: &sled::Db,
    store: Option<[u8; 16]>,
    body: &impl Fn(&Transaction<'_>) -> Result<T, Stop<R>>,
) -> Result<Result<T, R>, Fault> {
    let outcome = db.transaction(|tree| {
        let before = match tree.get(contents::KEY)? {
            None => Contents::default(),
            Some(bytes) => Contents::decode(&bytes).ok_or_else(|| abort(contents::DAMAGED.into()))?,
        };
        let transaction = Transaction { tree, contents: Cell::new(before) };
        let answer = body(&transaction).map_err(abort)?;
        let after = transaction.contents.get();
        if after != before {
            tree.insert(contents::KEY, after.of(store).encode())?;
        }
        Ok(answer)
    });
    match outcome {
        Ok(answer) => Ok(Ok(answer)),
        Err(TransactionError::Abort(Stop::Refuse(refusal))) => Ok(Err(refusal)),
        Err(TransactionError::Abort(Stop::Fail(error))) => Err(error),
        Err(TransactionError::Abort(Stop::Sled(error))) => {
            // `abort` passes these to sled, which returns them as one of the others.
            Err(sled::Error::ReportableBug(error.to_string()).into())
        }
        Err(TransactionError::Storage(error)) => Err(error.into()),
    }
}

fn abort<R>(stop: Stop<R>) -> ConflictableTransactionError<Stop<R>> {
    match stop {
        Stop::Sled(error) => error.into(),
        stop => ConflictableTransactionError::Abort(stop),
    }
}
