//! Bare loops that do only what the promise of a commit requires of a file.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};
use tempfile::TempDir;

use super::calls::Ready;

const FILE_BYTES: u64 = 64 << 20;

/// A file that is overwritten repeatedly, like the segments of a log.
struct Bare {
    file: File,
    record: Vec<u8>,
    offset: u64,
    _folder: TempDir,
}

impl Bare {
    fn new(record_bytes: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create(folder.path().join("bare")).unwrap();
        let zeroes = vec![0; 1 << 20];
        for at in (0..FILE_BYTES).step_by(zeroes.len()) {
            file.write_all_at(&zeroes, at).unwrap();
        }
        file.sync_all().unwrap();
        Self { file, record: vec![7; record_bytes], offset: 0, _folder: folder }
    }

    fn write(&mut self) {
        self.file.write_all_at(&self.record, self.offset).unwrap();
        self.offset = (self.offset + self.record.len() as u64) % (FILE_BYTES - 4096);
    }

    fn write_and_sync(&mut self) {
        self.write();
        self.file.sync_data().unwrap();
    }
}

/// Group commit: a thread that finds no sync in progress syncs for all waiting ones.
struct BareGroup {
    bare: Mutex<Bare>,
    file: File,
    written: AtomicU64,
    state: Mutex<(u64, bool)>,
    changed: Condvar,
}

impl BareGroup {
    fn new(record_bytes: usize) -> Self {
        let bare = Bare::new(record_bytes);
        Self {
            file: bare.file.try_clone().unwrap(),
            bare: Mutex::new(bare),
            written: AtomicU64::new(0),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn commit(&self) {
        let mine = {
            let mut bare = self.bare.lock();
            bare.write();
            self.written.fetch_add(1, Ordering::AcqRel) + 1
        };
        let mut state = self.state.lock();
        while state.0 < mine {
            if state.1 {
                self.changed.wait(&mut state);
                continue;
            }
            state.1 = true;
            drop(state);
            let upto = self.written.load(Ordering::Acquire);
            self.file.sync_data().unwrap();
            state = self.state.lock();
            *state = (upto, false);
            self.changed.notify_all();
        }
    }
}

/// Survives the program's death.
pub fn write(record_bytes: usize) -> Ready {
    let mut bare = Bare::new(record_bytes);
    Box::new(move || bare.write())
}

/// Survives power loss.
pub fn write_and_sync(record_bytes: usize) -> Ready {
    let mut bare = Bare::new(record_bytes);
    Box::new(move || bare.write_and_sync())
}

/// Survives power loss, with threads that share their syncs.
pub fn group(threads: usize, record_bytes: usize) -> Vec<Ready> {
    let group = Arc::new(BareGroup::new(record_bytes));
    let caller = |_| -> Ready {
        let group = group.clone();
        Box::new(move || group.commit())
    };
    (0..threads).map(caller).collect()
}
