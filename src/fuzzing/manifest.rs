//! Reads arbitrary bytes as a manifest.

use std::path::Path;

use super::fixture::checksums;
use super::fixture::memory_disk::MemoryDisk;
use crate::folder::Manifest;

/// Reads `bytes` as a manifest: an accepted one is byte for byte what would be written.
pub fn manifest(bytes: &[u8]) {
    for bytes in [bytes, checksums::seal_manifest(bytes).as_slice()] {
        let (disk, folder) = (MemoryDisk::default(), Path::new("state"));
        disk.put(&folder.join("MANIFEST"), bytes);
        if let Ok(manifest) = Manifest::read(&disk, folder) {
            manifest.unwrap().write(&disk, folder).unwrap();
            assert_eq!(disk.get(&folder.join("MANIFEST")), bytes);
        }
    }
}
