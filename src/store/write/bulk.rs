//! Registering and unregistering many items.

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

/// How many items a call changed, and how many were as asked already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Tally {
    /// Items that were put on the active list or got other parameters.
    pub changed: usize,
    /// Items that were like that already.
    pub unchanged: usize,
    /// Items that were put on the cleanup list.
    pub unregistered: usize,
}

impl ProcessHandle {
    /// Registers many items, each as [`register`](ProcessHandle::register) does it. Of a
    /// name that comes twice the last parameters count, and it is one item.
    ///
    /// They are taken from the iterator 16,384 at a time, or 16 MiB, so that a million of them
    /// need little memory. Those are checked before any of them is written, put in the order
    /// of their names, and written up to a thousand or about 8 MiB in a commit; each commit
    /// lands whole or not at all. If one fails, those before it have landed: call again with
    /// the same items, and only the rest is written. A name that comes twice and farther
    /// apart counts twice in the [`Tally`].
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

    /// Unregisters many items, each as [`unregister`](ProcessHandle::unregister) does it.
    ///
    /// All names are checked before anything is written. They are written in order, up to a
    /// thousand in a commit; each commit lands whole or not at all. If one fails, those
    /// before it have landed.
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

    /// Makes the active list just these items: registers them, and unregisters all other
    /// active work. Without items that is all of it.
    ///
    /// They are checked and written as [`register_all`](ProcessHandle::register_all) has it,
    /// and after them what is unregistered, in more commits. What others register while it
    /// is on may be unregistered with the rest.
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
            let page = self.names(List::Active, after.as_deref(), self.items_per_commit(ITEMS_PER_COMMIT))?;
            let Some(last) = page.back().cloned() else { return Ok(tally) };
            let absent: Vec<String> =
                page.into_iter().filter(|name| kept.binary_search(name).is_err()).collect();
            // What was dropped and purged meanwhile is not to be cleaned up once more.
            tally.unregistered += self.unregister_chunk(&absent, Absent::Stays)?;
            after = Some(last);
        }
    }

    /// How many items one commit changes at most, where an engine lets it be `max`: each has
    /// a precondition for the list it is on and the one it goes to, and some more come once.
    pub(super) fn items_per_commit(&self, max: usize) -> usize {
        let preconditions = self.store.inner.engine.preconditions_max();
        (preconditions.saturating_sub(4) / 3).clamp(1, max)
    }

    /// Registers items, and shows `seen` the name of each.
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
            for commit in window::commits(&window, self.items_per_commit(ITEMS_PER_COMMIT)) {
                let changed = self.register_sorted(commit)?;
                tally.changed += changed;
                tally.unchanged += commit.len() - changed;
                commit.iter().for_each(|(name, _)| seen(name));
            }
        }
    }

    /// Registers items, which are in order, in one commit; answers how many of them changed
    /// anything.
    fn register_sorted(&self, items: &[(String, Params)]) -> Result<usize> {
        self.store.change(self.durability, || {
            // In this order: see `register_if`. The settings before the lists, too.
            let owner = self.read_owner()?;
            let seq = self.store.inner.engine.newest_seq()?;
            let (run, settings) = (self.read_status()?, self.read_settings()?);
            let standing = self.standing(items)?;
            // A run writes its status with every item, everybody else the settings: while both
            // are as they were read, so is every item. A run that is on would not let many
            // items get through like this.
            let is_on = run.present().is_some_and(run::is_unfinished);
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
                return Ok(Attempt::Done(0));
            }
            let unchanged = settings.value.clone();
            let batch = self.put_settings(batch, &settings, unchanged);
            let batch = batch.expect(Key::status(self.name()), run.unchanged());
            Ok(Attempt::Commit(self.create_in(batch, &owner), changed))
        })
    }

    /// Puts an item on the active list, and takes it off those that it is on, unless the
    /// process changes.
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
