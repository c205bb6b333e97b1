//! Reads the log of an open store.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::engine::Received;
use crate::error::{Error, Failure, Result};
use crate::recovery::{LogDescriber, LogEntry};
use crate::store::Store;

/// How long to let commits accumulate before the log is read again.
const PAUSE: Duration = Duration::from_millis(250);

impl Store {
    /// Visits the commits in the log from `from` on, and gaps between them, while the store is in
    /// use; returns the last commit in the log, or 0.
    ///
    /// It works as [`recovery::read_log`](crate::recovery::read_log) does on a closed store.
    /// Commits made after the call are not visited. `visit` must not call the store.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](crate::Error::is_invalid) for a store in memory; if a file cannot be read;
    /// any error of `visit`.
    pub fn read_log(&self, from: u64, mut visit: impl FnMut(LogEntry) -> Result<()>) -> Result<u64> {
        let mut describer = LogDescriber::new(from);
        self.inner.engine.browse_log(0, &mut |found| describer.tell(found, &mut visit))?;
        Ok(describer.last)
    }

    /// Visits the log like [`read_log`](Store::read_log), and then each new commit shortly after it
    /// is made, until `visit` breaks or the store is closed.
    ///
    /// # Errors
    ///
    /// As [`read_log`](Store::read_log).
    ///
    /// ```
    /// use procstate::{Params, Store, recovery::LogEntry};
    /// use std::ops::ControlFlow;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// let store = Store::open(folder.path())?;
    /// store.process("gckeys")?.register("project-1", Params::new())?;
    /// let newest = store.read_log(0, |entry| Ok(println!("{entry:?}")))?;
    ///
    /// // Waits for more commits until the closure breaks.
    /// store.follow_log(0, |entry| match entry {
    ///     LogEntry::Commit(commit) if commit.seq >= newest => ControlFlow::Break(()),
    ///     _ => ControlFlow::Continue(()),
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn follow_log(&self, from: u64, mut visit: impl FnMut(LogEntry) -> ControlFlow<()>) -> Result<()> {
        let feed = self.inner.engine.feed().subscribe(1);
        let mut describer = LogDescriber::new(from);
        let mut flow = ControlFlow::Continue(());
        loop {
            let is_first = describer.last == 0;
            let browsed = self.inner.engine.browse_log(describer.last, &mut |found| {
                describer.tell(found, &mut |entry| {
                    if flow.is_continue() {
                        flow = visit(entry);
                    }
                    Ok(())
                })
            });
            match browsed {
                Err(error) if !is_first && is_over(&error) => return Ok(()),
                browsed => browsed?,
            }
            if flow.is_break() || feed.receive(None) == Received::Closed {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
            while !matches!(feed.receive(Some(Duration::ZERO)), Received::Nothing | Received::Closed) {}
        }
    }
}

/// Reports whether the store was closed, or the program that has it open is gone.
fn is_over(error: &Error) -> bool {
    matches!(error.failure(), Failure::Closed) || error.is_unreachable()
}
