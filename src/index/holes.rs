//! Punches holes into the zeroes of sled's file.
//!
//! Each opening makes sled overwrite the rest of its newest segment, and every free one, with
//! zeroes: an index of a few records takes half a megabyte from the second opening on. File systems
//! can store whole pages of zeroes as holes. Reads return the same, whatever survives a power cut,
//! and sled writes there as before.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};
use rustix::io::Errno;

/// The size above which a file is not read, since few of its bytes are zeroes.
const FILE_BYTES_MAX: u64 = 8 << 20;

const PAGE: usize = 4096;

/// Frees the zero pages of a closed index's file, if the file is small and sled's lock on it is
/// released within `lock_lag`.
///
/// File systems without support leave it unchanged.
pub(super) fn punch(path: &Path, lock_lag: Duration) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    if length > FILE_BYTES_MAX || !lock_within(&file, lock_lag)? {
        return Ok(());
    }
    let mut content = vec![0; usize::try_from(length).unwrap_or_default()];
    file.read_exact_at(&mut content, 0)?;
    for (offset, bytes) in zeroes(&content) {
        match fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, bytes) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
            punched => punched?,
        }
    }
    Ok(())
}

/// Takes sled's own lock, which outlives sled's handle until its last writing thread has ended.
///
/// Returns whether it was released within the time.
fn lock_within(file: &File, lock_lag: Duration) -> io::Result<bool> {
    let give_up = Instant::now() + lock_lag;
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if Instant::now() < give_up => thread::sleep(Duration::from_millis(1)),
            Err(Errno::WOULDBLOCK) => return Ok(false),
            locked => return Ok(locked.map(|()| true)?),
        }
    }
}

/// Returns the runs of zero pages as offset and length.
fn zeroes(content: &[u8]) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for (page, offset) in content.chunks(PAGE).zip((0..).step_by(PAGE)) {
        if page.iter().any(|byte| *byte != 0) {
            continue;
        }
        match runs.last_mut() {
            Some((start, bytes)) if *start + *bytes == offset => *bytes += PAGE as u64,
            _ => runs.push((offset, PAGE as u64)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn on_disk(path: &Path) -> u64 {
        std::fs::metadata(path).unwrap().blocks() * 512
    }

    fn written(content: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        std::fs::write(&path, content).unwrap();
        File::open(&path).unwrap().sync_all().unwrap();
        (folder, path)
    }

    #[test]
    fn only_zeroes_are_punched_and_reads_are_unchanged() {
        let mut content = vec![0; 300_001];
        for at in [0, 5 * PAGE - 1, 20 * PAGE, 300_000] {
            content[at] = 7;
        }
        assert_eq!(zeroes(&content).iter().map(|(_, bytes)| bytes / PAGE as u64).sum::<u64>(), 74 - 4);
        let (_folder, path) = written(&content);
        let before = on_disk(&path);
        punch(&path, Duration::ZERO).unwrap();
        assert!(std::fs::read(&path).unwrap() == content);
        // Some file systems allocate larger units, or have no support.
        assert!(on_disk(&path) <= before);
    }

    #[test]
    fn an_open_file_is_left_alone() {
        let (_folder, path) = written(&[0; 100_000]);
        let before = on_disk(&path);
        let other = File::open(&path).unwrap();
        flock(&other, FlockOperation::LockShared).unwrap();
        punch(&path, Duration::from_millis(5)).unwrap();
        assert_eq!(on_disk(&path), before);
    }

    /// On a busy machine, sled's last thread may end some time after the index is closed.
    #[test]
    fn a_lock_that_is_released_late_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        std::fs::write(&path, [0; 100_000]).unwrap();
        let sled = File::open(&path).unwrap();
        flock(&sled, FlockOperation::LockShared).unwrap();
        let late = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            drop(sled);
        });
        let file = File::open(&path).unwrap();
        assert!(lock_within(&file, Duration::from_secs(60)).unwrap());
        late.join().unwrap();
    }
}
