//! A simulated index and its directory on the simulated disk, with the same counters, failures and
//! power cuts. Like sled, it keeps a prefix of the unsynced steps.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use fastrand::Rng;
use parking_lot::Mutex;

use crate::disk::Disk;
use crate::disk::sim::{SimDisk, Survives};
use crate::engine::durable::DurableEngine;
use crate::engine::durable::options::Options;
use crate::engine::durable::storage::{
    IndexBackend, IndexDirectory, Snapshots, Step, StoreFiles, check_from,
};
use crate::engine::durable::wal::LogFiles;
use crate::error::{Failure, Result};
use crate::folder::{Manifest, SyncedFile, VerifyingFile};
use crate::index::{Contents, Visit};
use crate::record::{Epoch, Position, Writers};

#[derive(Debug, Clone)]
pub(crate) struct SimIndexDirectory {
    pub(crate) disk: SimDisk,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    index: Option<Arc<Mutex<Content>>>,
    begun: Option<Arc<Mutex<Content>>>,
    kept: usize,
    /// Whether a verification finds it damaged.
    is_damaged: bool,
}

#[derive(Debug, Default)]
struct Content {
    live: Map,
    durable: Map,
    /// The state after each unsynced step.
    pending: Vec<Map>,
}

#[derive(Debug, Clone, Default)]
struct Map {
    records: BTreeMap<Bytes, Bytes>,
    contents: Contents,
}

#[derive(Debug)]
struct SimIndex {
    disk: SimDisk,
    content: Arc<Mutex<Content>>,
    is_damaged: bool,
}

/// Opens the store on a disk, without threads.
pub(crate) fn open(
    disk: &SimDisk,
    index_dir: &SimIndexDirectory,
    options: &Options,
) -> Result<DurableEngine> {
    let store = *b"0123456789abcdef";
    let segment_bytes = options.segment_bytes;
    let (index_dir, disk): (_, Arc<dyn Disk>) = (Arc::new(index_dir.clone()), Arc::new(disk.clone()));
    let epoch = Epoch::draw();
    let log = LogFiles { disk: disk.clone(), dir: "/s/wal".into(), store, segment_bytes, epoch };
    let synced = SyncedFile { disk: disk.clone(), folder: folder().to_owned(), store };
    let verifying = VerifyingFile { disk: disk.clone(), folder: folder().to_owned() };
    let snapshots = Snapshots { disk, dir: "/s/snapshots".into(), store };
    let files = StoreFiles { index_dir, log, synced, verifying, snapshots };
    DurableEngine::without_threads(files, options.clone(), "the store".to_owned())
}

fn path() -> &'static Path {
    Path::new("/s/index")
}

fn folder() -> &'static Path {
    Path::new("/s")
}

impl SimIndexDirectory {
    pub(crate) fn new(disk: &SimDisk) -> Self {
        Self { disk: disk.clone(), state: Arc::default() }
    }

    pub(crate) fn lose_power(&self, survives: Survives) {
        let mut state = self.state.lock();
        state.begun = None;
        if let Some(index) = &state.index {
            index.lock().lose_power(survives);
        }
    }

    /// Makes the next verification find the index damaged.
    pub(crate) fn damage(&self) {
        self.state.lock().is_damaged = true;
    }

    fn index(&self, content: &Arc<Mutex<Content>>, is_damaged: bool) -> Box<SimIndex> {
        Box::new(SimIndex { disk: self.disk.clone(), content: content.clone(), is_damaged })
    }
}

impl Content {
    fn lose_power(&mut self, survives: Survives) {
        let kept = match survives {
            Survives::Nothing => 0,
            Survives::Everything => self.pending.len(),
            Survives::Chance(seed) => Rng::with_seed(seed).usize(0..=self.pending.len()),
        };
        if let Some(last) = kept.checked_sub(1) {
            self.durable = self.pending[last].clone();
        }
        self.live = self.durable.clone();
        self.pending.clear();
    }
}

impl IndexDirectory for SimIndexDirectory {
    fn manifest(&self) -> Result<Manifest> {
        Ok(Manifest::read(&self.disk, folder()).unwrap().unwrap_or_else(Manifest::new))
    }

    fn note(&self, position: Position, writers: Writers) -> Result<()> {
        let manifest = Manifest::new().noting(position, writers);
        manifest.write(&self.disk, folder())
    }

    fn exists(&self) -> bool {
        self.state.lock().index.is_some()
    }

    fn open(&self, verify: bool) -> Result<Box<dyn IndexBackend>> {
        self.disk.operation(path())?;
        let mut state = self.state.lock();
        let is_damaged = state.is_damaged;
        let index = self.index(state.index.get_or_insert_default(), is_damaged);
        if verify {
            index.verify(&|| false)?;
        }
        Ok(index)
    }

    fn begin(&self) -> Result<Box<dyn IndexBackend>> {
        self.disk.operation(path())?;
        let mut state = self.state.lock();
        Ok(self.index(state.begun.insert(Arc::default()), false))
    }

    fn adopt(&self) -> Result<Option<PathBuf>> {
        self.disk.operation(path())?;
        let mut state = self.state.lock();
        state.is_damaged = false;
        state.kept += 1;
        let begun = state.begun.take();
        Ok(std::mem::replace(&mut state.index, begun).map(|_| "/s/index.damaged-1".into()))
    }

    fn adopt_smaller(&self, _: bool) -> Result<()> {
        self.adopt().map(drop)
    }

    fn release(&self) {}
}

impl IndexBackend for SimIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.content.lock().live.records.get(key).cloned())
    }

    fn scan(&self, start: &[u8], end: &[u8], visit: &mut dyn Visit) -> Result<()> {
        let map = self.content.lock().live.records.clone();
        let within = map.into_iter().filter(|(key, _)| start <= &key[..] && &key[..] < end);
        for (key, value) in within {
            let flow = match visit.skips(&key) {
                ControlFlow::Continue(false) => visit.visit(&key, &value),
                ControlFlow::Continue(true) => ControlFlow::Continue(()),
                ControlFlow::Break(()) => ControlFlow::Break(()),
            };
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn contents(&self) -> Result<Contents> {
        Ok(self.content.lock().live.contents)
    }

    fn verify(&self, _: &(dyn Fn() -> bool + Sync)) -> Result<()> {
        if self.is_damaged {
            let why = "planned damage".to_owned();
            return Err(Failure::Corrupt { place: "the index".to_owned(), why }.into());
        }
        Ok(())
    }

    fn apply(&self, step: &Step<'_>) -> Result<()> {
        self.disk.operation(path())?;
        let mut content = self.content.lock();
        let mut map = content.live.clone();
        check_from(map.contents.seq, step)?;
        for change in step.changes {
            let found = map.records.remove(&change.key);
            if let Some(owner) = &change.owner {
                owner.check(found.as_ref(), step.from)?;
            }
            if let Some(found) = found {
                map.contents.remove(&change.key, &found);
            }
            if let Some(value) = &change.value {
                map.contents.add(&change.key, value);
                map.records.insert(change.key.clone(), value.clone());
            }
        }
        if let Some(to) = step.to {
            map.contents.set_position(to);
        }
        content.live = map.clone();
        content.pending.push(map);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        self.disk.operation(path())?;
        let mut content = self.content.lock();
        content.durable = content.live.clone();
        content.pending.clear();
        Ok(())
    }

    fn disk_bytes(&self) -> Result<u64> {
        Ok(0)
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
