//! Reading: the memtable over the index.

use std::cell::RefCell;
use std::ops::ControlFlow;

use bytes::Bytes;

use super::base::Base;
use super::memtable::{Entry, Merged, View};
use super::shared::Shared;
use crate::engine::Visitor;
use crate::engine::stored::{open_entry, open_value};
use crate::error::Result;
use crate::record::{Key, KeyRange, Record};

fn record(key: &Key, entry: &Entry) -> Option<Record> {
    let payload = entry.payload.clone()?;
    Some(Record { key: key.clone(), version: entry.seq, payload })
}

impl Shared {
    pub(super) fn get(&self, key: &Key) -> Result<Option<Record>> {
        self.with_base(|base| {
            let _reader = {
                let memtable = self.memtable.read();
                if let Some(entry) = memtable.get(key) {
                    return Ok(record(key, entry));
                }
                memtable.reader()
            };
            let value = self.poison.on_error(base.get(key.bytes()))?;
            value.map(|value| open_value(key, &value)).transpose()
        })
    }

    /// A checkpoint may change the index meanwhile, but only where the view has an
    /// entry, and there the index is not asked.
    pub(super) fn scan(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
        self.with_base(|base| {
            let view = self.memtable.read().view();
            self.poison.on_error(scan_merged(base, &view, range, visit))
        })
    }
}

fn scan_merged(base: &dyn Base, view: &View, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
    if range.start >= range.end {
        return Ok(());
    }
    let merge = RefCell::new(Merge { entries: view.range(range), visit, flow: ControlFlow::Continue(()) });
    let has_entries = !view.is_empty();
    let skip = |key: &Bytes| match has_entries && view.covers(key) {
        // Whoever has enough by now need not wait for a key that is not covered.
        true => merge.borrow_mut().below(key).map_continue(|()| true),
        false => ControlFlow::Continue(false),
    };
    let mut damage = Ok(());
    base.scan(&range.start, &range.end, &skip, &mut |key, value| {
        let mut merge = merge.borrow_mut();
        merge.below(&key)?;
        match open_entry(key, &value) {
            Ok(record) => merge.visit(record),
            Err(error) => {
                damage = Err(error);
                ControlFlow::Break(())
            }
        }
    })?;
    damage?;
    let mut merge = merge.into_inner();
    if merge.flow.is_continue() {
        let _ = merge.below(&range.end);
    }
    Ok(())
}

/// Entries of the memtable on their way to a visitor, between the records of the index.
struct Merge<'a, 'v> {
    entries: Merged<'a>,
    visit: &'a mut Visitor<'v>,
    /// What the visitor said last.
    flow: ControlFlow<()>,
}

impl Merge<'_, '_> {
    fn visit(&mut self, record: Record) -> ControlFlow<()> {
        self.flow = (self.visit)(record);
        self.flow
    }

    /// Visits the entries below `limit`.
    fn below(&mut self, limit: &[u8]) -> ControlFlow<()> {
        while let Some((key, entry)) = self.entries.next_below(limit) {
            if let Some(record) = record(key, entry) {
                self.visit(record)?;
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::base::Step;
    use super::super::memtable::Memtable;
    use super::*;
    use crate::index::{Contents, Skip, Visitor as IndexVisitor};
    use crate::model::List;

    /// An index whose every record the memtable has too.
    #[derive(Debug)]
    struct Covered {
        keys: Vec<Key>,
        looked_at: AtomicUsize,
    }

    impl Base for Covered {
        fn scan(&self, _: &[u8], _: &[u8], skip: &Skip<'_>, _: &mut IndexVisitor<'_>) -> Result<()> {
            for key in &self.keys {
                self.looked_at.fetch_add(1, Ordering::Relaxed);
                match skip(key.bytes()) {
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
        let base = Covered { keys: keys.clone(), looked_at: AtomicUsize::new(0) };
        let mut found = Vec::new();
        scan_merged(&base, &memtable.view(), &KeyRange::all(), &mut |record| {
            found.push(record.key);
            if found.len() == 10 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
        assert_eq!(found, keys[..10]);
        assert_eq!(base.looked_at.into_inner(), 11, "a key tells that those before it are next");
    }
}
