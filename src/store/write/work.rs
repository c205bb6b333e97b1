//! Registers, unregisters and reads work.

use prost::Message;

use crate::engine::{Batch, Expect};
use crate::error::{Failure, Result};
use crate::model::limits::{self, names};
use crate::model::merge::Here;
use crate::model::response::{self, Found};
use crate::model::{List, item, time};
use crate::proto::record::Item;
use crate::proto::{Params, WorkResponse};
use crate::record::{Key, Payload, RecordRef};
use crate::store::process::{Effect, ProcessHandle};
use crate::store::{Attempt, Precondition, Versioned};

/// What unregistering does with a name that is on no list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// Puts it on the cleanup list.
    ToCleanup,
    /// Nothing: it left the lists meanwhile.
    Stays,
}

/// The list and record of a name, on one list at most.
pub(crate) struct Place {
    active: Versioned<Item>,
    cleanup: Versioned<prost_types::Timestamp>,
    dropped: Versioned<prost_types::Timestamp>,
}

impl ProcessHandle {
    /// Puts the work `name` on the active list with `params`.
    ///
    /// If it is already active, its parameters change; if it is on another list, it leaves that.
    /// Creates the process if needed.
    ///
    /// An active run leaves an item registered meanwhile to the next run; if it is working on this
    /// very item, it sees the new parameters after its next progress.
    ///
    /// # Errors
    ///
    /// If the name is empty or over 1 KiB, the item over 1 MiB less 16 KiB (which are reserved for
    /// the errors of a run), or the store cannot be written.
    pub fn register(&self, name: &str, params: Params) -> Result<Effect> {
        self.register_if(name, params, Precondition::None)
    }

    /// Registers work if `precondition` holds for the item, on any list; see
    /// [`register`](ProcessHandle::register) and [`Item::version`](crate::Item::version).
    ///
    /// # Errors
    ///
    /// As [`register`](ProcessHandle::register);
    /// [`is_precondition_failed`](crate::Error::is_precondition_failed) if it does not hold.
    pub fn register_if(&self, name: &str, params: Params, precondition: Precondition) -> Result<Effect> {
        names::check_work(name)?;
        self.store.change(self.durability, || {
            // The owner is read before the sequence number, and that before the lists, so that an
            // item never appears older than it is, nor older than a run that was claimed before the
            // item existed.
            let owner = self.read_owner()?;
            let seq = self.store.inner.engine.newest_seq()?;
            let run = self.read_status()?;
            let place = self.place(name)?;
            self.check_place(name, &place, precondition)?;
            let now = self.store.now();
            let registered = item::register(place.active.present(), &params, run.present(), now, seq);
            let Some(item) = registered else { return Ok(Attempt::Done(Effect::Unchanged)) };
            self.check_size(name, &item)?;
            let batch = self.move_to_active(Batch::new(), name, &place, &item);
            let batch = self.touch_settings(batch)?;
            Ok(Attempt::Commit(self.create_in(batch, &owner), Effect::Changed))
        })
    }

    /// Checks everything about an item that needs no read: its name, and the size of its
    /// parameters.
    pub(crate) fn check_new(&self, name: &str, params: &Params) -> Result<()> {
        names::check_work(name)?;
        if params.encoded_len() <= limits::ITEM_BYTES_MAX / 2 {
            return Ok(());
        }
        let item = item::register(None, params, None, self.store.now(), 0);
        item.map_or(Ok(()), |item| self.check_size(name, &item))
    }

    /// Reserves space for what a run adds: a run could not end an item that it cannot write.
    pub(crate) fn check_size(&self, name: &str, item: &Item) -> Result<()> {
        let (bytes, limit) = (item.encoded_len(), limits::ITEM_BYTES_MAX);
        if bytes <= limit {
            return Ok(());
        }
        let record = self.item_key(List::Active, name).describe();
        Err(Failure::TooLarge { record, bytes, limit }.into())
    }

    pub(crate) fn move_to_active(&self, mut batch: Batch, name: &str, place: &Place, item: &Item) -> Batch {
        let key = self.item_key(List::Active, name);
        batch = batch.expect(key.clone(), place.active.unchanged()).put(key, item.to_payload());
        batch = self.leave(batch, name, List::Cleanup, place.cleanup.version);
        self.leave(batch, name, List::Dropped, place.dropped.version)
    }

    /// Removes `name` from `list`, or, if it is not there, adds a precondition that it stays
    /// absent.
    fn leave(&self, batch: Batch, name: &str, list: List, version: Option<u64>) -> Batch {
        let key = self.item_key(list, name);
        let batch = batch.expect(key.clone(), Expect::unchanged(version));
        if version.is_some() { batch.delete(key) } else { batch }
    }

    pub(crate) fn touch_settings(&self, batch: Batch) -> Result<Batch> {
        let settings = self.read_settings()?;
        let unchanged = settings.value.clone();
        Ok(self.put_settings(batch, &settings, unchanged))
    }

    /// Moves the work `name` to the cleanup list, even if it was never active.
    ///
    /// Nothing changes if it is already on the cleanup or dropped list.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](crate::Error::is_not_found) if the process does not exist; if the name is
    /// empty or over 1 KiB, or the store cannot be written.
    pub fn unregister(&self, name: &str) -> Result<Effect> {
        self.unregister_if(name, Precondition::None)
    }

    /// Unregisters work if `precondition` holds for the item, on any list; see
    /// [`unregister`](ProcessHandle::unregister) and [`Item::version`](crate::Item::version).
    ///
    /// # Errors
    ///
    /// As [`unregister`](ProcessHandle::unregister);
    /// [`is_precondition_failed`](crate::Error::is_precondition_failed) if it does not hold.
    pub fn unregister_if(&self, name: &str, precondition: Precondition) -> Result<Effect> {
        names::check_work(name)?;
        self.must_exist()?;
        let changed = self.unregister_chunk_if(&[name.to_owned()], Absent::ToCleanup, precondition)?;
        Ok(if changed == 0 { Effect::Unchanged } else { Effect::Changed })
    }

    /// Unregisters items in one commit; returns how many of them changed.
    pub(crate) fn unregister_chunk(&self, names: &[String], absent: Absent) -> Result<usize> {
        self.unregister_chunk_if(names, absent, Precondition::None)
    }

    fn unregister_chunk_if(
        &self,
        names: &[String],
        absent: Absent,
        precondition: Precondition,
    ) -> Result<usize> {
        self.store.change(self.durability, || {
            let mut batch = Batch::new();
            let mut changed = 0;
            for name in names {
                let place = self.place(name)?;
                self.check_place(name, &place, precondition)?;
                let is_gone = place.cleanup.is_present() || place.dropped.is_present();
                let is_absent = !is_gone && !place.active.is_present();
                if is_gone || (is_absent && absent == Absent::Stays) {
                    continue;
                }
                let requested = time::to_wire(self.store.now());
                batch = self.move_to(List::Cleanup, batch, name, &place, &requested);
                changed += 1;
            }
            if changed == 0 {
                return Ok(Attempt::Done(0));
            }
            Ok(Attempt::Commit(self.touch_settings(batch)?, changed))
        })
    }

    /// Puts `name` on the cleanup or dropped list, and removes it from the others.
    pub(crate) fn move_to(
        &self,
        list: List,
        batch: Batch,
        name: &str,
        place: &Place,
        since: &prost_types::Timestamp,
    ) -> Batch {
        let key = self.item_key(list, name);
        let batch = [
            (List::Active, place.active.version),
            (List::Cleanup, place.cleanup.version),
            (List::Dropped, place.dropped.version),
        ]
        .into_iter()
        .filter(|(other, _)| *other != list)
        .fold(batch, |batch, (other, version)| self.leave(batch, name, other, version));
        batch.expect(key.clone(), Expect::unchanged(place.version(list))).put(key, since.to_payload())
    }

    /// Returns the state of the work `name`.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](crate::Error::is_not_found) if the process does not exist; if the name is
    /// empty or over 1 KiB. An unknown name is not an error: its state is `purged`.
    pub fn work(&self, name: &str) -> Result<WorkResponse> {
        let item = self.item(name)?;
        let purged = || response::work_response(self.name(), name, Found::Nowhere);
        Ok(item.map_or_else(purged, |item| item.response(self.name())))
    }

    /// Returns the work `name` with its list and version; `None` if it is on no list.
    ///
    /// # Errors
    ///
    /// As [`work`](ProcessHandle::work).
    pub fn item(&self, name: &str) -> Result<Option<crate::store::Item>> {
        names::check_work(name)?;
        self.must_exist()?;
        // Active work is on no other list. For all others an empty commit verifies that the three
        // lists were read at one point in time, so that a concurrent move cannot hide the item.
        self.store.change(self.durability, || {
            let active = self.read_active(name)?;
            if active.is_present() {
                return Ok(Attempt::Done(Place::only_active(active).item(name)));
            }
            let place = self.place_beside(active, name)?;
            let batch = List::ALL.into_iter().fold(Batch::new(), |batch, list| {
                batch.expect(self.item_key(list, name), Expect::unchanged(place.version(list)))
            });
            Ok(Attempt::Commit(batch, place.item(name)))
        })
    }

    /// Checks `precondition` for the item at `place`.
    fn check_place(&self, name: &str, place: &Place, precondition: Precondition) -> Result<()> {
        let list = place.list();
        let version = list.and_then(|list| place.version(list));
        precondition.check(version, || self.item_key(list.unwrap_or(List::Active), name).describe())
    }

    pub(crate) fn place(&self, name: &str) -> Result<Place> {
        self.place_beside(self.read_active(name)?, name)
    }

    fn read_active(&self, name: &str) -> Result<Versioned<Item>> {
        self.store.read(&self.item_key(List::Active, name))
    }

    /// Finds the name on the lists other than the active one, which was read before.
    fn place_beside(&self, active: Versioned<Item>, name: &str) -> Result<Place> {
        Ok(Place {
            active,
            cleanup: self.store.read(&self.item_key(List::Cleanup, name))?,
            dropped: self.store.read(&self.item_key(List::Dropped, name))?,
        })
    }

    pub(crate) fn item_key(&self, list: List, name: &str) -> Key {
        Key::item(self.name(), list, name)
    }
}

impl Place {
    /// Returns the local state of the name for a merge.
    pub(crate) fn here(&self) -> Here<'_> {
        match (self.active.present(), self.cleanup.present().or(self.dropped.present())) {
            (Some(item), _) => Here::Active(item),
            (None, Some(since)) => Here::Left(time::from_wire(since)),
            (None, None) => Here::Nowhere,
        }
    }

    pub(super) fn version(&self, list: List) -> Option<u64> {
        match list {
            List::Active => self.active.version,
            List::Cleanup => self.cleanup.version,
            List::Dropped => self.dropped.version,
        }
    }

    /// The place of a name on the active list, and therefore on no other.
    fn only_active(active: Versioned<Item>) -> Self {
        Self { active, ..Self::nowhere() }
    }

    /// The place of a name on no list.
    pub(super) fn nowhere() -> Self {
        Self { active: Versioned::absent(), cleanup: Versioned::absent(), dropped: Versioned::absent() }
    }

    /// Records an entry of a list.
    pub(super) fn put(&mut self, list: List, record: RecordRef<'_>) -> Result<()> {
        match list {
            List::Active => self.active = Versioned::of(record)?,
            List::Cleanup => self.cleanup = Versioned::of(record)?,
            List::Dropped => self.dropped = Versioned::of(record)?,
        }
        Ok(())
    }

    pub(crate) fn active(&self) -> Option<&Item> {
        self.active.present()
    }

    /// Returns the list of the name.
    fn list(&self) -> Option<List> {
        List::ALL.into_iter().find(|list| self.version(*list).is_some())
    }

    /// Returns the item with its list.
    fn item(self, name: &str) -> Option<crate::store::Item> {
        let list = self.list()?;
        let version = self.version(list).unwrap_or_default();
        let since = match list {
            List::Active => None,
            List::Cleanup => time::from_wire(&self.cleanup.value),
            List::Dropped => time::from_wire(&self.dropped.value),
        };
        let failed_attempts = self.active().map_or(0, |item| item.failed_attempts);
        let work = (list == List::Active).then(|| self.active.value.work.unwrap_or_default());
        Some(crate::store::Item { name: name.to_owned(), list, work, since, version, failed_attempts })
    }
}
