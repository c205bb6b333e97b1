//! Restores a store from an archive: writes the records first, which do not count as a store yet, and
//! then, in one transaction, the `store` key that makes them one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::engine::etcd::client::{runtime, wait};
use crate::engine::etcd::keys::{Identity, Keys};
use crate::engine::etcd::limits::Limits;
use crate::engine::etcd::options::EtcdOptions;
use crate::engine::etcd::transport::cluster::Cluster;
use crate::engine::etcd::transport::trouble::Trouble;
use crate::engine::etcd::transport::txn;
use crate::error::{Error, Failure, Result};
use crate::proto::etcd::etcdserverpb as pb;
use crate::record::KeyRange;

/// The key that marks a restore in progress. Its lease is long enough for a slow program, and ends
/// the claim of a dead one.
const RESTORING: &str = "restoring";
const LEASE_TIME: Duration = Duration::from_secs(60);
const KEEP_INTERVAL: Duration = Duration::from_secs(10);

/// Creates the store from the records of an archive that ends with the commit `seq`. Returns the
/// number of records.
pub(crate) fn restore(
    options: &EtcdOptions,
    seq: u64,
    records: impl Iterator<Item = Result<(Bytes, Bytes)>>,
) -> Result<u64> {
    let runtime =
        runtime().map_err(|error| Error::io("start the threads that connect to", options.place(), error))?;
    let cluster = {
        let _entered = runtime.enter();
        Arc::new(Cluster::new(options)?)
    };
    let keys = Keys::new(&options.prefix);
    let identity = Identity::encode(Uuid::now_v7().into_bytes(), seq, &keys.own("store"));
    let limits = Limits::default();
    let mut target = Target { cluster, keys, limits, guard: None, batch: Vec::new(), bytes: 0, identity };
    let restored = target.fill(&runtime, records);
    runtime.shutdown_background();
    restored
}

/// A store that is being restored.
struct Target {
    cluster: Arc<Cluster>,
    keys: Keys,
    limits: Limits,
    guard: Option<Arc<Guard>>,
    batch: Vec<pb::RequestOp>,
    bytes: usize,
    /// The value of the `store` key.
    identity: Bytes,
}

/// The claim on the prefix, which excludes other restores.
struct Guard {
    key: Bytes,
    revision: i64,
    lease: i64,
    renewed: Mutex<Instant>,
}

impl Target {
    fn fill(
        &mut self,
        runtime: &Runtime,
        records: impl Iterator<Item = Result<(Bytes, Bytes)>>,
    ) -> Result<u64> {
        let (cluster, keys) = (self.cluster.clone(), self.keys.clone());
        let begun = self.call(runtime, async move { begin(&cluster, &keys).await })?;
        self.guard = Some(Arc::new(begun.map_err(|why| occupied(&self.cluster.place, why))?));
        let mut count = 0;
        for record in records {
            let (key, value) = record?;
            let size = key.len() + value.len() + 64;
            if self.batch.len() + 2 > self.limits.operations() || self.bytes + size > self.limits.bytes() {
                self.write(runtime)?;
            }
            self.batch.push(txn::put(self.keys.record(&key), value, 0));
            self.bytes += size;
            count += 1;
        }
        self.write(runtime)?;
        let identity = txn::put(self.keys.own("store"), self.identity.clone(), 0);
        self.batch = vec![identity, txn::delete(self.keys.own(RESTORING))];
        self.write(runtime)?;
        Ok(count)
    }

    fn write(&mut self, runtime: &Runtime) -> Result<()> {
        let Some(guard) = self.guard.clone() else { return Ok(()) };
        let (success, cluster) = (std::mem::take(&mut self.batch), self.cluster.clone());
        self.bytes = 0;
        let txn = pb::TxnRequest {
            compare: vec![txn::written_by(guard.key.clone(), guard.revision)],
            success,
            failure: vec![txn::range(txn::whole(self.keys.own("store")))],
        };
        let writes = txn.success.len();
        let written = self.call(runtime, async move {
            if guard.renewed.lock().elapsed() > KEEP_INTERVAL {
                cluster.keep_alive(guard.lease).await?;
                *guard.renewed.lock() = Instant::now();
            }
            cluster.txn(txn).await
        })?;
        // If this is a retry of the last transaction, the first attempt may have been applied.
        let found = txn::found(&written).into_iter().flat_map(|range| &range.kvs).next();
        let is_done = found.is_some_and(|kv| kv.value == self.identity);
        if written.succeeded || is_done || writes == 0 {
            return Ok(());
        }
        let why = "it was interrupted; the next attempt removes what was restored so far".to_owned();
        Err(Failure::Storage { place: self.cluster.place.clone(), action: "complete the restore", why }
            .into())
    }

    fn call<T: Send + 'static>(
        &self,
        runtime: &Runtime,
        task: impl Future<Output = Result<T, Trouble>> + Send + 'static,
    ) -> Result<T> {
        let response = wait(runtime, task).ok_or(Failure::Closed)?;
        response.map_err(|trouble| self.cluster.error(trouble))
    }
}

/// Why a store cannot be restored under a prefix.
enum Occupied {
    Store,
    Restoring,
    Others,
}

fn occupied(place: &str, why: Occupied) -> Error {
    let text = match why {
        Occupied::Store => "there is a store",
        Occupied::Restoring => {
            "a store is being restored there, or was a minute ago; wait for it, or try again in a minute"
        }
        Occupied::Others => "there are other keys",
    };
    Error::argument(format!("{text} in {place}; choose another prefix. Nothing was changed"))
}

/// Claims the prefix: removes what an earlier attempt left, and checks that nothing else is there.
async fn begin(cluster: &Cluster, keys: &Keys) -> Result<Result<Guard, Occupied>, Trouble> {
    cluster.log_in().await?;
    let key = keys.own(RESTORING);
    let ttl = LEASE_TIME.as_secs().cast_signed();
    let lease = cluster.grant(pb::LeaseGrantRequest { ttl, id: 0 }).await?.id;
    let records = keys.range(&KeyRange::all());
    let owner = Bytes::copy_from_slice(&lease.to_be_bytes());
    let claim = pb::TxnRequest {
        compare: vec![txn::absent(keys.own("store")), txn::absent(key.clone())],
        success: vec![txn::put(key.clone(), owner.clone(), lease), txn::delete_range(records)],
        failure: vec![txn::range(txn::whole(keys.own("store"))), txn::range(txn::whole(key.clone()))],
    };
    let response = cluster.txn(claim).await?;
    let found = txn::found(&response);
    let revision = match (response.succeeded, txn::revision(found.first()), found.get(1)) {
        (true, ..) => response.header.map_or(0, |header| header.revision),
        (false, 0, Some(range)) => match range.kvs.first() {
            // This is a retry, and the first attempt was applied.
            Some(kv) if kv.value == owner => kv.mod_revision,
            _ => return Ok(Err(Occupied::Restoring)),
        },
        _ => return Ok(Err(Occupied::Store)),
    };
    let (first, range_end) = keys.everything();
    let all = cluster.range(pb::RangeRequest { range_end, count_only: true, ..txn::whole(first) }).await?;
    if all.count > 1 {
        cluster.revoke(lease).await?;
        return Ok(Err(Occupied::Others));
    }
    Ok(Ok(Guard { key, revision, lease, renewed: Mutex::new(Instant::now()) }))
}
