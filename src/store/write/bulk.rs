//! Registers and unregisters many items.

mod standing;
mod window;

use super::work::{Absent, Place};
use crate::engine::Batch;
use crate::error::Result;
use crate::model::limits::names;
use crate::model::{List, item, run};
use crate::proto::Params;
use crate::proto::record::Item;
use crate::record::{Key, Payload};
use crate::store::Attempt;
use crate::store::process::ProcessHandle;
use window::ITEMS_PER_COMMIT;

/// How many items a call changed, and how many already were as requested.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Tally {
    /// Items that were put on the active list or got new parameters.
    pub changed: usize,
    /// Items that already were as requested.
    pub unchanged: usize,
    /// Items that were put on the cleanup list.
    pub unregistered: usize,
}

impl ProcessHandle {
    /// Registers many items, each like [`register`](ProcessHandle::register).
    ///
    /// If a name occurs twice, the last parameters win, and it is one item.
    ///
    /// Items are taken from the iterator in windows of 16,384, or 16 MiB, so that a million of them
    /// need little memory. Each window is checked before any of it is written, sorted by name, and
    /// written in atomic commits of up to 1,000 items or about 8 MiB. If a commit fails, earlier
    /// ones remain: call again with the same items, and only the rest is written. A name that
    /// occurs in two windows counts twice in the [`Tally`].
    ///
    /// ```
    /// # use procstate::{Params, Store};
    /// # let store = Store::in_memory();
    /// # let keys = store.process("gckeys")?;
    /// let items = || (0..5).map(|n| (format!("project-{n}"), Params::new()));
    /// assert_eq!(keys.register_all(items())?.changed, 5);
    /// assert_eq!(keys.register_all(items())?.unchanged, 5);
    /// # Ok::<(), procstate::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`register`](ProcessHandle::register).
    pub fn register_all<N: Into<String>>(
        &self,
        items: impl IntoIterator<Item = (N, Params)>,
    ) -> Result<Tally> {
        self.register_each(items, |_| ())
    }

    /// Unregisters many items, each like [`unregister`](ProcessHandle::unregister).
    ///
    /// All names are checked before anything is written. They are written in order in atomic
    /// commits of up to 1,000 items. If a commit fails, earlier ones remain.
    ///
    /// # Errors
    ///
    /// As [`unregister`](ProcessHandle::unregister).
    pub fn unregister_all<N: Into<String>>(&self, names: impl IntoIterator<Item = N>) -> Result<Tally> {
        let mut names: Vec<String> = names.into_iter().map(Into::into).collect();
        names.iter().try_for_each(|name| names::check_work(name))?;
        self.must_exist()?;
        names.sort_unstable();
        names.dedup();
        let mut unregistered = 0;
        for chunk in names.chunks(self.items_per_commit(ITEMS_PER_COMMIT)) {
            unregistered += self.unregister_chunk(chunk, Absent::ToCleanup)?;
        }
        Ok(Tally { unregistered, unchanged: names.len() - unregistered, changed: 0 })
    }

    /// Makes `items` the whole active list: registers them, and unregisters all other active work.
    ///
    /// The items are checked and written like those of
    /// [`register_all`](ProcessHandle::register_all), and then the others are unregistered in
    /// further commits. Work that is registered concurrently may be unregistered too.
    ///
    /// ```
    /// # use procstate::{Params, Store};
    /// # let store = Store::in_memory();
    /// # let keys = store.process("gckeys")?;
    /// keys.register_all([("a", Params::new()), ("b", Params::new())])?;
    /// let tally = keys.sync_work([("b", Params::new()), ("c", Params::new())])?;
    /// assert_eq!((tally.changed, tally.unchanged, tally.unregistered), (1, 1, 1));
    /// assert_eq!(keys.work("a")?.state, "cleanup");
    /// # Ok::<(), procstate::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`register`](ProcessHandle::register).
    pub fn sync_work<N: Into<String>>(&self, items: impl IntoIterator<Item = (N, Params)>) -> Result<Tally> {
        let mut kept = Vec::new();
        let mut tally = self.register_each(items, |name| kept.push(name.to_owned()))?;
        kept.sort_unstable();
        let mut after: Option<String> = None;
        loop {
            let limit = self.items_per_commit(ITEMS_PER_COMMIT);
            let page = self.first_items(List::Active, after.as_deref(), limit, |name, _| name.to_owned())?;
            let Some(last) = page.back().cloned() else { return Ok(tally) };
            let absent: Vec<String> =
                page.into_iter().filter(|name| kept.binary_search(name).is_err()).collect();
            // Work that was dropped and purged meanwhile must not be cleaned up again.
            tally.unregistered += self.unregister_chunk(&absent, Absent::Stays)?;
            after = Some(last);
        }
    }

    /// Returns how many items one commit may change if the engine's limit is `max`: each item has a
    /// precondition for its old and its new list, and a few preconditions are shared.
    pub(super) fn items_per_commit(&self, max: usize) -> usize {
        let preconditions = self.store.inner.engine.preconditions_max();
        (preconditions.saturating_sub(4) / 3).clamp(1, max)
    }

    /// Registers items, and passes the name of each to `seen`.
    fn register_each<N: Into<String>>(
        &self,
        items: impl IntoIterator<Item = (N, Params)>,
        mut seen: impl FnMut(&str),
    ) -> Result<Tally> {
        let mut items = items.into_iter();
        let mut tally = Tally::default();
        loop {
            let window = self.next_window(&mut items)?;
            if window.is_empty() {
                return Ok(tally);
            }
            for commit in window::commits(&window, ITEMS_PER_COMMIT) {
                let changed = self.register_sorted(commit)?;
                tally.changed += changed;
                tally.unchanged += commit.len() - changed;
                commit.iter().for_each(|(name, _)| seen(name));
            }
        }
    }

    /// Registers sorted items; returns how many of them changed.
    fn register_sorted(&self, items: &[(String, Params)]) -> Result<usize> {
        let few = self.items_per_commit(ITEMS_PER_COMMIT);
        match self.register_at_once(items, few)? {
            Some(changed) => Ok(changed),
            None => items.chunks(few).map(|few| self.register_sorted(few)).sum(),
        }
    }

    /// Registers sorted items in one commit; `None` during a run, which requires preconditions for
    /// each item, if they are more than `few`.
    fn register_at_once(&self, items: &[(String, Params)], few: usize) -> Result<Option<usize>> {
        self.store.change(self.durability, || {
            // In this order: see `register_if`. The settings are read before the lists, too.
            let owner = self.read_owner()?;
            let seq = self.store.inner.engine.newest_seq()?;
            let (run, settings) = (self.read_status()?, self.read_settings()?);
            // A run writes its status with every item, all other writers the settings: while both
            // are unchanged, so is every item. During a run these preconditions would fail too
            // often.
            let is_on = run.present().is_some_and(run::is_unfinished);
            if is_on && items.len() > few {
                return Ok(Attempt::Done(None));
            }
            let standing = self.standing(items)?;
            let now = self.store.now();
            let asks = if is_on { List::ALL.len() * items.len() } else { 0 };
            let mut batch = Batch::with_capacity(asks + 3, items.len() + 2);
            let mut changed = 0;
            for (at, (name, params)) in items.iter().enumerate() {
                let place = standing.get(at);
                let active = place.and_then(Place::active);
                let Some(item) = item::register(active, params, run.present(), now, seq) else { continue };
                if active.is_some() {
                    self.check_size(name, &item)?;
                }
                batch = if is_on {
                    let nowhere = Place::nowhere();
                    self.move_to_active(batch, name, place.unwrap_or(&nowhere), &item)
                } else {
                    self.put_active(batch, name, place, &item)
                };
                changed += 1;
            }
            if changed == 0 {
                return Ok(Attempt::Done(Some(0)));
            }
            let unchanged = settings.value.clone();
            let batch = self.put_settings(batch, &settings, unchanged);
            let batch = batch.expect(Key::status(self.name()), run.unchanged());
            Ok(Attempt::Commit(self.create_in(batch, &owner), Some(changed)))
        })
    }

    /// Puts an item on the active list and removes it from others, unless the process changes.
    fn put_active(&self, batch: Batch, name: &str, place: Option<&Place>, item: &Item) -> Batch {
        let batch = batch.put(self.item_key(List::Active, name), item.to_payload());
        let left = [List::Cleanup, List::Dropped]
            .into_iter()
            .filter(|list| place.is_some_and(|place| place.version(*list).is_some()));
        left.fold(batch, |batch, list| batch.delete(self.item_key(list, name)))
    }
}

#[cfg(test)]
mod tests;
