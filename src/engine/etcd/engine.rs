//! The implementation of [`Engine`].

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::client::Client;
use super::commit::{large, pending};
use super::liveness::EtcdLiveness;
use super::options::EtcdOptions;
use super::watch;
use crate::archive::{self, Target};
use crate::disk::RealDisk;
use crate::engine::{Backup, Batch, Durability, Engine, Feed, Outcome, Stats, Visitor};
use crate::error::{Error, Result};
use crate::record::{self, Key, KeyRange, Position, Record};

/// A store in etcd.
#[derive(Debug)]
pub(crate) struct EtcdEngine {
    pub(super) client: Arc<Client>,
    feed: Arc<Feed>,
    /// Whether the feed follows etcd's watch.
    is_following: Mutex<bool>,
    /// How long progress may wait to be superseded.
    coalesces: Option<Duration>,
}

impl EtcdEngine {
    /// Finds the store, or creates it.
    pub(crate) fn connect(options: &EtcdOptions, sync_interval: Duration) -> Result<(Self, EtcdLiveness)> {
        let client = Arc::new(Client::connect(options)?);
        let core = client.core.clone();
        client.spawn(async move {
            // If this fails, the next program that connects does it.
            let _ = pending::sweep(&core).await;
        })?;
        let liveness = EtcdLiveness::new(client.clone());
        let feed = Arc::new(Feed::default());
        let coalesces = options.coalesce.then_some(sync_interval);
        Ok((Self { client, feed, is_following: Mutex::new(false), coalesces }, liveness))
    }

    /// Starts to announce every commit from now on. If that fails, the feed ends.
    fn follow(&self) {
        let mut is_following = self.is_following.lock();
        if std::mem::replace(&mut *is_following, true) {
            return;
        }
        let revision = self.client.wait(|core| async move { core.newest().await });
        let (core, feed) = (Arc::downgrade(&self.client.core), Arc::downgrade(&self.feed));
        let started = match revision {
            Ok(Ok(revision)) => self.client.spawn(watch::follow(core, feed, revision)),
            Ok(Err(trouble)) => Err(self.client.core.cluster.error(trouble)),
            Err(error) => Err(error),
        };
        if let Err(error) = started {
            tracing::warn!(%error, "could not watch for commits");
            self.feed.close();
        }
    }
}

impl Engine for EtcdEngine {
    fn get(&self, key: &Key) -> Result<Option<Record>> {
        self.client.get(key)
    }

    fn scan(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
        self.client.scan(range, usize::MAX, 0, visit)
    }

    fn scan_first(&self, range: &KeyRange, max: usize, visit: &mut Visitor<'_>) -> Result<()> {
        self.client.scan(range, max, 0, visit)
    }

    fn count(&self, range: &KeyRange) -> Result<u64> {
        self.client.count(range)
    }

    /// Ignores the durability: etcd acknowledges a commit once a majority has it on disk.
    fn commit(&self, batch: Batch, _: Durability) -> Result<Outcome> {
        batch.check()?;
        if batch.writes.is_empty() && batch.preconditions.is_empty() {
            self.client.check_open()?;
            return Ok(Outcome::Committed(self.client.core.identity.seq(self.client.core.seen())));
        }
        self.client.wait(|core| large::commit(core, batch))?
    }

    fn is_networked(&self) -> bool {
        true
    }

    #[cfg(feature = "tokio")]
    fn make(&self, call: Box<dyn FnOnce() + Send>) -> Result<()> {
        self.client.make(call)
    }

    fn preconditions_max(&self) -> usize {
        // A record that came from an archive and was not written since needs two compares.
        self.client.core.limits.preconditions() / 2
    }

    fn coalesces(&self) -> Option<Duration> {
        self.coalesces
    }

    fn sync(&self) -> Result<()> {
        self.client.check_open()
    }

    fn last_seq(&self) -> u64 {
        let seen = || self.client.core.identity.seq(self.client.core.seen());
        self.newest_seq().unwrap_or_else(|_| seen())
    }

    fn newest_seq(&self) -> Result<u64> {
        Ok(self.client.core.identity.seq(self.client.newest()?))
    }

    /// Starts the watch on the first call, because only some programs need the feed.
    fn feed(&self) -> &Feed {
        self.follow();
        &self.feed
    }

    fn backup(&self, target: &Target) -> Result<Backup> {
        let identity = self.client.core.identity;
        let revision = self.client.newest()?;
        let position = Position::new(identity.seq(revision), None);
        let mut writer =
            archive::Writer::create(Arc::new(RealDisk::PRIVATE), target.clone(), identity.id, position)?;
        let mut added = Ok(());
        self.client.scan(&KeyRange::all(), usize::MAX, revision, &mut |record| {
            let Record { key, version, payload } = record.to_record();
            added = writer.add(key.bytes(), &record::seal(&key, version, &payload));
            if added.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        added?;
        Ok(writer.finish()?.into())
    }

    fn browse_log(&self, _: u64, _: &mut crate::engine::wal::Visitor<'_>) -> Result<()> {
        Err(Error::argument("etcd keeps the log of this store and does not provide access to it"))
    }

    fn stats(&self) -> Result<Stats> {
        let records = self.count(&KeyRange::all())?;
        let last_seq = self.newest_seq()?;
        let status = self.client.wait(|core| async move { core.cluster.status().await })?;
        // The other numbers are useful without the size.
        let disk_bytes = status.map_or(0, |status| status.db_size.unsigned_abs());
        Ok(Stats { engine: "etcd", records, last_seq, synced_seq: last_seq, disk_bytes, ..Stats::default() })
    }

    /// Closes the connections; the store remains in etcd.
    fn close(&self) -> Result<()> {
        self.client.close();
        self.feed.close();
        Ok(())
    }
}
