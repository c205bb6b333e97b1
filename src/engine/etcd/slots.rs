//! Slots: each commit in flight compares and writes one, which reveals whether the commit took
//! effect.
//!
//! A slot has no other writer. While it still has the revision that the commit expects, the commit
//! has not taken effect; once its revision has changed, the commit has, at the new revision. All
//! slots of an opening are attached to one lease and expire with it. etcd refuses a commit that names
//! an expired lease, so a commit never mistakes an expired slot for one that was never written.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::keys::Keys;
use crate::engine::etcd::transport::cluster::Cluster;
use crate::engine::etcd::transport::trouble::Trouble;
use crate::proto::etcd::etcdserverpb as pb;

/// How long slots outlive the last keep-alive of their program: many times longer than a commit may
/// be in doubt.
const LEASE_TIME: Duration = Duration::from_secs(900);

/// How often the lease is renewed.
const KEEP_INTERVAL: Duration = Duration::from_secs(200);

pub(super) struct Slots {
    cluster: Arc<Cluster>,
    keys: Keys,
    opening: String,
    free: Mutex<Free>,
    lease: tokio::sync::Mutex<Option<i64>>,
}

#[derive(Default)]
struct Free {
    slots: Vec<Slot>,
    /// The number of slots created so far, which names the next one.
    created: u64,
}

/// A slot in use by one commit.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) key: Bytes,
    pub(super) lease: i64,
    /// The revision that last wrote it; 0 for a new slot.
    pub(super) revision: i64,
}

impl Slots {
    pub(super) fn new(cluster: Arc<Cluster>, keys: &Keys, opening: &str) -> Self {
        Self {
            cluster,
            keys: keys.clone(),
            opening: opening.to_owned(),
            free: Mutex::default(),
            lease: tokio::sync::Mutex::default(),
        }
    }

    /// Takes a free slot, or creates one.
    pub(super) async fn take(&self) -> Result<Slot, Trouble> {
        let lease = self.lease().await?;
        let mut free = self.free.lock();
        while let Some(slot) = free.slots.pop() {
            if slot.lease == lease {
                return Ok(slot);
            }
        }
        free.created += 1;
        let key = self.keys.own(&format!("slot/{}/{}", self.opening, free.created));
        Ok(Slot { key, lease, revision: 0 })
    }

    /// Puts back a slot whose last revision is known. A slot of a commit in doubt must not be reused.
    pub(super) fn give_back(&self, slot: Slot, revision: i64) {
        self.free.lock().slots.push(Slot { revision, ..slot });
    }

    /// Puts back a slot that the commit did not write.
    pub(super) fn give_back_unused(&self, slot: Slot) {
        self.free.lock().slots.push(slot);
    }

    /// Forgets a lease that has expired, and its slots.
    pub(super) async fn forget(&self, lease: i64) {
        let mut current = self.lease.lock().await;
        if *current == Some(lease) {
            *current = None;
        }
    }

    async fn lease(&self) -> Result<i64, Trouble> {
        let mut current = self.lease.lock().await;
        if let Some(lease) = *current {
            return Ok(lease);
        }
        let ttl = LEASE_TIME.as_secs().cast_signed();
        let grant = pb::LeaseGrantRequest { ttl, id: 0 };
        let lease = self.cluster.grant(grant).await?.id;
        *current = Some(lease);
        tokio::spawn(keep_alive(Arc::downgrade(&self.cluster), lease));
        Ok(lease)
    }
}

/// Keeps the lease alive while its store is open. If it expires nevertheless, the next commit
/// notices and uses a new one.
async fn keep_alive(cluster: std::sync::Weak<Cluster>, lease: i64) {
    loop {
        tokio::time::sleep(KEEP_INTERVAL).await;
        let Some(cluster) = cluster.upgrade() else { return };
        if let Ok(false) = cluster.keep_alive(lease).await {
            return;
        }
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").finish_non_exhaustive()
    }
}
