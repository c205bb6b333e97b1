//! Registering and unregistering many items.

use std::collections::BTreeMap;

use prost::Message;

use super::work::Absent;
use crate::error::Result;
use crate::model::List;
use crate::model::limits::names;
use crate::proto::Params;
use crate::store::process::ProcessHandle;

/// How many items one commit writes at most.
const ITEMS_PER_COMMIT: usize = 1000;

/// How many bytes of names and parameters make a commit full.
const BYTES_PER_COMMIT: usize = 8 << 20;

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
    /// All of them are checked before anything is written. They are written in the order
    /// of their names, up to a thousand or about 8 MiB in a commit; each commit lands
    /// whole or not at all. If one fails, those before it have landed: call again with the
    /// same items, and only the rest is written.
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
        self.register_sorted(self.checked(items)?)
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
        self.existing_owner()?;
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
        let items = self.checked(items)?;
        let kept: Vec<String> = items.keys().cloned().collect();
        let mut tally = self.register_sorted(items)?;
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

    /// Items by name, all of which can be registered.
    fn checked<N: Into<String>>(
        &self,
        items: impl IntoIterator<Item = (N, Params)>,
    ) -> Result<BTreeMap<String, Params>> {
        let items: BTreeMap<String, Params> =
            items.into_iter().map(|(name, params)| (name.into(), params)).collect();
        items.iter().try_for_each(|(name, params)| self.check_new(name, params))?;
        Ok(items)
    }

    /// How many items one commit changes at most, where an engine lets it be `max`: each has
    /// a precondition for the list it is on and the one it goes to, and some more come once.
    pub(super) fn items_per_commit(&self, max: usize) -> usize {
        let preconditions = self.store.inner.engine.preconditions_max();
        (preconditions.saturating_sub(4) / 3).clamp(1, max)
    }

    fn register_sorted(&self, items: BTreeMap<String, Params>) -> Result<Tally> {
        let total = items.len();
        let (mut changed, mut bytes) = (0, 0);
        let items_max = self.items_per_commit(ITEMS_PER_COMMIT);
        let mut chunk = Vec::with_capacity(total.min(items_max));
        for (name, params) in items {
            bytes += name.len() + params.encoded_len();
            chunk.push((name, params));
            if chunk.len() == items_max || bytes >= BYTES_PER_COMMIT {
                changed += self.register_chunk(&chunk)?;
                chunk.clear();
                bytes = 0;
            }
        }
        if !chunk.is_empty() {
            changed += self.register_chunk(&chunk)?;
        }
        Ok(Tally { changed, unchanged: total - changed, unregistered: 0 })
    }
}

#[cfg(test)]
mod tests;
