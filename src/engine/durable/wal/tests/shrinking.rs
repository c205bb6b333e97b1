//! Tests of closed logs whose last file is shortened.

use super::*;
use crate::engine::durable::wal::SHORT_SEGMENT_BYTES;

const LONG: u32 = 1 << 20;

fn path() -> &'static Path {
    Path::new("/s/wal/000000.wal")
}

fn long(disk: &SimDisk) -> LogFiles {
    LogFiles { segment_bytes: LONG, ..files(disk) }
}

fn append(log: &mut Log, bytes: usize) {
    let batch = Batch::new().put(key(), Bytes::from(vec![7; bytes]));
    log.reserve(&batch).unwrap();
    log.append(&batch, Timestamp::UNIX_EPOCH, |_| 0, 0).unwrap();
    log.flush().unwrap();
}

/// A closed log of three commits.
fn closed(disk: &SimDisk) -> Log {
    let (mut log, _) = long(disk).create(Position::default()).unwrap();
    (0..3).for_each(|_| append(&mut log, 100));
    log.close().unwrap();
    log
}

fn length(disk: &SimDisk) -> u64 {
    disk.open(path()).unwrap().len().unwrap()
}

#[test]
fn a_shorter_file_is_the_same_segment() {
    let disk = SimDisk::new();
    let mut log = closed(&disk);
    let load = || long(&disk).load().unwrap();
    let found = || scan(&load(), 0).unwrap().unwrap();
    let (before, stored) = (found(), load().get(found().end.segment).unwrap());
    log.shrink().unwrap();
    assert_eq!(length(&disk), PAGE as u64 + u64::from(SHORT_SEGMENT_BYTES) + PAGE as u64);
    let (after, shorter) = (found(), load().get(before.end.segment).unwrap());
    assert_eq!(shorter, StoredSegment { bytes: length(&disk), ..stored });
    assert_eq!((after.is_clean, after.last_seq, after.end), (true, 3, before.end));
    assert_eq!(after.position(3), before.position(3), "with its epoch");
    // A second time there is nothing to gain.
    log.shrink().unwrap();
    assert_eq!(load().get(before.end.segment).unwrap(), shorter);
    assert_eq!(disk.list(Path::new("/s/wal")).unwrap().len(), 1);
}

/// Commits that do not fit go into a segment of the usual length.
#[test]
fn a_log_continues_in_a_shorter_file_and_after_it() {
    let disk = SimDisk::new();
    closed(&disk).shrink().unwrap();
    for n in 4..20 {
        let files = long(&disk);
        let directory = files.load().unwrap();
        let found = scan(&directory, 0).unwrap().unwrap();
        assert_eq!(found.last_seq, n - 1);
        repair(&directory, STORE, &found).unwrap();
        let (mut log, _) = files.resume(&directory, &found).unwrap();
        append(&mut log, 10_000);
        log.close().unwrap();
    }
    let lengths: Vec<u64> = long(&disk).load().unwrap().iter().map(|(_, stored)| stored.bytes).collect();
    assert_eq!(lengths, [length(&disk), LONG.into()]);
    assert_eq!(walked(&long(&disk).load().unwrap(), 0, 19), (1..20).collect::<Vec<_>>());
}

/// Damage is neither repaired nor hidden.
#[test]
fn damage_is_not_copied() {
    for at in [8, 50, PAGE + 20, PAGE + 180] {
        let disk = SimDisk::new();
        let mut log = closed(&disk);
        disk.change(path(), |bytes| bytes[at] ^= 1);
        log.shrink().unwrap();
        assert_eq!(length(&disk), u64::from(LONG), "{at}");
    }
}

/// A truncated file is still distinguished from a shortened one.
#[test]
fn a_truncated_shorter_file_is_damage() {
    let disk = SimDisk::new();
    closed(&disk).shrink().unwrap();
    let length = length(&disk) as usize;
    for to in [length - 1, length - 4096, PAGE + 300] {
        let disk = disk.copy();
        disk.change(path(), |bytes| bytes.truncate(to));
        let damaged = scan(&long(&disk).load().unwrap(), 0);
        assert!(damaged.unwrap_err().is_corrupt(), "{to}");
    }
}
