//! Reading: the memtable over the index.

use std::ops::ControlFlow;

use super::base::Base;
use super::memtable::{Entry, View};
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
    let mut merged = view.range(range);
    let mut visit_below = |limit: &[u8], visit: &mut Visitor<'_>| {
        while let Some((key, entry)) = merged.next_below(limit) {
            if let Some(record) = record(key, entry) {
                visit(record)?;
            }
        }
        ControlFlow::Continue(())
    };
    let has_entries = !view.is_empty();
    let skip = |key: &bytes::Bytes| has_entries && view.covers(key);
    let mut flow = ControlFlow::Continue(());
    let mut damage = Ok(());
    base.scan(&range.start, &range.end, &skip, &mut |key, value| {
        flow = visit_below(&key, visit);
        if flow.is_continue() {
            match open_entry(key, &value) {
                Ok(record) => flow = visit(record),
                Err(error) => {
                    damage = Err(error);
                    flow = ControlFlow::Break(());
                }
            }
        }
        flow
    })?;
    damage?;
    if flow.is_continue() {
        let _ = visit_below(&range.end, visit);
    }
    Ok(())
}
