//! Reading: the memtable over the index.

use std::ops::ControlFlow;

use crate::engine::Visitor;
use crate::engine::durable::memtable::{Entry, Merged, View};
use crate::engine::durable::shared::Shared;
use crate::engine::durable::storage::IndexBackend;
use crate::engine::index_records::{open_entry, open_value};
use crate::error::Result;
use crate::index::Visit;
use crate::record::{Key, KeyRange, Record, RecordRef};

fn record(key: &Key, entry: &Entry) -> Option<Record> {
    let payload = entry.payload.clone()?;
    Some(Record { key: key.clone(), version: entry.seq, payload })
}

impl Shared {
    pub(crate) fn get(&self, key: &Key) -> Result<Option<Record>> {
        self.with_index(|index| {
            let _reader = {
                let memtable = self.memtable.read();
                if let Some(entry) = memtable.get(key) {
                    return Ok(record(key, entry));
                }
                memtable.reader()
            };
            let value = self.poison.on_error(index.get(key.bytes()))?;
            value.map(|value| open_value(key, &value)).transpose()
        })
    }

    /// A checkpoint may change the index meanwhile, but only where the view has an
    /// entry, and there the index is not asked.
    pub(crate) fn scan(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
        self.with_index(|index| {
            let view = self.memtable.read().view();
            self.poison.on_error(scan_merged(index, &view, range, visit))
        })
    }
}

fn scan_merged(
    index: &dyn IndexBackend,
    view: &View,
    range: &KeyRange,
    visit: &mut Visitor<'_>,
) -> Result<()> {
    if range.start >= range.end {
        return Ok(());
    }
    let mut merge =
        Merge { entries: view.range(range), visit, damage: Ok(()), flow: ControlFlow::Continue(()) };
    index.scan(&range.start, &range.end, &mut merge)?;
    if merge.flow.is_continue() {
        let _ = merge.below(&range.end);
    }
    merge.damage
}

/// Entries of the memtable on their way to a visitor, between the records of the index.
struct Merge<'a, 'v> {
    entries: Merged<'a>,
    visit: &'a mut Visitor<'v>,
    /// Whether a record of the index could not be opened.
    damage: Result<()>,
    /// Whether the visitor has enough, or will get no more.
    flow: ControlFlow<()>,
}

impl Merge<'_, '_> {
    fn show(&mut self, record: RecordRef<'_>) -> ControlFlow<()> {
        self.flow = (self.visit)(record);
        self.flow
    }

    /// Shows the entries below `limit`.
    fn below(&mut self, limit: &[u8]) -> ControlFlow<()> {
        while let Some((key, entry)) = self.entries.next_below(limit) {
            if let Some(payload) = &entry.payload {
                self.show(RecordRef { key: key.borrow(), version: entry.seq, payload })?;
            }
        }
        ControlFlow::Continue(())
    }
}

impl Visit for Merge<'_, '_> {
    /// What the memtable has is left out.
    fn skips(&mut self, key: &[u8]) -> ControlFlow<(), bool> {
        self.below(key).map_continue(|()| self.entries.is_next(key))
    }

    fn visit(&mut self, key: &[u8], value: &[u8]) -> ControlFlow<()> {
        match open_entry(key, value) {
            Ok(record) => self.show(record),
            Err(error) => {
                self.damage = Err(error);
                self.flow = ControlFlow::Break(());
                self.flow
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;

    use super::*;
    use crate::engine::durable::memtable::Memtable;
    use crate::engine::durable::storage::Step;
    use crate::index::Contents;
    use crate::model::List;

    /// An index whose every record the memtable has too.
    #[derive(Debug)]
    struct Covered {
        keys: Vec<Key>,
        looked_at: AtomicUsize,
    }

    impl IndexBackend for Covered {
        fn scan(&self, _: &[u8], _: &[u8], visit: &mut dyn Visit) -> Result<()> {
            for key in &self.keys {
                self.looked_at.fetch_add(1, Ordering::Relaxed);
                match visit.skips(key.bytes()) {
                    ControlFlow::Continue(skipped) => assert!(skipped),
                    ControlFlow::Break(()) => break,
                }
            }
            Ok(())
        }

        fn get(&self, _: &[u8]) -> Result<Option<Bytes>> {
            unreachable!("it is only scanned")
        }

        fn contents(&self) -> Result<Contents> {
            unreachable!("it is only scanned")
        }

        fn apply(&self, _: &Step<'_>) -> Result<()> {
            unreachable!("it is only scanned")
        }

        fn sync(&self) -> Result<()> {
            unreachable!("it is only scanned")
        }

        fn disk_bytes(&self) -> Result<u64> {
            unreachable!("it is only scanned")
        }

        fn close(self: Box<Self>) -> Result<()> {
            unreachable!("it is only scanned")
        }
    }

    #[test]
    fn a_scan_looks_no_further_than_its_visitor() {
        let keys: Vec<Key> = (0..1000).map(|n| Key::item("p", List::Active, &format!("{n:04}"))).collect();
        let mut memtable = Memtable::default();
        for key in &keys {
            memtable.active.put(key, 1, Some(Bytes::new()), None);
        }
        let index = Covered { keys: keys.clone(), looked_at: AtomicUsize::new(0) };
        let mut found = Vec::new();
        scan_merged(&index, &memtable.view(), &KeyRange::all(), &mut |record| {
            found.push(record.key.to_key());
            if found.len() == 10 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
        assert_eq!(found, keys[..10]);
        assert_eq!(index.looked_at.into_inner(), 11, "a key tells that those before it are next");
    }
}
