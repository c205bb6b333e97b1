//! Liveness across machines: an owner is alive while its lease has not expired, and while it was not
//! silent for too long. Nobody compares clocks: etcd measures leases, a run measures its own from
//! before its request, and a waiting program measures from when it saw the run's last write.
//!
//! As elsewhere, the writes of a run are its heartbeats. At intervals, it renews its lease with one;
//! the lease outlasts what the run counts on by a margin. Leases have whole seconds, and etcd takes
//! its time to end them. To avoid that delay, a run is also dead if its last write was seen a timeout
//! and a margin ago: the run counts on no more than the timeout from before that write, and if it
//! had written since, the takeover would find its status changed. For the runs of this program, its
//! own memory decides, which is exact.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::client::{Client, Core};
use crate::engine::etcd::transport::trouble::Trouble;
use crate::engine::liveness::{Lease, nanos};
use crate::engine::{InProgram, Liveness, Pulse};
use crate::error::Result;
use crate::model::time;
use crate::proto::etcd::etcdserverpb as pb;
use crate::proto::record::Owner;

/// How long after it was renewed a lease is not renewed again.
const RENEW_AFTER: Duration = Duration::from_millis(400);

/// By what part of it a clock here may run slower than one there.
const DRIFT: u32 = 200;

/// How long a sign of life waits to be heard.
const RENEW_TIME_MAX: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(crate) struct EtcdLiveness {
    client: Arc<Client>,
    runs: InProgram,
    whereabouts: String,
}

impl EtcdLiveness {
    pub(super) fn new(client: Arc<Client>) -> Self {
        let runs = InProgram::of(client.core.opening.clone());
        Self { client, runs, whereabouts: whereabouts() }
    }
}

impl Liveness for EtcdLiveness {
    fn opening(&self) -> &str {
        self.runs.opening()
    }

    fn whereabouts(&self) -> &str {
        &self.whereabouts
    }

    fn begin(&self, now: Duration, timeout: Duration) -> Result<Arc<Pulse>> {
        let ttl = ttl(timeout);
        let granted = self.client.wait(|core| async move {
            let grant = pb::LeaseGrantRequest { ttl, id: 0 };
            let granted = core.line.grant(grant).await?;
            core.leases.lock().insert(granted.id);
            Ok::<_, Trouble>(granted)
        })?;
        let granted = granted.map_err(|trouble| self.client.core.line.error(trouble))?;
        // Never less than was asked for.
        let lease = RunLease {
            client: self.client.clone(),
            id: granted.id,
            ttl,
            renewed: AtomicU64::new(nanos(now)),
            until: AtomicU64::new(nanos(counted_on(now, ttl))),
        };
        let claim = granted.id.cast_unsigned();
        Ok(self.runs.enter(Pulse::new(claim, timeout, now).on_lease(Box::new(lease))))
    }

    fn end(&self, claim: u64) {
        self.runs.end(claim);
        let (core, lease) = (self.client.core.clone(), claim.cast_signed());
        if !core.leases.lock().remove(&lease) {
            return;
        }
        // If it comes to nothing, it runs out by itself.
        let _ = self.client.spawn(async move {
            let _ = core.line.revoke(lease).await;
        });
    }

    fn lives_for(&self, owner: &Owner, status: Option<u64>, now: Duration) -> Result<Option<Duration>> {
        let lease = owner.claim.cast_signed();
        if owner.opening == self.opening() {
            return self.runs.lives_for(owner, status, now);
        }
        if owner.opening.is_empty() || lease <= 0 {
            return Ok(None);
        }
        let left = self.client.wait(|core| async move { core.line.time_to_live(lease).await })?;
        let left = left.map_err(|trouble| self.client.core.line.error(trouble))?;
        let by_lease = u64::try_from(left).ok().map(look_again);
        let lives = by_lease.and_then(|by_lease| Some(by_lease.min(self.silent_for(owner, status)?)));
        if lives.is_none() {
            self.client.core.signs.forget(&owner.process_name);
        }
        Ok(lives)
    }
}

impl EtcdLiveness {
    /// Returns how much longer an owner may be silent; `None` if it was silent for too long.
    fn silent_for(&self, owner: &Owner, status: Option<u64>) -> Option<Duration> {
        let known = time::period(&owner.heartbeat_timeout).zip(status);
        // The owner record does not contain its timeout.
        let Some((timeout, status)) = known else { return Some(Duration::MAX) };
        let silence = self.client.core.signs.silence(&owner.process_name, status);
        let left = with_margin(timeout).checked_sub(silence).filter(|left| !left.is_zero())?;
        Some(left.saturating_add(Duration::from_millis(fastrand::u64(10..150))))
    }
}

/// When to look again at a lease that is said to have so many whole seconds left. etcd takes
/// up to half a second to end one. Those who wait for the same owner do not all come at once.
fn look_again(seconds: u64) -> Duration {
    let jitter = Duration::from_millis(fastrand::u64(100..300));
    Duration::from_secs(seconds) + jitter
}

/// How long a lease is to last, in seconds, so that a run may count on `timeout` from any
/// write on, although not each of them renews it.
fn ttl(timeout: Duration) -> i64 {
    let needed = with_margin(timeout.saturating_add(RENEW_AFTER));
    let seconds = needed.as_secs() + u64::from(needed.subsec_nanos() > 0);
    i64::try_from(seconds).unwrap_or(i64::MAX).min(9_000_000_000)
}

/// Returns a time that is on this clock at least `time` on any other.
fn with_margin(time: Duration) -> Duration {
    time.saturating_add(time / (DRIFT - 1))
}

/// Until when a lease is good for sure that was asked for at `asked`.
fn counted_on(asked: Duration, ttl: i64) -> Duration {
    let length = Duration::from_secs(ttl.unsigned_abs());
    asked.saturating_add(length.saturating_sub(length / DRIFT))
}

/// The lease of one run.
#[derive(Debug)]
struct RunLease {
    client: Arc<Client>,
    id: i64,
    ttl: i64,
    /// By the store's monotonic clock, as is what it is counted on until.
    renewed: AtomicU64,
    until: AtomicU64,
}

impl Lease for RunLease {
    fn renew(&self, now: Duration) {
        let renewed = Duration::from_nanos(self.renewed.load(Ordering::Relaxed));
        if now.saturating_sub(renewed) < RENEW_AFTER {
            return;
        }
        let (id, ttl) = (self.id, self.ttl);
        let kept = self
            .client
            .wait(|core| async move { tokio::time::timeout(RENEW_TIME_MAX, keep(&core, id, ttl)).await });
        match kept {
            Ok(Ok(Ok(()))) => {
                self.renewed.store(nanos(now), Ordering::Relaxed);
                self.until.fetch_max(nanos(counted_on(now, ttl)), Ordering::Release);
            }
            // The run counts on it no longer than before.
            failed => tracing::debug!(?failed, "a lease was not renewed"),
        }
    }

    fn until(&self) -> Duration {
        Duration::from_nanos(self.until.load(Ordering::Acquire))
    }
}

/// Renews a lease. One that has run out is there again if nobody took the process meanwhile:
/// the fence tells.
async fn keep(core: &Arc<Core>, id: i64, ttl: i64) -> Result<(), Trouble> {
    let kept = core.line.keep_alive(id).await?;
    if !kept {
        let grant = pb::LeaseGrantRequest { ttl, id };
        core.line.grant(grant).await?;
    }
    Ok(())
}

/// The machine and the program, for people.
fn whereabouts() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let program = std::env::current_exe().ok();
    let program = program.as_deref().and_then(std::path::Path::file_name);
    let program = program.map_or_else(|| "a program".into(), |name| name.to_string_lossy().into_owned());
    format!("{program} (pid {}) on {host}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_counts_on_less_than_its_lease_and_no_less_than_its_timeout() {
        for millis in [1, 200, 1000, 1500, 30_000, 86_400_000, u64::MAX >> 20] {
            let timeout = Duration::from_millis(millis);
            let ttl = ttl(timeout);
            let lease = Duration::from_secs(ttl.unsigned_abs());
            let counted = counted_on(Duration::ZERO, ttl);
            assert!(counted < lease, "{timeout:?}: {counted:?} of {lease:?}");
            // A write just before the lease would be renewed.
            let needed = timeout + RENEW_AFTER;
            assert!(counted >= needed || ttl == 9_000_000_000, "{timeout:?}: {counted:?}");
            assert!(lease <= timeout + timeout / 100 + Duration::from_millis(1500), "{timeout:?}: {lease:?}");
        }
    }
}
