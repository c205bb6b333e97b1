//! Any bytes as a manifest.

use std::path::Path;

use super::seals;
use super::shelf::Shelf;
use crate::folder::Manifest;

/// Reads `bytes` as a manifest: one that is accepted is, to the byte, what would be
/// written.
pub fn manifest(bytes: &[u8]) {
    for bytes in [bytes, seals::seal_manifest(bytes).as_slice()] {
        let (shelf, folder) = (Shelf::default(), Path::new("state"));
        shelf.put(&folder.join("MANIFEST"), bytes);
        if let Ok(manifest) = Manifest::read(&shelf, folder) {
            manifest.unwrap().write(&shelf, folder).unwrap();
            assert_eq!(shelf.get(&folder.join("MANIFEST")), bytes);
        }
    }
}
