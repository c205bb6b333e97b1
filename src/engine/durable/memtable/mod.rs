//! The memtable: the commits that the log has and the index does not have yet, by key.
//!
//! It has up to two generations. Commits go to the active one. A checkpoint freezes it and starts
//! another; once the frozen one is in the index, it is dropped.

mod sorted_keys;
mod tree;

use std::iter::Peekable;
use std::sync::Arc;

use bytes::Bytes;

pub(crate) use tree::{Range, Tree};

use crate::record::{Key, KeyRange, KeyRef};

/// The approximate size of an entry without key and payload, in bytes.
const ENTRY_OVERHEAD: usize = 160;

/// The newest state of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The commit that wrote it.
    pub(crate) seq: u64,
    /// `None`: deleted.
    pub(crate) payload: Option<Bytes>,
    /// For an owner record, the version before the generation's first write, which the index has; 0
    /// for none.
    pub(crate) replaces: Option<u64>,
}

impl Entry {
    /// Returns the version for preconditions.
    pub(crate) fn version(&self) -> Option<u64> {
        self.payload.as_ref().map(|_| self.seq)
    }

    fn bytes(&self) -> usize {
        ENTRY_OVERHEAD + self.payload.as_ref().map_or(0, Bytes::len)
    }
}

/// One generation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Generation {
    tree: Tree<Entry>,
    bytes: usize,
    /// The newest commit in it.
    newest: u64,
}

impl Generation {
    /// Puts the newest state of a key.
    ///
    /// For an owner record `replaces` is the previous version; 0 for none.
    pub(crate) fn put(&mut self, key: &Key, seq: u64, payload: Option<Bytes>, replaces: Option<u64>) {
        self.insert(key.bytes(), || key.clone(), Entry { seq, payload, replaces });
    }

    /// Does the same with borrowed data; copies the key only if it is new.
    pub(crate) fn put_copy(
        &mut self,
        key: KeyRef<'_>,
        seq: u64,
        payload: Option<&[u8]>,
        replaces: Option<u64>,
    ) {
        let payload = payload.map(Bytes::copy_from_slice);
        self.insert(key.bytes(), || key.to_key(), Entry { seq, payload, replaces });
    }

    fn insert(&mut self, key: &[u8], to_key: impl FnOnce() -> Key, mut entry: Entry) {
        entry.replaces = entry.replaces.map(|replaces| self.base_of(key).unwrap_or(replaces));
        self.bytes += entry.bytes();
        self.newest = self.newest.max(entry.seq);
        match self.tree.insert(key, to_key, entry) {
            Some(replaced) => self.bytes -= replaced.bytes(),
            None => self.bytes += key.len(),
        }
    }

    fn base_of(&self, key: &[u8]) -> Option<u64> {
        self.tree.get(key)?.replaces
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Entry> {
        self.tree.get(key.bytes())
    }

    pub(crate) fn iter(&self) -> Range<'_, Entry> {
        self.tree.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }

    /// Returns its approximate memory in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[derive(Debug, Default)]
pub(crate) struct Memtable {
    pub(crate) active: Generation,
    pub(crate) frozen: Option<Arc<Generation>>,
    /// The commits after this one are all here.
    complete_after: u64,
    /// Held by every reader of the index that sees the current memtable.
    readers: Arc<Readers>,
}

/// A token that counts readers by its references.
#[derive(Debug, Default)]
pub(crate) struct Readers;

/// The memtable at one point in time.
#[derive(Debug, Clone)]
pub(crate) struct View {
    active: Generation,
    frozen: Option<Arc<Generation>>,
    _reader: Arc<Readers>,
}

impl Memtable {
    /// Creates a memtable with the entries read from a log, which ends with the commit `last_seq`.
    pub(crate) fn starting_with(active: Generation, last_seq: u64) -> Self {
        Self { active, complete_after: last_seq, ..Self::default() }
    }

    /// Returns the newest state of a key; `None` if it is not in the memtable.
    pub(crate) fn get(&self, key: &Key) -> Option<&Entry> {
        self.active.get(key).or_else(|| self.frozen.as_ref()?.get(key))
    }

    /// Reports whether a key that is not in the memtable is unchanged since the commit `seq`; 0 is
    /// unknown.
    pub(crate) fn is_complete_since(&self, seq: u64) -> bool {
        seq > 0 && seq >= self.complete_after
    }

    /// Registers a reader of the index; the next checkpoint waits until it is dropped.
    pub(crate) fn reader(&self) -> Arc<Readers> {
        self.readers.clone()
    }

    pub(crate) fn view(&self) -> View {
        View { active: self.active.clone(), frozen: self.frozen.clone(), _reader: self.readers.clone() }
    }

    /// Freezes the active generation.
    ///
    /// A checkpoint may apply it once the readers that do not see it are gone; they hold the second
    /// value.
    pub(crate) fn freeze(&mut self) -> (Arc<Generation>, Arc<Readers>) {
        let frozen = Arc::new(std::mem::take(&mut self.active));
        self.frozen = Some(frozen.clone());
        (frozen, std::mem::take(&mut self.readers))
    }

    /// Drops the frozen generation, which the index has.
    pub(crate) fn drop_frozen(&mut self) -> Option<Arc<Generation>> {
        let frozen = self.frozen.take()?;
        self.complete_after = frozen.newest;
        Some(frozen)
    }
}

impl View {
    /// Returns the newest entry of each key in a range, in order.
    pub(crate) fn range<'a>(&'a self, range: &'a KeyRange) -> Merged<'a> {
        let of = |generation: &'a Generation| generation.tree.range(&range.start, &range.end).peekable();
        Merged { active: of(&self.active), frozen: self.frozen.as_deref().map(of) }
    }

    /// Every entry, the newest of each key.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        let of = |generation| Generation::iter(generation).peekable();
        let mut merged = Merged { active: of(&self.active), frozen: self.frozen.as_deref().map(of) };
        std::iter::from_fn(move || merged.next_below(&[u8::MAX]))
    }

    /// Returns its approximate memory in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.active.bytes() + self.frozen.as_deref().map_or(0, Generation::bytes)
    }
}

type Entries<'a> = Peekable<Range<'a, Entry>>;

/// An iterator that merges both generations.
#[derive(Debug)]
pub(crate) struct Merged<'a> {
    active: Entries<'a>,
    frozen: Option<Entries<'a>>,
}

impl<'a> Merged<'a> {
    /// Reports whether the next entry is for `key`, given that all earlier ones were taken.
    pub(crate) fn is_next(&mut self, key: &[u8]) -> bool {
        let is = |entries: &mut Entries<'a>| entries.peek().is_some_and(|(next, _)| next.bytes() == key);
        is(&mut self.active) || self.frozen.as_mut().is_some_and(is)
    }

    /// Returns the next entry if its key is below `limit`.
    pub(crate) fn next_below(&mut self, limit: &[u8]) -> Option<(&'a Key, &'a Entry)> {
        let below = |(key, _): &(&Key, &Entry)| key.bytes()[..] < *limit;
        let active = self.active.peek().copied();
        let frozen = self.frozen.as_mut().and_then(|frozen| frozen.peek().copied());
        let is_active = match (active, frozen) {
            (Some((active, _)), Some((frozen, _))) => active.bytes() <= frozen.bytes(),
            (active, _) => active.is_some(),
        };
        let next = if is_active { active } else { frozen }.filter(below)?;
        if is_active {
            self.active.next();
        }
        if let (Some(frozen), Some((key, _))) = (&mut self.frozen, frozen)
            && key == next.0
        {
            frozen.next();
        }
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::model::List;

    fn key(n: u8) -> Key {
        Key::item("p", List::Active, &format!("{n:03}"))
    }

    proptest! {
        #[test]
        fn a_view_merges_generations_and_never_changes(writes in proptest::collection::vec((any::<u8>(), any::<bool>()), 0..200), freeze in 0..200_usize) {
            let mut memtable = Memtable::default();
            let mut model = BTreeMap::new();
            for (n, (at, put)) in writes.iter().enumerate() {
                if n == freeze {
                    memtable.freeze();
                }
                let payload = put.then(|| Bytes::from(vec![n as u8]));
                memtable.active.put(&key(*at), n as u64, payload.clone(), None);
                model.insert(key(*at), payload);
            }
            let view = memtable.view();
            memtable.active.put(&key(0), 999, None, None);
            let range = KeyRange::all();
            let mut merged = view.range(&range);
            let mut found = BTreeMap::new();
            // Taken in steps, as a merge with the index does.
            for limit in [key(50).bytes().clone(), key(120).bytes().clone(), range.end.clone()] {
                while let Some((key, entry)) = merged.next_below(&limit) {
                    prop_assert!(key.bytes() < &limit);
                    prop_assert_eq!(found.insert(key.clone(), entry.payload.clone()), None, "twice");
                }
                prop_assert_eq!(merged.is_next(&limit), model.keys().any(|key| key.bytes() == &limit));
            }
            prop_assert_eq!(found, model);
        }
    }

    #[test]
    fn counts_what_it_holds() {
        let mut generation = Generation::default();
        generation.put(&key(1), 1, Some(Bytes::from(vec![0; 1000])), None);
        let one = generation.bytes();
        assert!((1000..1300).contains(&one));
        for seq in 2..100 {
            generation.put(&key(1), seq, Some(Bytes::from(vec![0; 1000])), None);
        }
        assert_eq!(generation.bytes(), one);
        generation.put(&key(1), 100, None, None);
        assert_eq!(generation.bytes(), one - 1000);
    }

    #[test]
    fn an_owner_keeps_what_it_replaces_in_the_index() {
        let mut generation = Generation::default();
        let owner = Key::owner("p");
        for (seq, replaces) in [(9, 4), (12, 9), (13, 12)] {
            generation.put(&owner, seq, Some(Bytes::new()), Some(replaces));
            assert_eq!(generation.get(&owner).unwrap().replaces, Some(4));
        }
    }

    #[test]
    fn is_complete_since_the_newest_commit_that_it_dropped() {
        let mut memtable = Memtable::starting_with(Generation::default(), 7);
        assert_eq!([0, 6, 7, 8].map(|seq| memtable.is_complete_since(seq)), [false, false, true, true]);
        memtable.active.put(&key(1), 9, Some(Bytes::new()), None);
        memtable.freeze();
        assert!(memtable.is_complete_since(7), "the frozen generation is still here");
        memtable.active.put(&key(1), 10, Some(Bytes::new()), None);
        memtable.drop_frozen();
        assert_eq!([8, 9, 10].map(|seq| memtable.is_complete_since(seq)), [false, true, true]);
        assert!(!Memtable::default().is_complete_since(0), "0 is unknown");
    }

    #[test]
    fn a_freeze_returns_its_readers() {
        let mut memtable = Memtable::default();
        let before = memtable.view();
        let (_, mut readers) = memtable.freeze();
        let _after = memtable.view();
        assert!(Arc::get_mut(&mut readers).is_none());
        drop(before);
        assert!(Arc::get_mut(&mut readers).is_some(), "later readers do not count");
    }
}
