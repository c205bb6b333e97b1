//! The peers, with an adapter each, and the same records and work for all.

mod bare;
mod blob;
mod fjall;
mod kv;
mod lmdb;
mod locks;
mod procstate;
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
mod sled;
mod sqlite;

use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::records::{Found, Step};

/// What an acknowledged update survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The death of the program; a power loss leaves a consistent older state.
    ProgramDeath,
    /// A power loss.
    PowerLoss,
}

impl Class {
    pub const ALL: [Self; 2] = [Self::ProgramDeath, Self::PowerLoss];

    pub fn title(self) -> &'static str {
        match self {
            Self::ProgramDeath => "survives program death",
            Self::PowerLoss => "survives power loss",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Peer {
    Procstate,
    ProcstateInBackground,
    ProcstateUndecoded,
    Sqlite,
    Lmdb,
    LmdbNosync,
    Redb,
    Fjall,
    #[cfg(feature = "rocksdb")]
    Rocksdb,
    Sled,
    Blob,
    Bare,
}

/// An open store. Everything in it makes the promise of its class.
pub trait Store: Send + Sync {
    /// Creates processes with items, without an owner, durably.
    fn populate(&self, processes: usize, items: usize) -> Result<()>;

    /// Access to one process, for one thread.
    fn session(&self, process: usize) -> Result<Box<dyn Session + '_>>;

    fn close(self: Box<Self>) -> Result<()>;
}

pub trait Session: Send {
    /// Takes over the process from any owner, to update its first `items` items; returns the name
    /// of the new owner.
    fn claim(&mut self, items: usize) -> Result<String>;

    /// Changes item and status in one transaction; fails if the process has another owner.
    fn update(&mut self, step: Step) -> Result<()>;

    /// Adds a new item, and records the change in the settings.
    fn register(&mut self, number: u64) -> Result<()>;

    /// Claims the process by compare-and-swap and hands it back: two commits.
    fn claim_and_handoff(&mut self) -> Result<()>;

    /// Reads one item; returns whether it exists.
    fn read(&self, item: usize) -> Result<bool>;

    /// Reads all items; returns their number.
    fn scan(&self) -> Result<usize>;

    /// Returns what is stored of the first `items` items.
    fn find(&self, items: usize) -> Result<Found>;
}

impl Peer {
    pub fn name(self) -> &'static str {
        match self {
            Self::Procstate => "procstate",
            Self::ProcstateInBackground => "procstate, checked later",
            Self::ProcstateUndecoded => "procstate, not decoded",
            Self::Sqlite => "SQLite",
            Self::Lmdb => "LMDB",
            Self::LmdbNosync => "LMDB, no sync",
            Self::Redb => "redb",
            Self::Fjall => "fjall",
            #[cfg(feature = "rocksdb")]
            Self::Rocksdb => "RocksDB",
            Self::Sled => "sled",
            Self::Blob => "one blob in sled",
            Self::Bare => "bare file",
        }
    }

    /// Reports whether it keeps the promise of the class, or is compared in it nevertheless.
    pub fn is_in(self, class: Class) -> bool {
        match self {
            Self::LmdbNosync | Self::Blob => class == Class::ProgramDeath,
            Self::Redb => class == Class::PowerLoss,
            _ => true,
        }
    }

    /// Returns the peer that makes its stores: opening and reading do not change one.
    pub fn maker(self) -> Self {
        match self {
            Self::ProcstateInBackground | Self::ProcstateUndecoded => Self::Procstate,
            peer => peer,
        }
    }

    /// Returns the weakest class that it promises, for when the class does not matter.
    pub fn weakest_class(self) -> Class {
        if self.is_in(Class::ProgramDeath) { Class::ProgramDeath } else { Class::PowerLoss }
    }

    /// Reports whether it does the same work under the same promise.
    pub fn is_rival(self) -> bool {
        self.remark().is_none() && self != Self::Procstate
    }

    /// Returns why it is not a rival.
    pub fn remark(self) -> Option<&'static str> {
        match self {
            Self::ProcstateInBackground => Some(
                "procstate, verified while it is open (`Verify::InBackground`): reads are served at once, and commits wait",
            ),
            Self::ProcstateUndecoded => Some(
                "procstate, whose items are looked at as they are stored (`ProcessHandle::items`), as those of all peers are",
            ),
            Self::LmdbNosync => Some("promises less: a power loss may corrupt it"),
            Self::Blob => Some("one value per process, rewritten by each update"),
            Self::Bare => Some("the physical limit, no store"),
            _ => None,
        }
    }

    pub fn open(self, folder: &Path, class: Class) -> Result<Box<dyn Store>> {
        match self {
            Self::Procstate => procstate::open(folder, class),
            Self::ProcstateInBackground => procstate::open_in_background(folder, class),
            Self::ProcstateUndecoded => procstate::open_undecoded(folder, class),
            Self::Sqlite => sqlite::open(folder, class),
            Self::Lmdb => lmdb::open(folder, class),
            Self::LmdbNosync => lmdb::open_without_sync(folder),
            Self::Redb => redb::open(folder),
            Self::Fjall => fjall::open(folder, class),
            #[cfg(feature = "rocksdb")]
            Self::Rocksdb => rocksdb::open(folder, class),
            Self::Sled => sled::open(folder, class),
            Self::Blob => blob::open(folder),
            Self::Bare => bare::open(folder, class),
        }
    }
}

/// Returns a unique owner name, as long as procstate's.
fn instance() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("instance-{:010}-{count:016}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::counts;

    /// Creates each peer with items, in each of its classes, with two processes of three items.
    fn stores() -> impl Iterator<Item = (tempfile::TempDir, Peer, Class)> {
        let peers = Peer::value_variants().iter().filter(|peer| **peer != Peer::Bare);
        let kinds = peers.flat_map(|peer| Class::ALL.map(|class| (*peer, class)));
        kinds.filter(|(peer, class)| peer.is_in(*class)).map(|(peer, class)| {
            let folder = tempfile::tempdir().unwrap();
            let store = peer.open(folder.path(), class).unwrap();
            store.populate(2, 3).unwrap();
            store.close().unwrap();
            (folder, peer, class)
        })
    }

    #[test]
    fn updates_are_in_item_and_status_of_their_process_alone() {
        for (folder, peer, class) in stores() {
            let store = peer.open(folder.path(), class).unwrap();
            let mut session = store.session(0).unwrap();
            let owner = session.claim(3).unwrap();
            for number in 1..=4 {
                session.update(Step::new(number, 3)).unwrap();
            }
            let expected = Found { owner, total: 4, of_items: counts(4, 3) };
            assert_eq!(session.find(3).unwrap(), expected, "{peer:?} {class:?}");
            let other = store.session(1).unwrap().find(3).unwrap();
            assert_eq!((other.owner.as_str(), other.total, other.of_items), ("", 0, vec![0; 3]), "{peer:?}");
        }
    }

    #[test]
    fn items_that_are_registered_are_found_when_the_store_is_opened_again() {
        for (folder, peer, class) in stores() {
            let store = peer.open(folder.path(), class).unwrap();
            let mut session = store.session(0).unwrap();
            session.register(1).unwrap();
            session.register(2).unwrap();
            drop(session);
            store.close().unwrap();
            let store = peer.open(folder.path(), class).unwrap();
            let session = store.session(0).unwrap();
            assert_eq!(session.scan().unwrap(), 5, "{peer:?} {class:?}");
            assert_eq!((session.read(2).unwrap(), session.read(3).unwrap()), (true, false), "{peer:?}");
        }
    }

    #[test]
    fn a_process_that_was_handed_back_can_be_claimed() {
        for (folder, peer, class) in stores() {
            let store = peer.open(folder.path(), class).unwrap();
            store.session(0).unwrap().claim_and_handoff().unwrap();
            let mut session = store.session(0).unwrap();
            let owner = session.claim(3).unwrap();
            session.update(Step::new(1, 3)).unwrap();
            assert_eq!(session.find(3).unwrap().owner, owner, "{peer:?} {class:?}");
        }
    }
}
