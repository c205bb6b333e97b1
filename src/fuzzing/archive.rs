//! Reads arbitrary bytes as a backup.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::fixture::checksums;
use super::fixture::content::read_store;
use super::fixture::memory_disk::MemoryDisk;
use crate::archive::{Reader, Summary, Target, Writer};
use crate::engine::Recovery;
use crate::error::Result;
use crate::recovery::{self, Until};

/// Reads `bytes` as an archive, and restores a store from it in the folder `scratch`.
pub fn archive(bytes: &[u8], scratch: &Path) {
    let mut sealed = bytes.to_vec();
    checksums::seal_archive(&mut sealed);
    for bytes in [bytes, &sealed] {
        let disk = MemoryDisk::default();
        disk.put(path(), bytes);
        let Ok(reader) = Reader::open(&disk, path()) else { continue };
        let read = read(reader).ok();
        if let Some((summary, records)) = &read {
            check_written(*summary, records);
        }
        check_restored(bytes, read.map(|(_, records)| records), scratch);
    }
}

type Records = Vec<(Bytes, Bytes)>;

fn path() -> &'static Path {
    Path::new("a.archive")
}

fn read(mut reader: Reader) -> Result<(Summary, Records)> {
    let records = reader.by_ref().collect::<Result<_>>()?;
    Ok((reader.summary(), records))
}

/// What was read can be written and read again.
fn check_written(summary: Summary, records: &Records) {
    let disk = MemoryDisk::default();
    let target = Target::new(path());
    let mut writer =
        Writer::create(Arc::new(disk.clone()), target, summary.store, summary.position()).unwrap();
    records.iter().for_each(|(key, value)| writer.add(key, value).unwrap());
    let written = writer.finish().unwrap();
    // The original may have had smaller blocks.
    assert_eq!(Summary { bytes: written.bytes, ..summary }, written);
    let again = read(Reader::open(&disk, path()).unwrap()).unwrap();
    assert_eq!((again.0, &again.1), (written, records));
}

/// A restore is complete, or leaves nothing.
fn check_restored(bytes: &[u8], records: Option<Records>, scratch: &Path) {
    let (backup, store) = (scratch.join("backup"), scratch.join("restored"));
    fs::write(&backup, bytes).unwrap();
    let restored = recovery::restore(&backup, &store, Until::End);
    assert_eq!(store.exists(), restored.is_ok(), "{restored:?}");
    if let Ok(restored) = restored {
        let (seq, content) = read_store(&store, Recovery::Refuse).unwrap();
        let records = records.unwrap();
        assert_eq!(
            (seq, restored.records, content.len()),
            (restored.seq, records.len() as u64, records.len())
        );
        for (key, value) in &records {
            assert!(value.ends_with(&content[key].1), "{key:?}");
        }
        fs::remove_dir_all(&store).unwrap();
    }
    assert_eq!(fs::read_dir(scratch).unwrap().count(), 1, "a draft is left");
}
