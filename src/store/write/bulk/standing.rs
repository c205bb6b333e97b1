//! Finds the items of a chunk in one pass per list instead of three reads per name.

use std::collections::HashMap;
use std::ops::ControlFlow;

use crate::error::Result;
use crate::model::List;
use crate::proto::Params;
use crate::record::{KeyRange, RecordRef, Slot};
use crate::store::process::ProcessHandle;
use crate::store::write::work::Place;

/// The records to scan per name. If the chunk is a small part of the list, its names are looked up
/// one by one.
const LOOKS_PER_NAME: usize = 4;

/// The places of the items that are on a list, by their index in the chunk.
#[derive(Default)]
pub(super) struct Standing {
    places: HashMap<usize, Place>,
}

impl Standing {
    pub(super) fn get(&self, at: usize) -> Option<&Place> {
        self.places.get(&at)
    }

    fn put(&mut self, at: usize, list: List, record: RecordRef<'_>) -> Result<()> {
        self.places.entry(at).or_insert_with(Place::nowhere).put(list, record)
    }
}

impl ProcessHandle {
    /// Finds the places of `items`, which are sorted.
    ///
    /// Each list is read at its own point in time.
    pub(super) fn standing(&self, items: &[(String, Params)]) -> Result<Standing> {
        let mut standing = Standing::default();
        for list in List::ALL {
            let looked_up = self.pass_over(list, items, &mut standing)?;
            for (at, (name, _)) in items.iter().enumerate().skip(looked_up) {
                if let Some(record) = self.store.inner.engine.get(&self.item_key(list, name))? {
                    standing.put(at, list, record.borrow())?;
                }
            }
        }
        Ok(standing)
    }

    /// Scans the part of `list` between the first and the last of `items`.
    ///
    /// Returns how many of the items it covers before the scan budget is exhausted.
    fn pass_over(&self, list: List, items: &[(String, Params)], standing: &mut Standing) -> Result<usize> {
        let (Some((first, _)), Some((last, _))) = (items.first(), items.last()) else { return Ok(0) };
        let range = KeyRange::kind(self.name(), list.into())
            .from(&self.item_key(list, first))
            .up_to(&self.item_key(list, last));
        let mut names = items.iter().enumerate().peekable();
        let (mut looks, mut is_over) = (0, true);
        self.store.scan(&range, |record| {
            let Some(Slot::Item(_, found)) = record.key.slot() else { return Ok(ControlFlow::Continue(())) };
            while names.next_if(|(_, (name, _))| name.as_str() < found).is_some() {}
            looks += 1;
            if looks > LOOKS_PER_NAME * items.len() {
                is_over = false;
                return Ok(ControlFlow::Break(()));
            }
            match names.next_if(|(_, (name, _))| name == found) {
                Some((at, _)) => standing.put(at, list, record).map(ControlFlow::Continue),
                None => Ok(ControlFlow::Continue(())),
            }
        })?;
        let next = names.peek().map_or(items.len(), |(at, _)| *at);
        Ok(if is_over { items.len() } else { next })
    }
}
