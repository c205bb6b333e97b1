//! Opens sled, working around its known faults.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Index;
use super::guard::guard;
use crate::disk::{Disk, RealDisk, mode};
use crate::error::{Error, Failure, Result};
use crate::folder::{sync_dir, sync_file};

/// How long sled's file lock may outlive its holder, on a busy machine.
pub(super) const LOCK_LAG: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The page cache of the index in bytes; sled uses a multiple of it. Default: 16 MiB.
    pub(crate) cache_bytes: u64,
    /// Whether to read every record and compare count and sum. Default: yes.
    pub(crate) verify: bool,
    /// The folder that this one is a private copy of, for messages.
    pub(crate) copy_of: Option<PathBuf>,
    /// The id of the store: the index of another store does not open. `None` accepts any.
    pub(crate) store: Option<[u8; 16]>,
    /// The permissions of its files. Default: its user alone.
    pub(crate) mode: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: 16 << 20, verify: true, copy_of: None, store: None, mode: mode::PRIVATE }
    }
}

impl Index {
    /// Opens the index in `dir`, creating it if there is none.
    ///
    /// The caller holds a lock on the store, so no other program uses the index.
    pub(crate) fn open(dir: &Path, options: &Options) -> Result<Self> {
        if dir.exists() {
            check_files(dir)?;
            set_aside_broken_snapshots(dir, options.copy_of.as_deref().unwrap_or(dir))?;
        }
        RealDisk::creating(options.mode).create_dir(dir)?;
        let db = match open_when_unlocked(dir, options) {
            Err(error) if options.verify && is_to_try_again(&error) => open_when_unlocked(dir, options)?,
            opened => opened?,
        };
        narrow(dir, options.mode);
        let path = dir.join("db");
        let file = File::open(&path).map_err(|error| Error::io("open", &path, error))?;
        let index = Self { db, file, flushing: Mutex::new(()), dir: dir.to_owned(), store: options.store };
        make_names_durable(dir)?;
        index.check_store()?;
        if options.verify {
            index.verify(&|| false)?;
        }
        Ok(index)
    }
}

/// Fails if the folder of an index contains a pipe or a device, which may block forever.
pub(crate) fn check_files(dir: &Path) -> Result<()> {
    for folder in [dir.to_owned(), dir.join("blobs")].iter().filter(|folder| folder.is_dir()) {
        let failed = |error| Error::io("list the folder", folder, error);
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let found = fs::symlink_metadata(&path);
            if found.is_ok_and(|found| !found.is_file() && !found.is_dir()) {
                let what = if path.is_symlink() { "a symbolic link" } else { "not a regular file" };
                let why = format!("{} is {what}", path.display());
                return Err(Failure::Corrupt { place: format!("index {}", dir.display()), why }.into());
            }
        }
    }
    Ok(())
}

/// Restricts sled's files to the mode of the store.
///
/// Files that sled creates later are protected by the mode of the folder until the next open.
fn narrow(dir: &Path, mode: u32) {
    for folder in [dir.to_owned(), dir.join("blobs")] {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()).chain([folder]) {
            let Ok(found) = fs::symlink_metadata(&path) else { continue };
            let wanted = if found.is_dir() { mode::of_folder(mode) } else { mode };
            let is_wider = found.permissions().mode() & 0o777 & !wanted != 0;
            if is_wider && !found.is_symlink() {
                // Only the owner of the file may do so; the mode of the store's folder protects it
                // anyway.
                let _ = fs::set_permissions(&path, Permissions::from_mode(wanted));
            }
        }
    }
}

fn open_when_unlocked(dir: &Path, options: &Options) -> Result<sled::Db> {
    let give_up = Instant::now() + LOCK_LAG;
    loop {
        let opened = guard(dir, "open", || {
            // sled panics on a shared configuration.
            let config =
                sled::Config::new().path(dir).cache_capacity(options.cache_bytes).flush_every_ms(Some(500));
            Ok(config.open()?)
        });
        match opened {
            Err(error) if is_lock_held(&error) && Instant::now() < give_up => {
                std::thread::sleep(Duration::from_millis(20));
            }
            opened => return opened,
        }
    }
}

/// Reports whether another attempt may succeed: sled fails on some files that were cut, and mends them on
/// the way. Only an index that is verified may be opened so.
fn is_to_try_again(error: &Error) -> bool {
    !error.is_of_the_system() && !is_lock_held(error)
}

/// sled gives the reason as text only.
fn is_lock_held(error: &Error) -> bool {
    matches!(error.failure(), Failure::Storage { why, .. } if why.contains("could not acquire lock"))
}

/// Sets aside incomplete snapshots of sled.
///
/// sled writes a snapshot under its final name, so one that is truncated would keep the index from
/// ever opening again. `told` is the folder's name in the warning.
fn set_aside_broken_snapshots(dir: &Path, told: &Path) -> Result<()> {
    let entries = fs::read_dir(dir).map_err(|error| Error::io("list the folder", dir, error))?;
    for entry in entries {
        let path = entry.map_err(|error| Error::io("list the folder", dir, error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("snap.") && name.ends_with(".generating") && !is_whole_snapshot(&path)? {
            set_aside(&path, &name)?;
            let path = told.join(name);
            tracing::warn!(path = %path.display(), "a snapshot of the index was cut short; it is set aside");
        }
    }
    Ok(())
}

/// Reports whether a snapshot file has its trailer, which is its length and checksum.
fn is_whole_snapshot(path: &Path) -> Result<bool> {
    let bytes = fs::read(path).map_err(|error| Error::io("read", path, error))?;
    let Some((body, trailer)) = bytes.split_last_chunk::<12>() else { return Ok(false) };
    let crc = trailer.last_chunk::<4>().map(|crc| u32::from_le_bytes(*crc));
    Ok(crc == Some(crc32fast::hash(body)))
}

fn set_aside(path: &Path, name: &str) -> Result<()> {
    // Not under "snap.", which sled would read.
    let aside: PathBuf = path.with_file_name(format!("broken-{name}"));
    fs::rename(path, &aside).map_err(|error| Error::io("move aside", path, error))?;
    Ok(())
}

/// Makes the names of sled's files durable, which sled never does, even for the snapshot of each
/// opening.
fn make_names_durable(dir: &Path) -> Result<()> {
    sync_file(&dir.join("conf"))?;
    sync_dir(&dir.join("blobs"))?;
    sync_dir(dir)?;
    dir.parent().map_or(Ok(()), sync_dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::copy_dir;
    use crate::record::Position;

    /// Opens the index without the second attempt, then verifies it.
    fn open_once(dir: &Path) -> Result<()> {
        let index = Index::open(dir, &Options { verify: false, ..Options::default() })?;
        let verified = index.verify(&|| false);
        index.close()?;
        verified
    }

    fn write(index: &Index, commit: usize) {
        let written = index.transact::<(), ()>(|transaction| {
            for n in 0..60 {
                let key = format!("{:03}", (n * 7 + commit * 13) % 300);
                transaction.put(key.as_bytes(), &vec![commit as u8; 400 + n * 9])?;
            }
            transaction.set_position(Position::new(commit as u64, None));
            Ok(())
        });
        written.unwrap().unwrap();
        index.sync().unwrap();
    }

    /// The damage harness found that a store opened in the background mode, which opens the index a
    /// second time if that fails, and was refused otherwise.
    #[test]
    fn an_index_that_sled_mends_on_the_way_opens() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("index");
        let index = Index::open(&dir, &Options::default()).unwrap();
        (1..=40).for_each(|commit| write(&index, commit));
        let bytes = fs::metadata(dir.join("db")).unwrap().len();
        let cut_copy = |name: &str, cut: u64| {
            let copy = folder.path().join(format!("{name} {cut}"));
            copy_dir(&dir, &copy).unwrap();
            File::options().write(true).open(copy.join("db")).unwrap().set_len(bytes * cut / 100).unwrap();
            copy
        };
        let mut mended = 0;
        for cut in 50..100 {
            let copy = cut_copy("twice", cut);
            if open_once(&copy).is_err() && open_once(&copy).is_ok() {
                mended += 1;
                let opened = Index::open(&cut_copy("at once", cut), &Options::default());
                opened.unwrap_or_else(|error| panic!("cut at {cut} %: {error}")).close().unwrap();
            }
        }
        assert!(mended > 0, "the test shows nothing");
    }
}
