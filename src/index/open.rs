//! Opening sled with its known faults fenced.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Index;
use super::guard::guard;
use crate::error::{Error, Failure, Result};
use crate::folder::{sync_dir, sync_file};

/// How long sled's lock on its file may lag behind the end of the one who held
/// it.
const LOCK_LAG: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Memory for pages of the index, in bytes; sled uses a multiple of it. Default: 16 MiB.
    pub(crate) cache_bytes: u64,
    /// Whether every record is read and compared with what was written. Default: yes.
    pub(crate) verify: bool,
    /// The folder of which this one is a private copy, for what is told of it.
    pub(crate) copy_of: Option<PathBuf>,
    /// The id of the store that it belongs to: another store's does not open. Without it any
    /// does.
    pub(crate) store: Option<[u8; 16]>,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: 16 << 20, verify: true, copy_of: None, store: None }
    }
}

impl Index {
    /// Opens the index in `dir`, and creates it if there is none. The caller
    /// holds a lock of its own on the store, so nobody else is here.
    pub(crate) fn open(dir: &Path, options: &Options) -> Result<Self> {
        if dir.exists() {
            check_files(dir)?;
            set_aside_broken_snapshots(dir, options.copy_of.as_deref().unwrap_or(dir))?;
        }
        let db = open_when_unlocked(dir, options)?;
        let path = dir.join("db");
        let file = File::open(&path).map_err(|error| Error::io("open", &path, error))?;
        let index = Self { db, file, flushing: Mutex::new(()), dir: dir.to_owned(), store: options.store };
        make_names_durable(dir)?;
        index.check_store()?;
        if options.verify {
            index.verify()?;
        }
        Ok(index)
    }
}

/// Fails if there is a pipe or a device in the folder of an index, since who opens one may
/// wait for ever.
pub(crate) fn check_files(dir: &Path) -> Result<()> {
    for folder in [dir.to_owned(), dir.join("blobs")].iter().filter(|folder| folder.is_dir()) {
        let failed = |error| Error::io("list the folder", folder, error);
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if fs::metadata(&path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
                let why = format!("{} is no regular file", path.display());
                return Err(Failure::Corrupt { place: format!("index {}", dir.display()), why }.into());
            }
        }
    }
    Ok(())
}

fn open_when_unlocked(dir: &Path, options: &Options) -> Result<sled::Db> {
    let give_up = Instant::now() + LOCK_LAG;
    loop {
        let opened = guard(dir, "open", || {
            // A new configuration each time: a shared one panics.
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

/// sled gives the reason as text only.
fn is_lock_held(error: &Error) -> bool {
    matches!(error.failure(), Failure::Storage { why, .. } if why.contains("could not acquire lock"))
}

/// sled writes a snapshot under a name that it later takes for a finished one.
/// One that was cut short would keep the index from ever opening again. `told` is the name
/// of the folder in the warning.
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

/// Whether a snapshot file has the trailer of a finished one: its length and its
/// checksum.
fn is_whole_snapshot(path: &Path) -> Result<bool> {
    let bytes = fs::read(path).map_err(|error| Error::io("read", path, error))?;
    let Some((body, trailer)) = bytes.split_last_chunk::<12>() else { return Ok(false) };
    let crc = trailer.last_chunk::<4>().map(|crc| u32::from_le_bytes(*crc));
    Ok(crc == Some(crc32fast::hash(body)))
}

fn set_aside(path: &Path, name: &str) -> Result<()> {
    // Not under "snap.": sled would read it.
    let aside: PathBuf = path.with_file_name(format!("broken-{name}"));
    fs::rename(path, &aside).map_err(|error| Error::io("move aside", path, error))?;
    Ok(())
}

/// sled never makes the names of its files durable, not even of the snapshot that
/// each opening writes.
fn make_names_durable(dir: &Path) -> Result<()> {
    sync_file(&dir.join("conf"))?;
    sync_dir(&dir.join("blobs"))?;
    sync_dir(dir)?;
    dir.parent().map_or(Ok(()), sync_dir)
}
