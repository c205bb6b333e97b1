//! Releases the lock of a dead owner.

use jiff::Timestamp;

use crate::engine::{Batch, Durability};
use crate::error::Result;
use crate::model::time;
use crate::proto::record::Owner;
use crate::record::{Key, Payload};
use crate::store::Attempt;
use crate::store::process::ProcessHandle;

/// The lock that was released.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Released {
    /// The instance that held it.
    pub instance: String,
    /// When it was claimed; `None` if it was imported without a time.
    pub since: Option<Timestamp>,
}

impl ProcessHandle {
    /// Removes a dead owner; returns `None` if there was no owner.
    ///
    /// A run that the owner began stays for the next instance to resume.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](crate::Error::is_not_found) if the process does not exist;
    /// [`is_conflict`](crate::Error::is_conflict) if the owner's run is alive.
    pub fn release(&self) -> Result<Option<Released>> {
        self.store.change(Durability::Synced, || {
            let owner = self.existing_owner()?;
            let status = self.read_status()?;
            self.refuse_live_owner(&owner, &status)?;
            if owner.value.instance.is_empty() {
                return Ok(Attempt::Done(None));
            }
            let nobody = Owner { process_name: self.name().to_owned(), ..Owner::default() };
            let key = Key::owner(self.name());
            let batch = Batch::new()
                .expect(key.clone(), owner.unchanged())
                .expect(Key::status(self.name()), status.unchanged())
                .put(key, nobody.to_payload());
            let since = time::read(&owner.value.claimed);
            Ok(Attempt::Commit(batch, Some(Released { instance: owner.value.instance, since })))
        })
    }
}
