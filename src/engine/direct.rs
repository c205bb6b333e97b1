//! The direct engine: a commit is one transaction of the index, made durable
//! before it is acknowledged.
//!
//! There is no log: what a commit writes is in the index when it returns. A
//! [`Buffered`](Durability::Buffered) commit waits until the index has handed its
//! buffers to the kernel, a [`Synced`](Durability::Synced) one until the disk has
//! them; both share that wait with every commit that wants the same.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, RwLock};

use super::group::Group;
use super::poison::Poison;
use super::{Batch, Durability, Engine, Feed, Outcome, Stats, Visitor, Write};
use crate::error::{Error, Failure, Result};
use crate::folder::Folder;
use crate::index::{self, Contents, Index, Stop, Transaction};
use crate::record::{self, Damage, Key, KeyRange, Record};

/// How much may be written between two syncs. sled reuses space as if what it
/// wrote were durable; a power cut after more than this could take old data too.
const UNSYNCED_BYTES_MAX: u64 = 256 << 10;

/// Options of the engine.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) index: index::Options,
    /// How long a buffered commit waits at most for its sync.
    pub(crate) sync_interval: Duration,
}

#[derive(Debug)]
pub(crate) struct DirectEngine {
    shared: Arc<Shared>,
    syncer: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    /// Read by every call for as long as it takes; written to close the store, and
    /// `None` from then on.
    open: RwLock<Option<Open>>,
    /// Written while a commit is applied, read by scans: they see one point in
    /// time. Nobody holds it while waiting for the disk.
    view: RwLock<()>,
    last_seq: AtomicU64,
    /// What the kernel has.
    flushed: Group,
    /// What the disk has.
    synced: Group,
    unsynced_bytes: AtomicU64,
    poison: Poison,
    feed: Feed,
    stop: Mutex<bool>,
    stopped: Condvar,
}

#[derive(Debug)]
struct Open {
    index: Index,
    folder: Folder,
}

impl DirectEngine {
    /// Opens the index in `folder`, and creates it in a new one.
    pub(crate) fn open(mut folder: Folder, options: &Options) -> Result<Self> {
        let index = open_index(&folder, &options.index)?;
        let seq = index.contents()?.unwrap_or_default().seq;
        // After a crash the kernel may have what the disk has not.
        index.sync()?;
        folder.set_index_seq(seq)?;
        let shared = Arc::new(Shared {
            last_seq: AtomicU64::new(seq),
            flushed: Group::starting_at(seq),
            synced: Group::starting_at(seq),
            unsynced_bytes: AtomicU64::new(0),
            poison: Poison::new(folder.path().display().to_string()),
            feed: Feed::default(),
            stop: Mutex::new(false),
            stopped: Condvar::new(),
            open: RwLock::new(Some(Open { index, folder })),
            view: RwLock::new(()),
        });
        let syncer = spawn_syncer(shared.clone(), options.sync_interval)?;
        Ok(Self { shared, syncer: Mutex::new(Some(syncer)) })
    }
}

/// Opens the index and checks that it holds what the manifest says it must.
fn open_index(folder: &Folder, options: &index::Options) -> Result<Index> {
    let dir = folder.index();
    let stated = folder.manifest().index_seq;
    let corrupt =
        |why: String| -> Error { Failure::Corrupt { place: format!("index {}", dir.display()), why }.into() };
    if stated.is_some() && !dir.join("db").exists() {
        return Err(corrupt(
            "its file is missing. Put the folder back, or restore the store from a backup".to_owned(),
        ));
    }
    if stated.is_none() && dir.exists() {
        // Its creation was interrupted: sled may not open what is there, and nothing
        // was acknowledged yet.
        std::fs::remove_dir_all(&dir).map_err(|error| Error::io("remove", &dir, error))?;
    }
    let index = Index::open(&dir, options)?;
    let found = index.contents()?.map(|contents: Contents| contents.seq);
    match (stated, found) {
        (Some(stated), found) if found.unwrap_or_default() < stated => Err(corrupt(format!(
            "it ends at commit {} and held commit {stated} before: it was rolled back, by a fault of the disk or by restoring a part of the store. Put the whole folder back, or restore the store from a backup",
            found.unwrap_or_default(),
        ))),
        _ => Ok(index),
    }
}

/// Bounds how long a buffered commit goes without a sync.
fn spawn_syncer(shared: Arc<Shared>, interval: Duration) -> Result<JoinHandle<()>> {
    let run = move || {
        let mut stop = shared.stop.lock();
        while !*stop {
            if !shared.stopped.wait_for(&mut stop, interval).timed_out() {
                continue;
            }
            parking_lot::MutexGuard::unlocked(&mut stop, || {
                // A failure poisons the store; whoever calls next hears of it.
                let _ = shared.sync();
            });
        }
    };
    std::thread::Builder::new().name("procstate-sync".to_owned()).spawn(run).map_err(|error| {
        Failure::Storage { place: "the store".to_owned(), action: "start its thread", why: error.to_string() }
            .into()
    })
}

impl Shared {
    /// Calls `call` with the index, unless the store is closed or poisoned.
    fn with_index<T>(&self, call: impl FnOnce(&Index) -> Result<T>) -> Result<T> {
        self.poison.check()?;
        let open = self.open.read();
        let open = open.as_ref().ok_or(Failure::Closed)?;
        call(&open.index)
    }

    fn apply(&self, index: &Index, batch: &Batch) -> Result<Outcome> {
        let _view = self.view.write();
        let seq = self.last_seq.load(Ordering::Acquire) + 1;
        let sealed: Vec<(&Key, Option<Bytes>)> = batch.writes.iter().map(|write| seal(write, seq)).collect();
        let answer = self.poison.on_error(index.transact(|transaction| {
            if let Some(failed) = first_failed(transaction, batch)? {
                return Err(Stop::Refuse(failed));
            }
            write_all(transaction, &sealed, seq)
        }))?;
        if let Err(failed) = answer {
            return Ok(Outcome::Failed(failed));
        }
        if sealed.is_empty() {
            return Ok(Outcome::Committed(seq - 1));
        }
        let bytes: usize =
            sealed.iter().map(|(key, value)| key.bytes().len() + value.as_ref().map_or(0, Bytes::len)).sum();
        self.unsynced_bytes.fetch_add(bytes as u64, Ordering::AcqRel);
        self.last_seq.store(seq, Ordering::Release);
        self.feed.publish(seq, batch);
        Ok(Outcome::Committed(seq))
    }

    fn flush_to(&self, seq: u64) -> Result<()> {
        self.flushed.reach(seq, || {
            let upto = self.last_seq.load(Ordering::Acquire);
            self.with_index(|index| self.poison.on_error(index.flush()))?;
            Ok(upto)
        })
    }

    fn sync_to(&self, seq: u64) -> Result<()> {
        self.synced.reach(seq, || {
            let upto = self.last_seq.load(Ordering::Acquire);
            let bytes = self.unsynced_bytes.load(Ordering::Acquire);
            self.with_index(|index| self.poison.on_error(index.sync()))?;
            self.unsynced_bytes.fetch_sub(bytes, Ordering::AcqRel);
            Ok(upto)
        })
    }

    fn sync(&self) -> Result<()> {
        self.sync_to(self.last_seq.load(Ordering::Acquire))
    }
}

/// A write as the index gets it; `None` deletes.
fn seal(write: &Write, seq: u64) -> (&Key, Option<Bytes>) {
    match write {
        Write::Put { key, payload } => (key, Some(record::seal(key, seq, payload))),
        Write::Delete { key } => (key, None),
    }
}

/// The first precondition that does not hold.
fn first_failed(transaction: &Transaction<'_>, batch: &Batch) -> Result<Option<usize>, Stop<usize>> {
    for (index, precondition) in batch.preconditions.iter().enumerate() {
        let value = transaction.get(precondition.key.bytes())?;
        let record = value.map(|value| open_value(&precondition.key, &value)).transpose()?;
        if !precondition.expect.holds(record.map(|record| record.version)) {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

fn write_all(
    transaction: &Transaction<'_>,
    sealed: &[(&Key, Option<Bytes>)],
    seq: u64,
) -> Result<(), Stop<usize>> {
    for (key, value) in sealed {
        match value {
            Some(value) => transaction.put(key.bytes(), value)?,
            None => transaction.delete(key.bytes())?,
        }
    }
    if !sealed.is_empty() {
        transaction.set_seq(seq);
    }
    Ok(())
}

fn open_value(key: &Key, value: &Bytes) -> Result<Record> {
    let (version, payload) = record::open(key, value).map_err(|damage: Damage| Failure::Corrupt {
        place: key.describe(),
        why: format!("{damage}. Restore the store from a backup; its other records can still be read"),
    })?;
    Ok(Record { key: key.clone(), version, payload })
}

fn open_entry(key: Bytes, value: &Bytes) -> Result<Record> {
    let key = Key::from_bytes(key).ok_or_else(|| Failure::Corrupt {
        place: "the index".to_owned(),
        why: "it holds a record under a key that does not parse".to_owned(),
    })?;
    open_value(&key, value)
}

impl Engine for DirectEngine {
    fn get(&self, key: &Key) -> Result<Option<Record>> {
        let shared = &self.shared;
        let value = shared.with_index(|index| shared.poison.on_error(index.get(key.bytes())))?;
        value.map(|value| open_value(key, &value)).transpose()
    }

    fn scan(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
        let mut damage = Ok(());
        self.shared.with_index(|index| {
            let _view = self.shared.view.read();
            self.shared.poison.on_error(index.scan(&range.start, &range.end, &mut |key, value| {
                match open_entry(key, &value) {
                    Ok(record) => visit(record),
                    Err(error) => {
                        damage = Err(error);
                        ControlFlow::Break(())
                    }
                }
            }))
        })?;
        damage
    }

    fn commit(&self, batch: &Batch, durability: Durability) -> Result<Outcome> {
        batch.check()?;
        let outcome = self.shared.with_index(|index| self.shared.apply(index, batch))?;
        let Outcome::Committed(seq) = outcome else { return Ok(outcome) };
        let is_much = self.shared.unsynced_bytes.load(Ordering::Acquire) > UNSYNCED_BYTES_MAX;
        match durability {
            _ if batch.writes.is_empty() => {}
            Durability::Buffered if !is_much => self.shared.flush_to(seq)?,
            Durability::Buffered | Durability::Synced => self.shared.sync_to(seq)?,
        }
        Ok(outcome)
    }

    fn sync(&self) -> Result<()> {
        self.shared.sync()
    }

    fn last_seq(&self) -> u64 {
        self.shared.last_seq.load(Ordering::Acquire)
    }

    fn feed(&self) -> &Feed {
        &self.shared.feed
    }

    fn stats(&self) -> Result<Stats> {
        let shared = &self.shared;
        shared.with_index(|index| {
            let contents = shared.poison.on_error(index.contents())?.unwrap_or_default();
            let disk_bytes = shared.poison.on_error(index.disk_bytes())?;
            Ok(Stats { engine: "direct", last_seq: contents.seq, records: contents.records, disk_bytes })
        })
    }

    fn close(&self) -> Result<()> {
        let shared = &self.shared;
        *shared.stop.lock() = true;
        shared.stopped.notify_all();
        if let Some(syncer) = self.syncer.lock().take()
            && syncer.join().is_err()
        {
            tracing::error!("the sync thread of the store panicked");
        }
        // Waits for every call that is under way.
        let open = shared.open.write().take();
        shared.feed.close();
        let Some(Open { index, mut folder }) = open else { return Ok(()) };
        let synced = shared.poison.check().and_then(|()| index.sync());
        index.close()?;
        synced?;
        folder.set_index_seq(self.last_seq())
    }
}
