//! Reads arbitrary bytes as log files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::fixture::checksums;
use super::fixture::memory_disk::MemoryDisk;
use crate::engine::wal::{Entry, Found, LogEnd, Logged, SegmentDirectory, Survey, read_behind, repair, walk};
use crate::error::{Error, Result};

/// The minimum size of a segment.
const FILE_BYTES: usize = 8192;

/// Reads `bytes` as consecutive log files, of which the last may be shorter.
pub fn log(bytes: &[u8]) {
    let mut files: Vec<Vec<u8>> = bytes.chunks(FILE_BYTES).map(<[u8]>::to_vec).collect();
    check(&files);
    files.iter_mut().for_each(|file| checksums::seal_segment(file));
    check(&files);
}

/// Commits by number. Forged ones may occur twice.
type Commits = BTreeMap<u64, Vec<Vec<u8>>>;

struct Files {
    disk: MemoryDisk,
    /// The store id in the first file.
    store: [u8; 16],
}

impl Files {
    fn new(files: &[Vec<u8>]) -> Self {
        let disk = MemoryDisk::default();
        for (n, file) in files.iter().enumerate() {
            disk.put(&Self::dir().join(format!("{n:06}.wal")), file);
        }
        let store = files.first().and_then(|file| file.get(16..32)?.first_chunk());
        Self { disk, store: store.copied().unwrap_or_default() }
    }

    fn dir() -> &'static Path {
        Path::new("wal")
    }

    fn load(&self) -> Result<SegmentDirectory> {
        SegmentDirectory::load(Arc::new(self.disk.clone()), Self::dir(), self.store)
    }

    fn salvage(&self) -> SegmentDirectory {
        SegmentDirectory::salvage(Arc::new(self.disk.clone()), Self::dir(), None).unwrap().0
    }
}

fn check(files: &[Vec<u8>]) {
    let salvaged = Files::new(files).salvage();
    let commits = walked(&salvaged);
    commits.values().flatten().for_each(|entry| check_entry(entry));
    let middle = commits.keys().nth(commits.len() / 2).copied().unwrap_or_default();
    let before = commits.keys().next().map_or(0, |first| first.saturating_sub(1));
    for known in [0, before, middle] {
        check_end(&Files::new(files), known, (&salvaged, &commits), end_behind);
        check_end(&Files::new(files), known, (&salvaged, &commits), Survey::end_before_damage);
    }
}

fn walked(directory: &SegmentDirectory) -> Commits {
    let mut commits = Commits::new();
    walk(directory, 0, &mut |found| {
        if let Found::Commit { seq, entry, .. } = found {
            commits.entry(seq).or_default().push(entry.to_vec());
        }
        Ok(())
    })
    .unwrap();
    commits
}

/// An entry that decodes is exactly its bytes.
fn check_entry(bytes: &[u8]) {
    let Some(entry) = Entry::decode(bytes) else { return };
    let (time, writes) = (entry.time, entry.writes().collect::<Vec<_>>());
    let has_time = u32::from(time.is_some()) << 31;
    let mut encoded = (u32::try_from(writes.len()).unwrap() | has_time).to_le_bytes().to_vec();
    encoded.extend(time.iter().flat_map(|time| time.as_microsecond().to_le_bytes()));
    writes.iter().for_each(|write| encode(write, &mut encoded));
    assert_eq!(encoded, bytes);
}

fn encode(Logged { key, payload, replaces }: &Logged, bytes: &mut Vec<u8>) {
    let op = if payload.is_some() { 1 } else { 2 } + if replaces.is_some() { 0x10 } else { 0 };
    let payload = payload.as_deref().unwrap_or_default();
    bytes.push(op);
    bytes.extend(u16::try_from(key.bytes().len()).unwrap().to_le_bytes());
    bytes.extend(u32::try_from(payload.len()).unwrap().to_le_bytes());
    bytes.extend(replaces.iter().flat_map(|version| version.to_le_bytes()));
    bytes.extend_from_slice(key.bytes());
    bytes.extend_from_slice(payload);
}

type Ends = fn(&Survey, u64) -> Option<LogEnd>;

fn end_behind(survey: &Survey, known: u64) -> Option<LogEnd> {
    survey.end_behind(known).ok().flatten()
}

/// Checks that an accepted log has commits without a gap, that browsing finds them all, and that
/// neither changes after a repair.
///
/// `salvaged` are the segments that browsing reads, and their commits.
fn check_end(files: &Files, known: u64, salvaged: (&SegmentDirectory, &Commits), ends: Ends) {
    let Ok(directory) = files.load() else { return };
    let (browsed, commits) = salvaged;
    // Browsing prefers a file without header that is a segment, too, and has more frames. Only if it is
    // forged does that lack a commit of the other file.
    let is_browsed =
        directory.iter().all(|(id, stored)| browsed.get(id).is_some_and(|found| found.slot == stored.slot));
    let Some((end, read)) = read(&directory, known, ends) else { return };
    for (n, (seq, entry)) in (1..).zip(&read) {
        assert_eq!(*seq, known + n);
        let is_found = commits.get(seq).is_some_and(|entries| entries.contains(entry));
        assert!(is_found || !is_browsed, "commit {seq}");
    }
    assert!(read.last().is_none_or(|(seq, _)| *seq == end.last_seq));
    match repair(&directory, files.store, &end).map_err(Error::before_writing) {
        // A forged header may claim any length.
        Err(error) if error.is_disk_full() => return,
        repaired => repaired.unwrap(),
    }
    let (_, again) = self::read(&files.load().unwrap(), known, end_behind).unwrap();
    assert!(again == read, "{} commits, {} after the repair", read.len(), again.len());
}

type Read = (LogEnd, Vec<(u64, Vec<u8>)>);

fn read(directory: &SegmentDirectory, known: u64, ends: Ends) -> Option<Read> {
    let mut commits = Vec::new();
    let survey = read_behind(directory, known, &mut |seq, entry| {
        commits.push((seq, entry.to_vec()));
        Ok(())
    });
    let end = ends(&survey.unwrap(), known)?;
    commits.retain(|(seq, _)| *seq <= end.last_seq);
    Some((end, commits))
}
