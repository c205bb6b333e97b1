//! The log of a store that is open.

use super::Store;
use crate::error::Result;
use crate::recovery::{LogEntry, Teller};

impl Store {
    /// Reads the log of the store while it is used, and visits its commits from `from` on,
    /// and what is missing between them, as [`recovery::read_log`](crate::recovery::read_log)
    /// does for a store that no program has open. Answers the last commit in it, 0 if there
    /// is none. Commits go on meanwhile; what comes after the call is not visited. `visit`
    /// must not call the store.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](crate::Error::is_invalid) for a store in memory; if a file cannot be
    /// read; what `visit` answers.
    pub fn read_log(&self, from: u64, mut visit: impl FnMut(LogEntry) -> Result<()>) -> Result<u64> {
        let mut teller = Teller::new(from);
        self.inner.engine.browse_log(&mut |found| teller.tell(found, &mut visit))?;
        Ok(teller.last)
    }
}
