//! A simulated disk for tests with two layers: what programs see, and what is durable. It counts
//! operations, fails or loses power at a planned one, and then keeps a random part of the unsynced
//! writes.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fastrand::Rng;
use parking_lot::Mutex;

use super::{Disk, DiskFile};
use crate::error::{Error, Result};
use crate::sync;

/// Drives write a sector atomically.
const SECTOR: u64 = 512;

#[derive(Debug, Clone, Default)]
pub(crate) struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Clone, Default)]
struct State {
    files: Vec<Inode>,
    dirs: BTreeMap<PathBuf, Folder>,
    /// The number of changing operations so far.
    operations: u64,
    plan: Option<Plan>,
    /// The file of the first failed operation.
    failed: Option<PathBuf>,
    /// Whether writes fail for lack of space.
    is_full: bool,
}

/// A planned fault.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// The operation at which it occurs, counted from when the plan was set.
    pub(crate) at: u64,
    pub(crate) what: Fault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Fails without any effect.
    Error,
    /// Fails after half of a write, or after losing what a sync should have made durable.
    Torn,
    /// Fails for lack of space.
    Full,
    /// Loses power: this operation and all later ones fail.
    PowerOff,
}

/// Which unsynced writes survive a power cut.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Survives {
    Nothing,
    Everything,
    /// Each sector and each name survives at random.
    Chance(u64),
}

#[derive(Debug, Clone, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Writes since the last sync, in order.
    pending: Vec<(u64, Vec<u8>)>,
}

#[derive(Debug, Clone, Default)]
struct Folder {
    live: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    pending: Vec<NameChange>,
}

#[derive(Debug, Clone)]
enum NameChange {
    Link(String, usize),
    Unlink(String),
    Rename(String, String),
}

fn apply_name(names: &mut BTreeMap<String, usize>, change: &NameChange) {
    match change {
        NameChange::Link(name, file) => drop(names.insert(name.clone(), *file)),
        NameChange::Unlink(name) => drop(names.remove(name)),
        NameChange::Rename(from, to) => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
    }
}

fn write_into(bytes: &mut Vec<u8>, new: &[u8], offset: usize) {
    bytes.resize(bytes.len().max(offset + new.len()), 0);
    bytes[offset..offset + new.len()].copy_from_slice(new);
}

/// Splits a write at sector boundaries.
fn sectors(offset: u64, bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut parts = Vec::new();
    let (mut at, mut rest) = (offset, bytes);
    while !rest.is_empty() {
        let (part, more) = rest.split_at(rest.len().min((SECTOR - at % SECTOR) as usize));
        parts.push((at, part));
        at += part.len() as u64;
        rest = more;
    }
    parts
}

impl Inode {
    fn lose_power(&mut self, survives: Survives, rng: &mut Rng) {
        for (offset, bytes) in std::mem::take(&mut self.pending) {
            for (at, part) in sectors(offset, &bytes) {
                if survives.decide(rng) {
                    write_into(&mut self.durable, part, at as usize);
                }
            }
        }
        self.live = self.durable.clone();
    }
}

impl Folder {
    fn lose_power(&mut self, survives: Survives, rng: &mut Rng) {
        // Names are journaled in order, so a prefix of the changes survives.
        for change in std::mem::take(&mut self.pending) {
            if !survives.decide(rng) {
                break;
            }
            apply_name(&mut self.durable, &change);
        }
        self.live = self.durable.clone();
    }
}

impl Survives {
    fn decide(self, rng: &mut Rng) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Chance(_) => rng.bool(),
        }
    }
}

impl SimDisk {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Returns the number of operations since the plan was set.
    pub(crate) fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    /// Sets the planned fault, or clears it.
    pub(crate) fn plan(&self, plan: Option<Plan>) {
        let mut state = self.state.lock();
        state.plan = plan;
        state.failed = None;
        state.operations = 0;
    }

    /// Returns the file of the first failure since the plan was set.
    pub(crate) fn failed(&self) -> Option<PathBuf> {
        self.state.lock().failed.clone()
    }

    /// Sets whether writes fail for lack of space.
    pub(crate) fn set_full(&self, is_full: bool) {
        self.state.lock().is_full = is_full;
    }

    /// Cuts the power and restores it.
    pub(crate) fn lose_power(&self, survives: Survives) {
        let mut rng = Rng::with_seed(match survives {
            Survives::Chance(seed) => seed,
            _ => 0,
        });
        let mut state = self.state.lock();
        state.files.iter_mut().for_each(|file| file.lose_power(survives, &mut rng));
        state.dirs.values_mut().for_each(|dir| dir.lose_power(survives, &mut rng));
        state.plan = None;
    }

    /// Returns an independent copy of the disk.
    pub(crate) fn copy(&self) -> Self {
        Self { state: Arc::new(Mutex::new(self.state.lock().clone())) }
    }

    /// Counts an operation outside the disk, such as one of an index next to it, and fails it as
    /// planned.
    pub(crate) fn operation(&self, path: &Path) -> Result<()> {
        sync::point();
        self.state.lock().operation(path).map_err(|(_, error)| error)
    }

    /// Changes the content of a file as programs see it, to damage it.
    pub(crate) fn change(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state.lock();
        let file = state.find(path).unwrap();
        let inode = &mut state.files[file];
        change(&mut inode.live);
        inode.durable = inode.live.clone();
        inode.pending.clear();
    }
}

impl State {
    fn operation(&mut self, path: &Path) -> Result<(), (Fault, Error)> {
        self.operations += 1;
        let Some(plan) = self.plan else { return Ok(()) };
        let is_now = self.operations == plan.at;
        if is_now || (plan.what == Fault::PowerOff && self.operations > plan.at) {
            self.failed.get_or_insert_with(|| path.to_owned());
            let source = match plan.what {
                Fault::Full => io::Error::from(io::ErrorKind::StorageFull),
                _ => io::Error::other(format!("planned at operation {}", plan.at)),
            };
            return Err((plan.what, Error::io("write", path, source)));
        }
        Ok(())
    }

    fn find(&self, path: &Path) -> Option<usize> {
        let (dir, name) = split(path);
        self.dirs.get(&dir)?.live.get(&name).copied()
    }

    fn rename(&mut self, path: &Path, change: NameChange) -> Result<()> {
        self.operation(path).map_err(|(_, error)| error)?;
        let dir = self.dirs.entry(split(path).0).or_default();
        apply_name(&mut dir.live, &change);
        dir.pending.push(change);
        Ok(())
    }
}

fn split(path: &Path) -> (PathBuf, String) {
    (path.parent().unwrap().to_owned(), path.file_name().unwrap().to_string_lossy().into_owned())
}

fn missing(path: &Path) -> Error {
    Error::io("open", path, io::ErrorKind::NotFound.into())
}

impl Disk for SimDisk {
    fn create(&self, path: &Path) -> Result<Arc<dyn DiskFile>> {
        sync::point();
        let mut state = self.state.lock();
        let file = state.files.len();
        state.files.push(Inode::default());
        state.rename(path, NameChange::Link(split(path).1, file))?;
        Ok(Arc::new(SimFile { disk: self.clone(), file, path: path.to_owned() }))
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn DiskFile>> {
        let file = self.state.lock().find(path).ok_or_else(|| missing(path))?;
        Ok(Arc::new(SimFile { disk: self.clone(), file, path: path.to_owned() }))
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        let state = self.state.lock();
        Ok(state.dirs.get(dir).map(|dir| dir.live.keys().cloned().collect()).unwrap_or_default())
    }

    fn create_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        sync::point();
        self.state.lock().rename(from, NameChange::Rename(split(from).1, split(to).1))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        sync::point();
        self.state.lock().rename(path, NameChange::Unlink(split(path).1))
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        sync::point();
        let mut state = self.state.lock();
        state.operation(dir).map_err(|(_, error)| error)?;
        if let Some(dir) = state.dirs.get_mut(dir) {
            dir.durable = dir.live.clone();
            dir.pending.clear();
        }
        Ok(())
    }

    fn free_bytes(&self, _: &Path) -> Result<u64> {
        Ok(if self.state.lock().is_full { 0 } else { u64::MAX })
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    file: usize,
    path: PathBuf,
}

impl DiskFile for SimFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        sync::point();
        let mut state = self.disk.state.lock();
        let (bytes, answer) = match state.operation(&self.path) {
            Ok(()) => (bytes, Ok(())),
            Err((Fault::Torn, error)) => (&bytes[..bytes.len() / 2], Err(error)),
            Err((_, error)) => return Err(error),
        };
        let inode = &mut state.files[self.file];
        write_into(&mut inode.live, bytes, offset as usize);
        inode.pending.push((offset, bytes.to_vec()));
        answer
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<usize> {
        let state = self.disk.state.lock();
        let live = &state.files[self.file].live;
        let from = (offset as usize).min(live.len());
        let n = bytes.len().min(live.len() - from);
        bytes[..n].copy_from_slice(&live[from..from + n]);
        Ok(n)
    }

    fn len(&self) -> Result<u64> {
        Ok(self.disk.state.lock().files[self.file].live.len() as u64)
    }

    fn sync(&self) -> Result<()> {
        sync::point();
        let mut state = self.disk.state.lock();
        let answer = state.operation(&self.path);
        let inode = &mut state.files[self.file];
        match answer {
            Ok(()) => {
                inode.durable = inode.live.clone();
                inode.pending.clear();
                Ok(())
            }
            Err((Fault::Torn, error)) => {
                // As on Linux: the pages count as clean although the disk never received them.
                inode.pending.clear();
                Err(error)
            }
            Err((_, error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(disk: &SimDisk, path: &Path) -> Vec<u8> {
        let file = disk.open(path).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_at(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn forgets_what_was_not_synced() {
        let disk = SimDisk::new();
        let path = Path::new("/d/f");
        let file = disk.create(path).unwrap();
        file.write_at(&[1; 1024], 0).unwrap();
        file.sync().unwrap();
        disk.lose_power(Survives::Nothing);
        assert!(disk.open(path).is_err(), "its name was not synced");
        let file = disk.create(path).unwrap();
        file.write_at(&[1; 1024], 0).unwrap();
        file.sync().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        file.write_at(&[2; 1024], 0).unwrap();
        disk.lose_power(Survives::Nothing);
        assert_eq!(content(&disk, path), [1; 1024]);
    }

    #[test]
    fn tears_writes_at_sectors() {
        let torn = (0..100).filter(|seed| {
            let disk = SimDisk::new();
            let path = Path::new("/d/f");
            let file = disk.create(path).unwrap();
            file.write_at(&[0; 2048], 0).unwrap();
            file.sync().unwrap();
            disk.sync_dir(Path::new("/d")).unwrap();
            file.write_at(&[1; 1000], 100).unwrap();
            disk.lose_power(Survives::Chance(*seed));
            let bytes = content(&disk, path);
            let written: Vec<bool> = [100, 512, 1024].iter().map(|at| bytes[*at] == 1).collect();
            assert!(bytes[100..512].iter().all(|byte| (*byte == 1) == written[0]));
            written.contains(&true) && written.contains(&false)
        });
        assert!(torn.count() > 30);
    }

    #[test]
    fn fails_as_planned() {
        let disk = SimDisk::new();
        let file = disk.create(Path::new("/d/f")).unwrap();
        disk.plan(Some(Plan { at: 2, what: Fault::Torn }));
        file.write_at(&[1; 8], 0).unwrap();
        assert!(file.write_at(&[2; 8], 0).is_err());
        file.write_at(&[3; 2], 0).unwrap();
        assert_eq!(content(&disk, Path::new("/d/f")), [3, 3, 2, 2, 1, 1, 1, 1]);
        disk.plan(Some(Plan { at: 1, what: Fault::PowerOff }));
        assert!(file.sync().is_err());
        assert!(file.sync().is_err());
    }
}
