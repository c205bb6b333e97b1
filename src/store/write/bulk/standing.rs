//! Where the names of a chunk stand: by one pass over each list, not by three reads a name.

use std::collections::HashMap;
use std::ops::ControlFlow;

use crate::error::Result;
use crate::model::List;
use crate::proto::Params;
use crate::record::{KeyRange, RecordRef, Slot};
use crate::store::process::ProcessHandle;
use crate::store::write::work::Place;

/// So many records of a list are looked at for each name. Where the names are few among
/// many, they are looked up instead.
const LOOKS_PER_NAME: usize = 4;

/// The places of those that are on a list, by their number in the chunk.
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
    /// Where `items` stand, which are in order. Each list is read at a time of its own.
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

    /// Goes over the part of `list` where `items` would be. Answers how many of them that
    /// is the place of, if it has too much in it.
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
