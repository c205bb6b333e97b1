//! What a store's folder holds, as far as it is read: folders and regular files.

use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Listed {
    Folder(PathBuf),
    File(PathBuf),
}

/// Whether links to folders lead on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// As in a store's own folder, where a part of the store may be on another disk. One
    /// that leads back does not.
    Lead,
    /// As everywhere below, so that no way goes round for ever.
    End,
}

/// Pipes, sockets and devices are left out: who opens one may wait for ever. What cannot
/// be told counts as a file: reading it says why.
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

/// Whether `dir` lies in the folder that the link at `path` leads to.
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
    fn links_lead_on_once_and_never_back() {
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
        assert_eq!(sorted(&other, Links::Lead), files, "all of them lead back");
    }
}
