//! The physical limit: records of the same size, written repeatedly to a preallocated file.
//!
//! It has no index and checks no owner. Threads share their syncs, as in a store with group commit.
//! The kill test finds the last record of a process by reading all.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, bail};
use parking_lot::{Condvar, Mutex};

use super::{Class, Session, Store};
use crate::records::{Found, Step, counts};

const FILE_BYTES: u64 = 64 << 20;

/// The size of an update in procstate's log.
const RECORD_BYTES: usize = 280;

const RECORDS: u64 = FILE_BYTES / RECORD_BYTES as u64;

struct Bare {
    file: File,
    class: Class,
    written: AtomicU64,
    /// The record up to which it is synced, and whether a sync is in progress.
    synced: Mutex<(u64, bool)>,
    changed: Condvar,
}

pub fn open(folder: &Path, class: Class) -> Result<Box<dyn Store>> {
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(folder.join("bare"))?;
    let (written, synced, changed) = (AtomicU64::default(), Mutex::default(), Condvar::new());
    Ok(Box::new(Bare { file, class, written, synced, changed }))
}

impl Bare {
    fn commit(&self, record: &[u8; RECORD_BYTES]) -> Result<()> {
        let number = self.written.fetch_add(1, Ordering::AcqRel);
        self.file.write_all_at(record, number % RECORDS * RECORD_BYTES as u64)?;
        match self.class {
            Class::ProgramDeath => Ok(()),
            Class::PowerLoss => self.sync(),
        }
    }

    /// Syncs, or waits for a sync that begins after this call.
    fn sync(&self) -> Result<()> {
        let mut state = self.synced.lock();
        // A sync in progress may have missed this record; the next one does not.
        let mine = state.0 + if state.1 { 2 } else { 1 };
        while state.0 < mine {
            if state.1 {
                self.changed.wait(&mut state);
                continue;
            }
            state.1 = true;
            drop(state);
            let result = self.file.sync_data();
            state = self.synced.lock();
            *state = (state.0 + u64::from(result.is_ok()), false);
            self.changed.notify_all();
            result?;
        }
        Ok(())
    }
}

impl Store for Bare {
    fn populate(&self, _processes: usize, _items: usize) -> Result<()> {
        let zeroes = vec![0; 1 << 20];
        for at in (0..FILE_BYTES).step_by(zeroes.len()) {
            self.file.write_all_at(&zeroes, at)?;
        }
        Ok(self.file.sync_all()?)
    }

    fn session(&self, process: usize) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Writer { bare: self, process }))
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.file.sync_all()?)
    }
}

struct Writer<'a> {
    bare: &'a Bare,
    process: usize,
}

impl Session for Writer<'_> {
    fn claim(&mut self, _items: usize) -> Result<String> {
        Ok(String::new())
    }

    fn update(&mut self, step: Step) -> Result<()> {
        let mut record = [7; RECORD_BYTES];
        record[..8].copy_from_slice(&(self.process as u64).to_le_bytes());
        record[8..16].copy_from_slice(&step.total.to_le_bytes());
        self.bare.commit(&record)
    }

    fn register(&mut self, number: u64) -> Result<()> {
        self.update(Step::new(number, 1))
    }

    fn claim_and_handoff(&mut self) -> Result<()> {
        self.update(Step::new(1, 1))?;
        self.update(Step::new(1, 1))
    }

    fn read(&self, _item: usize) -> Result<bool> {
        bail!("a bare file has no items to read")
    }

    fn scan(&self) -> Result<usize> {
        bail!("a bare file has no items to scan")
    }

    fn find(&self, items: usize) -> Result<Found> {
        let mut bytes = vec![0; FILE_BYTES as usize];
        self.bare.file.read_exact_at(&mut bytes, 0)?;
        let word = |record: &[u8], at: usize| {
            record[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
        };
        let mine = bytes.chunks_exact(RECORD_BYTES).filter(|record| word(record, 0) == self.process as u64);
        let total = mine.map(|record| word(record, 8)).max().unwrap_or(0);
        Ok(Found { owner: String::new(), total, of_items: counts(total, items) })
    }
}
