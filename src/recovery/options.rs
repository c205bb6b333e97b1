//! Options for reading a closed store.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::path::{Path, PathBuf};

type Tell<'a> = Box<dyn FnMut(Progress) + 'a>;

/// Options of [`verify`](super::verify) and [`salvage`](super::salvage).
#[derive(Default)]
pub struct Options<'a> {
    scratch: Option<PathBuf>,
    progress: Option<Tell<'a>>,
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("scratch", &self.scratch).finish_non_exhaustive()
    }
}

/// The estimated progress of a long operation, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What is done.
    pub done: u64,
    /// What there is to do in all.
    pub total: u64,
}

impl<'a> Options<'a> {
    /// Sets the folder for copies that are opened instead of the store, each in a subfolder that is
    /// deleted afterwards. Default: the system's folder for temporary files.
    ///
    /// On the store's own file system a copy may cost no space, if that can share blocks.
    #[must_use]
    pub fn scratch(mut self, folder: impl Into<PathBuf>) -> Self {
        self.scratch = Some(folder.into());
        self
    }

    /// Sets a callback that receives the progress from time to time.
    #[must_use]
    pub fn progress(mut self, tell: impl FnMut(Progress) + 'a) -> Self {
        self.progress = Some(Box::new(tell));
        self
    }

    pub(super) fn scratch_folder(&self) -> PathBuf {
        self.scratch.clone().unwrap_or_else(std::env::temp_dir)
    }

    /// Starts counting work of `total` bytes.
    pub(super) fn meter(self, total: u64) -> Meter<'a> {
        Meter {
            total: Cell::new(total),
            done: Cell::new(0),
            reported: Cell::new(0),
            tell: RefCell::new(self.progress),
        }
    }
}

/// Counts processed bytes.
pub(super) struct Meter<'a> {
    total: Cell<u64>,
    done: Cell<u64>,
    reported: Cell<u64>,
    tell: RefCell<Option<Tell<'a>>>,
}

impl Meter<'_> {
    /// The number of bytes between two calls.
    const STEP: u64 = 1 << 20;

    /// Adds to the expected total.
    pub(super) fn expect(&self, bytes: u64) {
        self.total.set(self.total.get().saturating_add(bytes));
    }

    pub(super) fn add(&self, bytes: u64) {
        self.done.set(self.done.get().saturating_add(bytes).min(self.total.get()));
        if self.done.get() - self.reported.get() < Self::STEP {
            return;
        }
        self.reported.set(self.done.get());
        if let Some(tell) = &mut *self.tell.borrow_mut() {
            tell(Progress { done: self.done.get(), total: self.total.get() });
        }
    }
}

/// Returns the size of a file in bytes; 0 if unknown.
pub(super) fn bytes_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}
