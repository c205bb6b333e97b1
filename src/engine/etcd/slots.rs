//! Slots: each commit in flight compares and writes one, and so its fate can be read.
//!
//! Nobody else writes a slot. As long as its revision is the one that is expected, the commit
//! has not been made; once it is another one, it has, and by that revision. All slots of an
//! opening hang on one lease, and go with it: a commit that names the lease when it is gone
//! is refused, so that a slot is never absent for two reasons.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::keys::Keys;
use crate::engine::etcd::transport::line::Line;
use crate::engine::etcd::transport::trouble::Trouble;
use crate::proto::etcd::etcdserverpb as pb;

/// How long slots stay after the last sign of their program. Many times longer than a commit
/// may be in doubt.
const LEASE_TIME: Duration = Duration::from_secs(900);

/// How often they are kept alive.
const KEEP_INTERVAL: Duration = Duration::from_secs(200);

pub(super) struct Slots {
    line: Arc<Line>,
    keys: Keys,
    opening: String,
    free: Mutex<Free>,
    lease: tokio::sync::Mutex<Option<i64>>,
}

#[derive(Default)]
struct Free {
    slots: Vec<Slot>,
    /// How many there are, for their names.
    made: u64,
}

/// A slot that one commit has.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) key: Bytes,
    pub(super) lease: i64,
    /// What wrote it last; 0 for a new one.
    pub(super) revision: i64,
}

impl Slots {
    pub(super) fn new(line: Arc<Line>, keys: &Keys, opening: &str) -> Self {
        Self {
            line,
            keys: keys.clone(),
            opening: opening.to_owned(),
            free: Mutex::default(),
            lease: tokio::sync::Mutex::default(),
        }
    }

    /// One for a commit.
    pub(super) async fn take(&self) -> Result<Slot, Trouble> {
        let lease = self.lease().await?;
        let mut free = self.free.lock();
        while let Some(slot) = free.slots.pop() {
            if slot.lease == lease {
                return Ok(slot);
            }
        }
        free.made += 1;
        let key = self.keys.own(&format!("slot/{}/{}", self.opening, free.made));
        Ok(Slot { key, lease, revision: 0 })
    }

    /// For the next commit. One of which the fate is not known is let go of instead.
    pub(super) fn give_back(&self, slot: Slot, revision: i64) {
        self.free.lock().slots.push(Slot { revision, ..slot });
    }

    /// For the next commit: nothing was done with it.
    pub(super) fn give_back_unused(&self, slot: Slot) {
        self.free.lock().slots.push(slot);
    }

    /// The lease has run out, and the slots with it.
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
        let lease = self.line.grant(grant).await?.id;
        *current = Some(lease);
        tokio::spawn(keep(Arc::downgrade(&self.line), lease));
        Ok(lease)
    }
}

/// Keeps the lease alive for as long as it is used. A commit finds out if it has run out.
async fn keep(line: std::sync::Weak<Line>, lease: i64) {
    loop {
        tokio::time::sleep(KEEP_INTERVAL).await;
        let Some(line) = line.upgrade() else { return };
        if let Ok(false) = line.keep_alive(lease).await {
            return;
        }
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").finish_non_exhaustive()
    }
}
