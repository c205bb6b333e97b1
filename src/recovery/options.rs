//! How a store is looked at that no program has open.

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

/// How far long work is, in bytes. An estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What is done.
    pub done: u64,
    /// What there is to do in all.
    pub total: u64,
}

impl<'a> Options<'a> {
    /// Where copies go that are opened instead of the store, in a folder of their own
    /// that is deleted afterwards. Default: the system's folder for temporary files. On
    /// the file system of the store a copy may cost no space, if that can share blocks.
    #[must_use]
    pub fn scratch(mut self, folder: impl Into<PathBuf>) -> Self {
        self.scratch = Some(folder.into());
        self
    }

    /// Called from time to time with how far the work is.
    #[must_use]
    pub fn progress(mut self, tell: impl FnMut(Progress) + 'a) -> Self {
        self.progress = Some(Box::new(tell));
        self
    }

    pub(super) fn scratch_folder(&self) -> PathBuf {
        self.scratch.clone().unwrap_or_else(std::env::temp_dir)
    }

    /// Counts work of `total` bytes.
    pub(super) fn meter(self, total: u64) -> Meter<'a> {
        Meter {
            total: Cell::new(total),
            done: Cell::new(0),
            told: Cell::new(0),
            tell: RefCell::new(self.progress),
        }
    }
}

/// Counts bytes that were worked through.
pub(super) struct Meter<'a> {
    total: Cell<u64>,
    done: Cell<u64>,
    told: Cell<u64>,
    tell: RefCell<Option<Tell<'a>>>,
}

impl Meter<'_> {
    /// How many bytes go by between two calls.
    const STEP: u64 = 1 << 20;

    /// There is more to do than was thought.
    pub(super) fn expect(&self, bytes: u64) {
        self.total.set(self.total.get().saturating_add(bytes));
    }

    pub(super) fn add(&self, bytes: u64) {
        self.done.set(self.done.get().saturating_add(bytes).min(self.total.get()));
        if self.done.get() - self.told.get() < Self::STEP {
            return;
        }
        self.told.set(self.done.get());
        if let Some(tell) = &mut *self.tell.borrow_mut() {
            tell(Progress { done: self.done.get(), total: self.total.get() });
        }
    }
}

/// The bytes of a file; 0 if it cannot be told.
pub(super) fn bytes_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}
