//! A disk after a power cut: what was synced, and an arbitrary part of the rest. It is kept in
//! memory; `mount` makes it a folder.
//!
//! What is durable, and which file systems promise it:
//!
//! - **The content of a file** after `fsync` or `fdatasync` of it, its length
//!   included. ext4 and XFS promise that, with barriers on. Until then each 512
//!   bytes of each write may be there or not, in any order ([`Survival`] says in
//!   which). `sync_file_range` promises nothing, and never gets here.
//! - **A name in a folder** after `fsync` of the folder. ext4 and XFS make the name
//!   of a new file durable with the `fsync` of the file too; POSIX does not say so,
//!   and neither do we: only the folder counts.
//! - **A rename** is one change: after a cut either both of its names are changed
//!   or none.
//! - **Bytes that a write did not touch** stay as they were, also within the same
//!   512 bytes (raft-wal and SQLite assume this as "powersafe overwrites"), and a
//!   sector is never garbage: it is old or new. [`Survival::Torn`] gives up the
//!   atomic sector.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use fuser::Errno;

/// The atomic unit of a disk.
pub const SECTOR: u64 = 512;
pub const ROOT: u64 = 1;

pub type Result<T> = std::result::Result<T, Errno>;

/// Which unsynced changes survive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Survival {
    /// Nothing.
    Nothing,
    /// Everything, as if only the program had died.
    Everything,
    /// What the writeback of a page cache leaves: each sector has the content of some moment, and
    /// names change in order.
    Cached { keep: f64 },
    /// Any sectors of any writes, any names.
    Any { keep: f64 },
    /// As `Any`, in any order, and torn within sectors.
    Torn { keep: f64 },
}

/// Syncs that break their promise, to test the test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Honesty {
    Honest,
    /// Syncs do nothing, but report success.
    NeverSyncs,
    /// Each sync forgets some sectors.
    ForgetsSectors,
    /// Syncs of folders do nothing.
    ForgetsNames,
}

#[derive(Debug, Clone)]
enum Inode {
    File(File),
    Folder(Folder),
}

#[derive(Debug, Clone, Default)]
struct File {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// The unsynced changes, in order.
    unsynced: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Length { from: u64, to: u64 },
}

#[derive(Debug, Clone, Default)]
struct Folder {
    live: BTreeMap<OsString, u64>,
    durable: BTreeMap<OsString, u64>,
}

/// An atomic change of names in one folder.
#[derive(Debug, Clone)]
struct Renaming {
    folder: u64,
    names: Vec<(OsString, Option<u64>)>,
}

#[derive(Debug, Clone)]
pub struct Disk {
    inodes: BTreeMap<u64, Inode>,
    last: u64,
    /// Name changes that are not durable yet, in order.
    renamings: Vec<Renaming>,
    honesty: Honesty,
    random: fastrand::Rng,
}

/// The attributes of a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    pub inode: u64,
    pub length: u64,
    pub is_folder: bool,
}

impl Disk {
    pub fn new() -> Self {
        Self {
            inodes: BTreeMap::from([(ROOT, Inode::Folder(Folder::default()))]),
            last: ROOT,
            renamings: Vec::new(),
            honesty: Honesty::Honest,
            random: fastrand::Rng::with_seed(0),
        }
    }

    pub fn set_honesty(&mut self, honesty: Honesty) {
        self.honesty = honesty;
    }

    fn file(&mut self, inode: u64) -> Result<&mut File> {
        match self.inodes.get_mut(&inode) {
            Some(Inode::File(file)) => Ok(file),
            Some(Inode::Folder(_)) => Err(Errno::EISDIR),
            None => Err(Errno::ENOENT),
        }
    }

    fn folder(&self, inode: u64) -> Result<&Folder> {
        match self.inodes.get(&inode) {
            Some(Inode::Folder(folder)) => Ok(folder),
            Some(Inode::File(_)) => Err(Errno::ENOTDIR),
            None => Err(Errno::ENOENT),
        }
    }

    pub fn lookup(&self, folder: u64, name: &OsStr) -> Result<u64> {
        self.folder(folder)?.live.get(name).copied().ok_or(Errno::ENOENT)
    }

    pub fn attributes(&self, inode: u64) -> Result<Attributes> {
        let (length, is_folder) = match self.inodes.get(&inode).ok_or(Errno::ENOENT)? {
            Inode::File(file) => (file.live.len() as u64, false),
            Inode::Folder(_) => (0, true),
        };
        Ok(Attributes { inode, length, is_folder })
    }

    pub fn list(&self, folder: u64) -> Result<Vec<(OsString, u64)>> {
        Ok(self.folder(folder)?.live.iter().map(|(name, inode)| (name.clone(), *inode)).collect())
    }

    /// Changes names atomically, to become durable later.
    fn rename_all(&mut self, folder: u64, names: Vec<(OsString, Option<u64>)>) -> Result<()> {
        let Some(Inode::Folder(found)) = self.inodes.get_mut(&folder) else { return Err(Errno::ENOTDIR) };
        set_names(&mut found.live, &names);
        self.renamings.push(Renaming { folder, names });
        Ok(())
    }

    fn add(&mut self, folder: u64, name: &OsStr, inode: Inode) -> Result<u64> {
        if self.folder(folder)?.live.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        self.last += 1;
        self.inodes.insert(self.last, inode);
        self.rename_all(folder, vec![(name.to_owned(), Some(self.last))])?;
        Ok(self.last)
    }

    pub fn create(&mut self, folder: u64, name: &OsStr) -> Result<u64> {
        self.add(folder, name, Inode::File(File::default()))
    }

    pub fn create_folder(&mut self, folder: u64, name: &OsStr) -> Result<u64> {
        self.add(folder, name, Inode::Folder(Folder::default()))
    }

    pub fn remove(&mut self, folder: u64, name: &OsStr) -> Result<()> {
        let inode = self.lookup(folder, name)?;
        if self.folder(inode).is_ok_and(|folder| !folder.live.is_empty()) {
            return Err(Errno::ENOTEMPTY);
        }
        self.rename_all(folder, vec![(name.to_owned(), None)])
    }

    /// Renaming between folders is `EXDEV`, as between file systems: it is not needed here, and
    /// file systems differ in what a cut leaves of it.
    pub fn rename(&mut self, folder: u64, from: &OsStr, new_folder: u64, to: &OsStr) -> Result<()> {
        if folder != new_folder {
            return Err(Errno::EXDEV);
        }
        let inode = self.lookup(folder, from)?;
        if let Ok(replaced) = self.lookup(folder, to) {
            if replaced == inode {
                return Ok(());
            }
            if self.folder(replaced).is_ok_and(|folder| !folder.live.is_empty()) {
                return Err(Errno::ENOTEMPTY);
            }
        }
        self.rename_all(folder, vec![(from.to_owned(), None), (to.to_owned(), Some(inode))])
    }

    pub fn read(&mut self, inode: u64, offset: u64, length: usize) -> Result<&[u8]> {
        let live = &self.file(inode)?.live;
        let start = live.len().min(offset as usize);
        Ok(&live[start..live.len().min(start + length)])
    }

    pub fn write(&mut self, inode: u64, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file(inode)?.change(Change::Write { offset, bytes: bytes.to_owned() });
        Ok(())
    }

    pub fn set_length(&mut self, inode: u64, to: u64) -> Result<()> {
        let file = self.file(inode)?;
        let from = file.live.len() as u64;
        if from != to {
            file.change(Change::Length { from, to });
        }
        Ok(())
    }

    /// Makes the content of a file, or the names in a folder, durable.
    pub fn sync(&mut self, inode: u64) -> Result<()> {
        let (honesty, random) = (self.honesty, self.random.u64(..));
        if honesty == Honesty::NeverSyncs {
            return Ok(());
        }
        if let Ok(file) = self.file(inode) {
            file.sync(honesty, &mut fastrand::Rng::with_seed(random));
            return Ok(());
        }
        if honesty != Honesty::ForgetsNames {
            let (now, later) = std::mem::take(&mut self.renamings)
                .into_iter()
                .partition(|renaming: &Renaming| renaming.folder == inode);
            self.renamings = later;
            self.apply(&now);
        }
        Ok(())
    }

    /// Makes changes of names durable.
    fn apply(&mut self, renamings: &[Renaming]) {
        for Renaming { folder, names } in renamings {
            if let Some(Inode::Folder(folder)) = self.inodes.get_mut(folder) {
                set_names(&mut folder.durable, names);
            }
        }
    }

    /// Returns the disk after a power cut.
    pub fn after_power_cut(&self, survival: Survival, random: &mut fastrand::Rng) -> Self {
        let mut cut = self.clone();
        let renamings = std::mem::take(&mut cut.renamings);
        cut.apply(&surviving_names(renamings, survival, random));
        let mut next = Self::new();
        next.honesty = self.honesty;
        next.random = fastrand::Rng::with_seed(random.u64(..));
        cut.copy_durable(ROOT, &mut next, ROOT, survival, random);
        next
    }

    /// Copies what durable names reach.
    fn copy_durable(
        &self,
        from: u64,
        next: &mut Self,
        to: u64,
        survival: Survival,
        random: &mut fastrand::Rng,
    ) {
        let Some(Inode::Folder(folder)) = self.inodes.get(&from) else { return };
        for (name, inode) in &folder.durable {
            next.last += 1;
            let copy = next.last;
            match &self.inodes[inode] {
                Inode::File(file) => {
                    let bytes = file.after_power_cut(survival, random);
                    let file = File { live: bytes.clone(), durable: bytes, unsynced: Vec::new() };
                    next.inodes.insert(copy, Inode::File(file));
                }
                Inode::Folder(_) => {
                    next.inodes.insert(copy, Inode::Folder(Folder::default()));
                    self.copy_durable(*inode, next, copy, survival, random);
                }
            }
            let Some(Inode::Folder(folder)) = next.inodes.get_mut(&to) else { unreachable!() };
            folder.live.insert(name.clone(), copy);
            folder.durable.insert(name.clone(), copy);
        }
    }

    /// Writes the live files below a folder of this disk to the machine's disk.
    pub fn write_to(&self, path: &Path) -> io::Result<()> {
        self.write_folder(ROOT, path)
    }

    fn write_folder(&self, inode: u64, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)?;
        let Some(Inode::Folder(folder)) = self.inodes.get(&inode) else { return Ok(()) };
        for (name, inode) in &folder.live {
            match &self.inodes[inode] {
                Inode::File(file) => std::fs::write(path.join(name), &file.live)?,
                Inode::Folder(_) => self.write_folder(*inode, &path.join(name))?,
            }
        }
        Ok(())
    }

    /// Returns how much is not durable: bytes in files, and changes of names.
    pub fn unsynced(&self) -> (u64, usize) {
        let bytes = self.inodes.values().map(|inode| match inode {
            Inode::File(file) => file.unsynced.iter().map(Change::length).sum(),
            Inode::Folder(_) => 0,
        });
        (bytes.sum(), self.renamings.len())
    }
}

fn set_names(folder: &mut BTreeMap<OsString, u64>, names: &[(OsString, Option<u64>)]) {
    for (name, inode) in names {
        match inode {
            Some(inode) => folder.insert(name.clone(), *inode),
            None => folder.remove(name),
        };
    }
}

fn surviving_names(
    mut renamings: Vec<Renaming>,
    survival: Survival,
    random: &mut fastrand::Rng,
) -> Vec<Renaming> {
    match survival {
        Survival::Nothing => renamings.clear(),
        Survival::Everything => {}
        Survival::Cached { .. } => renamings.truncate(random.usize(..=renamings.len())),
        Survival::Any { keep } | Survival::Torn { keep } => renamings.retain(|_| random.f64() < keep),
    }
    renamings
}

impl Change {
    fn length(&self) -> u64 {
        match self {
            Self::Write { bytes, .. } => bytes.len() as u64,
            Self::Length { .. } => 0,
        }
    }

    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => put(content, *offset, bytes),
            Self::Length { to, .. } => content.resize(*to as usize, 0),
        }
    }

    /// Splits the change into parts of at most `unit` bytes.
    fn parts(&self, unit: u64) -> Vec<(u64, Vec<u8>)> {
        let (offset, end) = match self {
            Self::Write { offset, bytes } => (*offset, offset + bytes.len() as u64),
            // A truncated part reads as zeroes if the file grows again.
            Self::Length { from, to } => (*to, *from),
        };
        let mut parts = Vec::new();
        let mut at = offset;
        while at < end {
            let next = end.min((at / unit + 1) * unit);
            let bytes = match self {
                Self::Write { bytes, .. } => {
                    bytes[(at - offset) as usize..(next - offset) as usize].to_owned()
                }
                Self::Length { .. } => vec![0; (next - at) as usize],
            };
            parts.push((at, bytes));
            at = next;
        }
        parts
    }
}

fn put(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let (start, end) = (offset as usize, offset as usize + bytes.len());
    if content.len() < end {
        content.resize(end, 0);
    }
    content[start..end].copy_from_slice(bytes);
}

/// The fate of a write.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Kept,
    Lost,
    Torn,
}

impl File {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.unsynced.push(change);
    }

    fn sync(&mut self, honesty: Honesty, random: &mut fastrand::Rng) {
        for change in std::mem::take(&mut self.unsynced) {
            change.apply(&mut self.durable);
            if honesty == Honesty::ForgetsSectors && random.u8(..10) == 0 {
                for (at, bytes) in change.parts(SECTOR) {
                    put(&mut self.durable, at, &vec![0; bytes.len()]);
                }
            }
        }
    }

    fn after_power_cut(&self, survival: Survival, random: &mut fastrand::Rng) -> Vec<u8> {
        match survival {
            Survival::Nothing => self.durable.clone(),
            Survival::Everything => self.live.clone(),
            Survival::Cached { keep } => self.mixed(keep, SECTOR, Order::OfEachSector, random),
            Survival::Any { keep } => self.mixed(keep, SECTOR, Order::Kept, random),
            Survival::Torn { keep } => self.mixed(keep, 64, Order::None, random),
        }
    }

    /// Returns the durable content with an arbitrary part of the rest, and one of the file's
    /// lengths.
    fn mixed(&self, keep: f64, unit: u64, order: Order, random: &mut fastrand::Rng) -> Vec<u8> {
        let mut parts: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut stopped: BTreeMap<u64, ()> = BTreeMap::new();
        for change in &self.unsynced {
            let fate = match random.f64() {
                _ if random.u8(..4) == 0 => Fate::Torn,
                chance if chance < keep => Fate::Kept,
                _ => Fate::Lost,
            };
            for (at, bytes) in change.parts(unit) {
                let is_kept = match fate {
                    Fate::Kept => true,
                    Fate::Lost => false,
                    Fate::Torn => random.bool(),
                };
                if !is_kept {
                    stopped.insert(at / SECTOR, ());
                } else if order != Order::OfEachSector || !stopped.contains_key(&(at / SECTOR)) {
                    parts.push((at, bytes));
                }
            }
        }
        if order == Order::None && random.bool() {
            random.shuffle(&mut parts);
        }
        let mut content = self.durable.clone();
        for (at, bytes) in parts {
            put(&mut content, at, &bytes);
        }
        content.resize(self.some_length(random), 0);
        content
    }

    /// Returns a length that the file had since its last sync.
    fn some_length(&self, random: &mut fastrand::Rng) -> usize {
        let mut lengths = vec![self.durable.len()];
        for change in &self.unsynced {
            let last = lengths[lengths.len() - 1];
            lengths.push(match change {
                Change::Write { offset, bytes } => last.max(*offset as usize + bytes.len()),
                Change::Length { to, .. } => *to as usize,
            });
        }
        match random.u8(..3) {
            0 => lengths[0],
            1 => lengths[lengths.len() - 1],
            _ => lengths[random.usize(..lengths.len())],
        }
    }
}

/// The order in which parts of writes reach the disk.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    /// A sector has the content of some moment.
    OfEachSector,
    /// A later write of a sector may survive without an earlier one.
    Kept,
    /// An earlier write may overwrite a later one.
    None,
}
