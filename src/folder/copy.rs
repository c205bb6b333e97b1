//! Copies a store that no program has open.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use super::listing::{Links, Listed, list};
use super::lock::Lock;
use super::{LOCK, check_is_store};
use crate::error::{Error, Result};

/// Copies the files of the store at `from` into the new folder `to`.
///
/// Nothing at `from` changes, not even the lock file. A failed copy is left incomplete.
pub(crate) fn copy_files(from: &Path, to: &Path) -> Result<()> {
    check_is_store(from, false)?;
    check_target(from, to)?;
    let lock = Lock::shared(from)?;
    copy_dir(from, to)?;
    lock.confirm(from)
}

/// Refuses a target inside the store, which would be copied without end, and one that holds other
/// files.
pub(crate) fn check_target(from: &Path, to: &Path) -> Result<()> {
    check_outside(from, to)?;
    match fs::read_dir(to).map(|mut entries| entries.next().is_none()) {
        Ok(false) => Err(Error::argument(format!("{} is not empty; name a new folder", to.display()))),
        Err(_) if to.exists() => {
            Err(Error::argument(format!("{} is a file; name a new folder", to.display())))
        }
        Ok(true) | Err(_) => Ok(()),
    }
}

/// Refuses an output path inside the store.
pub(crate) fn check_outside(store: &Path, path: &Path) -> Result<()> {
    let (resolved, store_resolved) = (resolve(path)?, resolve(store)?);
    if resolved == store_resolved {
        let what = if store.is_dir() { "store" } else { "backup" };
        return Err(Error::argument(format!("{} is the {what} itself; name a new folder", path.display())));
    }
    if resolved.starts_with(store_resolved) {
        return Err(Error::argument(format!("{} would lie inside the store", path.display())));
    }
    Ok(())
}

/// Resolves every link and `..` in `path`, some of whose folders may not exist yet.
fn resolve(path: &Path) -> Result<PathBuf> {
    let find = |error| Error::io("find", path, error);
    let mut resolved = PathBuf::new();
    for component in std::path::absolute(path).map_err(find)?.components() {
        if component == Component::ParentDir {
            resolved.pop();
            continue;
        }
        resolved.push(component);
        match resolved.canonicalize() {
            Ok(found) => resolved = found,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(find(error)),
        }
    }
    Ok(resolved)
}

/// Copies the regular files in a folder, recursively.
pub(crate) fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    copy_listed(from, to, Links::Lead)
}

fn copy_listed(from: &Path, to: &Path, links: Links) -> Result<()> {
    create_as_wide(from, to).map_err(|error| Error::io("create the folder", to, error))?;
    for listed in list(from, links)? {
        let (Listed::Folder(source) | Listed::File(source)) = &listed;
        let Some(name) = source.file_name() else { continue };
        let target = to.join(name);
        if matches!(listed, Listed::Folder(_)) {
            copy_listed(source, &target, Links::End)?;
        } else if name != LOCK {
            fs::copy(source, &target).map_err(|error| could_not_copy(source, &target, error))?;
        }
    }
    Ok(())
}

/// Creates a folder, if missing, with permissions no wider than those of `from`.
fn create_as_wide(from: &Path, to: &Path) -> io::Result<()> {
    let mode = fs::metadata(from)?.permissions().mode() & 0o777;
    DirBuilder::new().recursive(true).mode(mode | 0o700).create(to)
}

/// A full disk is reported for the target, any other error for the source.
fn could_not_copy(source: &Path, target: &Path, error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Error::io("write", target, error).before_writing()
        }
        _ => Error::io("copy", source, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::Folder;

    #[test]
    fn indirect_paths_into_the_store_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let store = temp.path().join("state");
        drop(Folder::open(&store, true).unwrap());
        fs::create_dir(temp.path().join("other")).unwrap();
        std::os::unix::fs::symlink(&store, temp.path().join("link")).unwrap();
        for to in ["other/../state/copy", "missing/../state/copy", "link/copy", "missing/../link/a/b"] {
            let error = copy_files(&store, &temp.path().join(to)).unwrap_err();
            assert!(error.to_string().ends_with("would lie inside the store"), "{to}: {error}");
            let error = copy_files(&temp.path().join("link"), &temp.path().join(to)).unwrap_err();
            assert!(error.to_string().ends_with("would lie inside the store"), "{to}: {error}");
        }
        assert!(!store.join("copy").exists() && !temp.path().join("missing").exists());
        for to in ["other/../copy", "state/../missing/copy", "state-of-old"] {
            copy_files(&store, &temp.path().join(to)).unwrap();
        }
    }
}
