//! The resource usage of a program.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Returns the size of all files in a folder, as allocated by the file system.
pub fn disk(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

/// Returns this program's own resident memory.
///
/// Excludes pages of mapped files: they are the kernel's cache, which every peer uses and only LMDB
/// maps.
pub fn memory() -> u64 {
    number("/proc/self/status", "RssAnon:") * 1024
}

/// Returns the bytes that this program has passed to write calls.
///
/// (`write_bytes` counts whole folios of the page cache, up to a megabyte for a write of a few
/// bytes.)
pub fn written_bytes() -> u64 {
    number("/proc/self/io", "wchar:")
}

/// Returns the number after `name` in a kernel file; 0 if missing.
fn number(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_in_folders_count() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("in")).unwrap();
        std::fs::write(folder.path().join("in/file"), vec![1; 100_000]).unwrap();
        let file = std::fs::File::open(folder.path().join("in/file")).unwrap();
        file.sync_all().unwrap();
        assert!((100_000..200_000).contains(&disk(folder.path())));
    }

    #[test]
    fn the_kernel_has_the_numbers() {
        assert!(memory() > 0);
        assert!(number("/proc/self/io", "wchar:") < u64::MAX);
        assert_eq!(number("/proc/self/status", "no such field"), 0);
    }
}
