//! Liveness across machines: an owner is alive while its lease has not expired and its last write is
//! recent enough. No two clocks are compared: etcd measures leases, a run measures its own lease from
//! before the request, and a waiting program measures from when it saw the run's last write.
//!
//! As in the other engines, the writes of a run are its heartbeats. At intervals, a write also
//! renews the lease, which outlasts the time that the run relies on by a margin. Leases have whole
//! seconds, and etcd ends an expired one with a delay. To avoid that delay, a run is also dead if
//! its last write was seen a timeout and a margin ago: the run relies on no more than the timeout
//! since before that write, and if it had written again, the takeover would find its status changed.
//! The liveness of this program's own runs is in memory, and exact.

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

/// The minimum time between two renewals of a lease.
const RENEW_AFTER: Duration = Duration::from_millis(400);

/// Two clocks may differ in speed by one part in this many.
const DRIFT: u32 = 200;

/// How long a heartbeat may wait for the renewal of its lease.
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
            let granted = core.cluster.grant(grant).await?;
            core.leases.lock().insert(granted.id);
            Ok::<_, Trouble>(granted)
        })?;
        let granted = granted.map_err(|trouble| self.client.core.cluster.error(trouble))?;
        // etcd may grant more time than requested, but not less.
        let lease = RunLease {
            client: self.client.clone(),
            id: granted.id,
            ttl,
            renewed: AtomicU64::new(nanos(now)),
            until: AtomicU64::new(nanos(relied_on(now, ttl))),
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
        // A lease that is not revoked expires.
        let _ = self.client.spawn(async move {
            let _ = core.cluster.revoke(lease).await;
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
        let left = self.client.wait(|core| async move { core.cluster.time_to_live(lease).await })?;
        let left = left.map_err(|trouble| self.client.core.cluster.error(trouble))?;
        let by_lease = u64::try_from(left).ok().map(check_after);
        let lives = by_lease.and_then(|by_lease| Some(by_lease.min(self.silence_left(owner, status)?)));
        if lives.is_none() {
            self.client.core.heartbeats.forget(&owner.process_name);
        }
        Ok(lives)
    }
}

impl EtcdLiveness {
    /// Returns how much longer an owner may go without a write; `None` if that time has passed.
    fn silence_left(&self, owner: &Owner, status: Option<u64>) -> Option<Duration> {
        let known = time::period(&owner.heartbeat_timeout).zip(status);
        // Without the owner's timeout and status, only the lease counts.
        let Some((timeout, status)) = known else { return Some(Duration::MAX) };
        let silence = self.client.core.heartbeats.silence(&owner.process_name, status);
        let left = with_margin(timeout).checked_sub(silence).filter(|left| !left.is_zero())?;
        Some(left.saturating_add(Duration::from_millis(fastrand::u64(10..150))))
    }
}

/// Returns how long to wait before a lease with this many whole seconds left is checked again. etcd
/// takes up to half a second to end an expired lease. The jitter spreads the requests of programs
/// that wait for the same owner.
fn check_after(seconds: u64) -> Duration {
    let jitter = Duration::from_millis(fastrand::u64(100..300));
    Duration::from_secs(seconds) + jitter
}

/// Returns the length of a lease in seconds with which a run can rely on `timeout` after every write,
/// although not every write renews the lease.
fn ttl(timeout: Duration) -> i64 {
    let needed = with_margin(timeout.saturating_add(RENEW_AFTER));
    let seconds = needed.as_secs() + u64::from(needed.subsec_nanos() > 0);
    i64::try_from(seconds).unwrap_or(i64::MAX).min(9_000_000_000)
}

/// Returns a duration that, measured on this clock, is at least `time` on any other.
fn with_margin(time: Duration) -> Duration {
    time.saturating_add(time / (DRIFT - 1))
}

/// Returns until when a run can rely on a lease that it requested at `requested`.
fn relied_on(requested: Duration, ttl: i64) -> Duration {
    let length = Duration::from_secs(ttl.unsigned_abs());
    requested.saturating_add(length.saturating_sub(length / DRIFT))
}

/// The lease of one run.
#[derive(Debug)]
struct RunLease {
    client: Arc<Client>,
    id: i64,
    ttl: i64,
    /// When it was renewed, and until when the run relies on it, on the store's monotonic clock.
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
            .wait(|core| async move { tokio::time::timeout(RENEW_TIME_MAX, renew(&core, id, ttl)).await });
        match kept {
            Ok(Ok(Ok(()))) => {
                self.renewed.store(nanos(now), Ordering::Relaxed);
                self.until.fetch_max(nanos(relied_on(now, ttl)), Ordering::Release);
            }
            // The run relies on the lease no longer than before.
            failed => tracing::debug!(?failed, "a lease was not renewed"),
        }
    }

    fn until(&self) -> Duration {
        Duration::from_nanos(self.until.load(Ordering::Acquire))
    }
}

/// Renews a lease, and grants it again if it has expired. That is safe even if another program has
/// taken over meanwhile: the fence then refuses the run's writes.
async fn renew(core: &Arc<Core>, id: i64, ttl: i64) -> Result<(), Trouble> {
    let kept = core.cluster.keep_alive(id).await?;
    if !kept {
        let grant = pb::LeaseGrantRequest { ttl, id };
        core.cluster.grant(grant).await?;
    }
    Ok(())
}

/// Describes the program and the machine for users.
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
    fn a_run_relies_on_less_than_its_lease_and_at_least_its_timeout() {
        for millis in [1, 200, 1000, 1500, 30_000, 86_400_000, u64::MAX >> 20] {
            let timeout = Duration::from_millis(millis);
            let ttl = ttl(timeout);
            let lease = Duration::from_secs(ttl.unsigned_abs());
            let relied = relied_on(Duration::ZERO, ttl);
            assert!(relied < lease, "{timeout:?}: {relied:?} of {lease:?}");
            // The last write before the lease is due for renewal still has the whole timeout.
            let needed = timeout + RENEW_AFTER;
            assert!(relied >= needed || ttl == 9_000_000_000, "{timeout:?}: {relied:?}");
            assert!(lease <= timeout + timeout / 100 + Duration::from_millis(1500), "{timeout:?}: {lease:?}");
        }
    }
}
