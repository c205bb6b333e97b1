//! Lists the folders and regular files of a store's folder.

use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Listed {
    Folder(PathBuf),
    File(PathBuf),
}

/// Whether links to folders are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// Followed, unless they lead back: parts of a store may be links to another disk.
    Lead,
    /// Not followed, so that no listing runs in a cycle.
    End,
}

/// Lists a folder without pipes, sockets and devices, since opening one may block forever.
///
/// Entries of unknown type count as files: reading them reports the cause.
pub(super) fn list(dir: &Path, links: Links) -> Result<Vec<Listed>> {
    let failed = |error| Error::io("list the folder", dir, error);
    let entries = fs::read_dir(dir).map_err(failed)?.collect::<std::io::Result<Vec<_>>>().map_err(failed)?;
    Ok(entries.iter().filter_map(|entry| listed(dir, entry, links)).collect())
}

fn listed(dir: &Path, entry: &DirEntry, links: Links) -> Option<Listed> {
    let path = entry.path();
    match fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => {
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            let is_left_out = is_link && (links == Links::End || leads_back(dir, &path));
            (!is_left_out).then_some(Listed::Folder(path))
        }
        Ok(metadata) => metadata.is_file().then_some(Listed::File(path)),
        Err(_) => Some(Listed::File(path)),
    }
}

/// Reports whether the link at `path` leads to a folder that contains `dir`.
fn leads_back(dir: &Path, path: &Path) -> bool {
    match (dir.canonicalize(), path.canonicalize()) {
        (Ok(dir), Ok(target)) => dir.starts_with(target),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_once_and_never_back() {
        let temp = tempfile::tempdir().unwrap();
        let (store, other) = (temp.path().join("store"), temp.path().join("other"));
        for folder in [&store, &other] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("file"), "").unwrap();
            symlink(folder.join("file"), folder.join("link to a file")).unwrap();
            symlink("missing", folder.join("link to nothing")).unwrap();
            symlink(&other, folder.join("link")).unwrap();
            symlink(".", folder.join("self")).unwrap();
            symlink(temp.path(), folder.join("above")).unwrap();
        }
        let sorted = |dir: &Path, links| {
            let listed = list(dir, links).unwrap().into_iter();
            let mut names: Vec<_> = listed
                .map(|(Listed::Folder(path) | Listed::File(path))| {
                    path.strip_prefix(dir).unwrap().to_string_lossy().into_owned()
                })
                .collect();
            names.sort();
            names
        };
        let files = ["file", "link to a file", "link to nothing"];
        assert_eq!(sorted(&store, Links::Lead), ["file", "link", files[1], files[2]]);
        assert_eq!(sorted(&store.join("link"), Links::End), files);
        assert_eq!(sorted(&other, Links::Lead), files, "all of these lead back");
    }
}
