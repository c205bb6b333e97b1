//! Taking a dead owner's lock away.

use jiff::Timestamp;

use crate::engine::{Batch, Durability};
use crate::error::Result;
use crate::model::time;
use crate::proto::record::Owner;
use crate::record::{Key, Payload};
use crate::store::Attempt;
use crate::store::process::ProcessHandle;

/// Whose lock was taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Released {
    /// The instance that had it.
    pub instance: String,
    /// Since when; `None` if that came in by import without a time.
    pub since: Option<Timestamp>,
}

impl ProcessHandle {
    /// Takes the lock of a dead owner away: the process has no owner then. A run
    /// that the owner had begun stays, for the next instance to go on with.
    /// Answers `None` if there was no owner.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](crate::Error::is_not_found) if the process is not in the
    /// store; [`is_conflict`](crate::Error::is_conflict) if the owner's run shows
    /// life.
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
