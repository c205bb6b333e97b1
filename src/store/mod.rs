//! The store: typed operations on processes, each made of reads and one batch.

mod builder;
mod feed;
mod process;
mod transaction;
mod view;
mod write;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use builder::StoreBuilder;
pub use feed::changes::{ChangeSet, Changes};
pub use feed::watch::{Change, Changed, Event, Watch};
pub use process::{Effect, ProcessHandle};
pub use view::counts::Counts;
pub use view::history::PastRun;
pub use view::items::{Items, StoredItem};
pub use view::page::{Item, Names, Page};
pub use view::summary::Summary;
pub use write::bulk::Tally;
pub use write::import::ImportMode;
pub use write::precondition::Precondition;
pub use write::purge::Purged;
pub use write::release::Released;
pub use write::settings::Settings;

pub(crate) use transaction::{Attempt, Versioned};

use jiff::Timestamp;

use crate::archive::Target;
use crate::clock::Clock;
use crate::engine::{Backup, Batch, Durability, Engine, Liveness, OpenReport, Stats};
use crate::error::{Error, Result};
use crate::folder;
use crate::record::{Key, KeyRange};

/// A store of process state, in a folder that one program has open.
///
/// Clones share the store, and dropping the last one closes it; [`close`](Store::close) does so and
/// reports errors.
///
/// ```
/// use procstate::{Params, Store};
///
/// let folder = tempfile::tempdir()?;
/// let store = Store::open(folder.path().join("state"))?;
/// let keys = store.process("gckeys")?;
/// keys.register("project-1", Params::new().int("keysPerAccount", 8))?;
/// assert_eq!(store.processes()?, ["gckeys"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Decides which owners are alive.
    pub(crate) liveness: Arc<dyn Liveness>,
    pub(crate) history_max: usize,
    report: OpenReport,
    path: Option<PathBuf>,
    /// Whether another program has the store open.
    is_remote: bool,
}

impl Store {
    /// Opens the store in the folder `path`, creating it if there is none.
    ///
    /// The index is in sled, which panics on some damaged files. Opening catches these panics and
    /// hides them from the program's panic hook, unless the hook is set after the first store was
    /// opened. A program built with `panic = "abort"` cannot catch them: it aborts whenever it
    /// opens that store. `procstate verify` and `procstate compact` report and repair such damage.
    ///
    /// # Errors
    ///
    /// [`is_locked`](crate::Error::is_locked) while another program, or another `Store` of this
    /// one, has it open; [`is_corrupt`](crate::Error::is_corrupt) if its data is damaged; an error
    /// with the reason if the folder is not a store, is not writable, or has a newer format. In all
    /// these cases nothing is changed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder().open(path)
    }

    /// Connects to a store in etcd, creating it if there is none (feature `etcd`).
    ///
    /// Any number of programs on any number of machines can use it like a store in a folder, with
    /// these differences:
    ///
    /// - Every acknowledged write is on the disks of a majority of the members, even a
    ///   [`Buffered`](Durability::Buffered) one. Only progress that a run reports more often
    ///   than [`sync_interval`](StoreBuilder::sync_interval) is coalesced to the newest report
    ///   per interval: the program's death may lose the last one.
    /// - An owner whose program has died counts as dead when its lease has expired.
    /// - A change of more records than etcd allows per transaction is refused, or, if it only
    ///   writes them (an import), split into parts that become visible together.
    ///
    /// # Errors
    ///
    /// [`is_unreachable`](crate::Error::is_unreachable) if no majority of the members answers, or
    /// they refuse this user; [`is_corrupt`](crate::Error::is_corrupt) if the prefix holds another
    /// program's data.
    #[cfg(feature = "etcd")]
    pub fn connect(options: impl std::borrow::Borrow<crate::engine::EtcdOptions>) -> Result<Self> {
        Self::builder().connect(options)
    }

    /// Creates a store in memory, which ends with its last handle. For tests.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::builder().in_memory()
    }

    /// Returns the names of all processes, sorted by their bytes.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub fn processes(&self) -> Result<Vec<String>> {
        let mut names: Vec<String> = Vec::new();
        let mut range = KeyRange::all();
        while let Some(name) = self.first_process(&range)? {
            range = KeyRange::after_process(&name);
            if self.inner.engine.get(&Key::owner(&name))?.is_some() {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Returns the process of the first record in `range`.
    pub(crate) fn first_process(&self, range: &KeyRange) -> Result<Option<String>> {
        let mut first = None;
        self.inner.engine.scan_first(range, 1, &mut |record| {
            first = record.key.address();
            std::ops::ControlFlow::Break(())
        })?;
        Ok(first.map(|address| address.process))
    }

    /// Copies the files of a store that no program has open into a new or empty folder, without
    /// changing the store.
    ///
    /// To inspect a store without changing it, open a copy.
    ///
    /// # Errors
    ///
    /// [`is_locked`](crate::Error::is_locked) while a program has it open, or if one opened it
    /// meanwhile; [`is_not_found`](crate::Error::is_not_found) if there is no store at `from`;
    /// [`is_invalid`](crate::Error::is_invalid) if `to` lies inside the store or is not empty; if a
    /// file cannot be read or written. A failed copy is unusable: delete it.
    pub fn copy_files(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
        folder::copy_files(from.as_ref(), to.as_ref())
    }

    /// Writes a backup of the whole store, as of one moment after the call began, to the file
    /// `path`.
    ///
    /// The store stays usable; only [`close`](Store::close) waits for the backup. The file has a
    /// temporary name until it is complete and durable.
    /// [`recovery::restore`](crate::recovery::restore) makes a store from it.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](crate::Error::is_invalid) if the file `path` exists or would lie inside the
    /// store; if it cannot be written, which does not affect the store.
    ///
    /// ```
    /// # use procstate::{Params, Store};
    /// # let folder = tempfile::tempdir()?;
    /// let store = Store::open(folder.path().join("state"))?;
    /// store.process("gckeys")?.register("project-1", Params::new())?;
    ///
    /// // The program may keep writing meanwhile.
    /// let backup = store.backup(folder.path().join("backup"))?;
    /// assert_eq!(backup.seq, store.last_seq());
    /// store.sync()?;
    /// store.check_usable()?;
    /// assert_eq!(store.stats()?.last_seq, backup.seq);
    ///
    /// // A store that no program has open can also be copied file by file.
    /// store.close()?;
    /// Store::copy_files(folder.path().join("state"), folder.path().join("copy"))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn backup(&self, path: impl AsRef<Path>) -> Result<Backup> {
        let path = path.as_ref();
        let path = std::path::absolute(path).map_err(|error| Error::io("find", path, error))?;
        if path.exists() {
            let taken = format!("{} already exists; name a new file", path.display());
            return Err(Error::argument(taken));
        }
        if let Some(store) = &self.inner.path {
            folder::check_outside(store, &path)?;
        }
        self.inner.engine.backup(&Target::among_others(&path))
    }

    /// Makes everything written so far survive power loss.
    ///
    /// # Errors
    ///
    /// If the disk fails, which poisons the store: it must be opened again.
    pub fn sync(&self) -> Result<()> {
        self.inner.engine.sync()
    }

    /// Checks that the store was not closed and no earlier error has stopped it.
    ///
    /// Costs next to nothing.
    ///
    /// # Errors
    ///
    /// [`is_poisoned`](crate::Error::is_poisoned) or [`is_closed`](crate::Error::is_closed).
    pub fn check_usable(&self) -> Result<()> {
        self.inner.engine.commit(Batch::new(), Durability::Buffered).map(drop)
    }

    /// Returns statistics of the store.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub fn stats(&self) -> Result<Stats> {
        Ok(Stats { processes: self.processes()?.len() as u64, ..self.inner.engine.stats()? })
    }

    /// Returns the sequence number of the newest commit; 0 if there is none.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.inner.engine.last_seq()
    }

    /// Waits until the verification in the background has ended; returns at once without one.
    ///
    /// See [`StoreBuilder::verify`].
    ///
    /// # Errors
    ///
    /// [`is_poisoned`](crate::Error::is_poisoned) if it found damage, which the next opening repairs;
    /// [`is_closed`](crate::Error::is_closed) if the store was closed.
    ///
    /// # Examples
    ///
    /// ```
    /// use procstate::{Store, Verify};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// let store = Store::builder().verify(Verify::InBackground).open(folder.path())?;
    /// assert!(store.processes()?.is_empty());
    /// store.wait_until_verified()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_until_verified(&self) -> Result<()> {
        self.inner.engine.wait_until_verified()
    }

    /// Returns what opening the store found and did.
    #[must_use]
    pub fn open_report(&self) -> &OpenReport {
        &self.inner.report
    }

    /// Returns the folder of the store; `None` for a store in memory.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.inner.path.as_deref()
    }

    /// Reports whether another program has the store open and this one uses it through that program
    /// (`procstate::remote`, feature `http`).
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.inner.is_remote
    }

    /// Wraps a store that another program has open.
    #[cfg(feature = "http")]
    pub(crate) fn over(engine: Arc<dyn Engine>, liveness: Arc<dyn Liveness>, path: Option<PathBuf>) -> Self {
        Self::builder().remote(engine, liveness, path)
    }

    /// Makes everything durable and releases the folder.
    ///
    /// All other handles fail from now on.
    ///
    /// Dropping the last handle does the same, but can only log errors.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub fn close(self) -> Result<()> {
        self.inner.engine.close()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(error) = self.engine.close() {
            tracing::error!(%error, path = ?self.path, "closing the store failed");
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.inner.path).finish_non_exhaustive()
    }
}
