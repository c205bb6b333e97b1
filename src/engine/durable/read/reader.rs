//! Reads the memtable merged over the index.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::engine::durable::memtable::{Entry, Merged, View};
use crate::engine::durable::shared::Shared;
use crate::engine::durable::storage::IndexBackend;
use crate::engine::index_records::{open_entry, open_value};
use crate::engine::{Stats, Visitor};
use crate::error::Result;
use crate::index::Visit;
use crate::record::{Key, KeyRange, Record, RecordRef};

fn record(key: &Key, entry: &Entry) -> Option<Record> {
    let payload = entry.payload.clone()?;
    Some(Record { key: key.clone(), version: entry.seq, payload })
}

/// Reads records as of the newest commit.
#[derive(Debug)]
pub(crate) struct Reader {
    shared: Arc<Shared>,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(crate) fn get(&self, index: &dyn IndexBackend, key: &Key) -> Result<Option<Record>> {
        let _reader = {
            let memtable = self.shared.memtable.read();
            if let Some(entry) = memtable.get(key) {
                return Ok(record(key, entry));
            }
            memtable.reader()
        };
        let value = self.shared.poison.on_error(index.get(key.bytes()))?;
        value.map(|value| open_value(key, value)).transpose()
    }

    /// Returns the newest version of a record that was read as of the commit `as_of`.
    pub(crate) fn get_since(
        &self,
        index: &dyn IndexBackend,
        read: Record,
        as_of: u64,
    ) -> Result<Option<Record>> {
        {
            let memtable = self.shared.memtable.read();
            if let Some(entry) = memtable.get(&read.key) {
                return Ok(record(&read.key, entry));
            }
            if memtable.is_complete_since(as_of) {
                return Ok(Some(read));
            }
        }
        self.get(index, &read.key)
    }

    /// A concurrent checkpoint changes the index only where the view has an entry, for which the
    /// index is not consulted.
    pub(crate) fn scan(
        &self,
        index: &dyn IndexBackend,
        range: &KeyRange,
        visit: &mut Visitor<'_>,
    ) -> Result<()> {
        let view = self.shared.memtable.read().view();
        self.shared.poison.on_error(scan_merged(index, &view, range, visit))
    }

    /// Counts the records while the index does not change: those of the index, plus and minus the
    /// effect of the memtable.
    pub(crate) fn add_statistics(&self, index: &dyn IndexBackend, stats: &mut Stats) -> Result<()> {
        let view = self.shared.memtable.read().view();
        stats.index_records = index.contents()?.records;
        stats.records = stats.index_records;
        for (key, entry) in view.all() {
            match (index.get(key.bytes())?.is_some(), entry.payload.is_some()) {
                (false, true) => stats.records = stats.records.saturating_add(1),
                (true, false) => stats.records = stats.records.saturating_sub(1),
                _ => {}
            }
        }
        stats.last_seq = self.shared.last_seq();
        stats.memtable_records = view.all().count() as u64;
        stats.memtable_bytes = view.bytes() as u64;
        Ok(())
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

/// Merges the entries of the memtable between the records of the index.
struct Merge<'a, 'v> {
    entries: Merged<'a>,
    visit: &'a mut Visitor<'v>,
    /// The error of a damaged index record.
    damage: Result<()>,
    /// Whether the visitor wants more.
    flow: ControlFlow<()>,
}

impl Merge<'_, '_> {
    fn show(&mut self, record: RecordRef<'_>) -> ControlFlow<()> {
        self.flow = (self.visit)(record);
        self.flow
    }

    /// Visits the entries below `limit`.
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
    /// Skips keys that are in the memtable.
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

    /// An index whose records are all in the memtable too.
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

        fn verify(&self, _: &(dyn Fn() -> bool + Sync)) -> Result<()> {
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
    fn a_scan_reads_no_further_than_its_visitor() {
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
        assert_eq!(index.looked_at.into_inner(), 11, "one key reveals that the preceding keys are next");
    }
}
