//! A store from an archive: its records first, which nobody takes for a store, and then, by
//! one transaction, what says that they are one.

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
use crate::engine::etcd::transport::line::Line;
use crate::engine::etcd::transport::trouble::Trouble;
use crate::engine::etcd::transport::txn;
use crate::error::{Error, Failure, Result};
use crate::proto::etcd::etcdserverpb as pb;
use crate::record::KeyRange;

/// There while a store is restored, and for as long as its program may only be slow.
const RESTORING: &str = "restoring";
const LEASE_TIME: Duration = Duration::from_secs(60);
const KEEP_INTERVAL: Duration = Duration::from_secs(10);

/// Makes the store of the records of an archive that ends with the commit `seq`. Answers how
/// many they are.
pub(crate) fn restore(
    options: &EtcdOptions,
    seq: u64,
    records: impl Iterator<Item = Result<(Bytes, Bytes)>>,
) -> Result<u64> {
    let runtime =
        runtime().map_err(|error| Error::io("start the threads that connect to", options.place(), error))?;
    let line = {
        let _entered = runtime.enter();
        Arc::new(Line::new(options)?)
    };
    let keys = Keys::new(&options.prefix);
    let identity = Identity::encode(Uuid::now_v7().into_bytes(), seq, &keys.own("store"));
    let limits = Limits::default();
    let mut target = Target { line, keys, limits, guard: None, batch: Vec::new(), bytes: 0, identity };
    let restored = target.fill(&runtime, records);
    runtime.shutdown_background();
    restored
}

/// A store that is none yet.
struct Target {
    line: Arc<Line>,
    keys: Keys,
    limits: Limits,
    guard: Option<Arc<Guard>>,
    batch: Vec<pb::RequestOp>,
    bytes: usize,
    /// What says that it is a store.
    identity: Bytes,
}

/// What keeps others away.
struct Guard {
    key: Bytes,
    revision: i64,
    lease: i64,
    kept: Mutex<Instant>,
}

impl Target {
    fn fill(
        &mut self,
        runtime: &Runtime,
        records: impl Iterator<Item = Result<(Bytes, Bytes)>>,
    ) -> Result<u64> {
        let (line, keys) = (self.line.clone(), self.keys.clone());
        let begun = self.ask(runtime, async move { begin(&line, &keys).await })?;
        self.guard = Some(Arc::new(begun.map_err(|why| occupied(&self.line.place, why))?));
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
        let (success, line) = (std::mem::take(&mut self.batch), self.line.clone());
        self.bytes = 0;
        let txn = pb::TxnRequest {
            compare: vec![txn::written_by(guard.key.clone(), guard.revision)],
            success,
            failure: vec![txn::range(txn::whole(self.keys.own("store")))],
        };
        let writes = txn.success.len();
        let written = self.ask(runtime, async move {
            if guard.kept.lock().elapsed() > KEEP_INTERVAL {
                line.keep_alive(guard.lease).await?;
                *guard.kept.lock() = Instant::now();
            }
            line.txn(txn).await
        })?;
        // The answer to the last one may have been lost at first.
        let found = txn::found(&written).into_iter().flat_map(|range| &range.kvs).next();
        let is_done = found.is_some_and(|kv| kv.value == self.identity);
        if written.succeeded || is_done || writes == 0 {
            return Ok(());
        }
        let why = "what was restored until then is removed by the next attempt".to_owned();
        Err(Failure::Storage {
            place: self.line.place.clone(),
            action: "be restored to without a break",
            why,
        }
        .into())
    }

    fn ask<T: Send + 'static>(
        &self,
        runtime: &Runtime,
        task: impl Future<Output = Result<T, Trouble>> + Send + 'static,
    ) -> Result<T> {
        let answer = wait(runtime, task).ok_or(Failure::Closed)?;
        answer.map_err(|trouble| self.line.error(trouble))
    }
}

/// Why there can be no store where one is to be.
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
        Occupied::Others => "there is something else",
    };
    Error::argument(format!("{text} in {place}; name another prefix. Nothing was changed"))
}

/// Sees that there is nothing, but for what an earlier attempt left, which is removed.
async fn begin(line: &Line, keys: &Keys) -> Result<Result<Guard, Occupied>, Trouble> {
    line.log_in().await?;
    let key = keys.own(RESTORING);
    let ttl = LEASE_TIME.as_secs().cast_signed();
    let lease = line.grant(pb::LeaseGrantRequest { ttl, id: 0 }).await?.id;
    let records = keys.range(&KeyRange::all());
    let whose = Bytes::copy_from_slice(&lease.to_be_bytes());
    let claim = pb::TxnRequest {
        compare: vec![txn::absent(keys.own("store")), txn::absent(key.clone())],
        success: vec![txn::put(key.clone(), whose.clone(), lease), txn::delete_range(records)],
        failure: vec![txn::range(txn::whole(keys.own("store"))), txn::range(txn::whole(key.clone()))],
    };
    let answer = line.txn(claim).await?;
    let found = txn::found(&answer);
    let revision = match (answer.succeeded, txn::revision(found.first()), found.get(1)) {
        (true, ..) => answer.header.map_or(0, |header| header.revision),
        (false, 0, Some(range)) => match range.kvs.first() {
            // The answer to the first attempt was lost.
            Some(kv) if kv.value == whose => kv.mod_revision,
            _ => return Ok(Err(Occupied::Restoring)),
        },
        _ => return Ok(Err(Occupied::Store)),
    };
    let (first, range_end) = keys.everything();
    let all = line.range(pb::RangeRequest { range_end, count_only: true, ..txn::whole(first) }).await?;
    if all.count > 1 {
        line.revoke(lease).await?;
        return Ok(Err(Occupied::Others));
    }
    Ok(Ok(Guard { key, revision, lease, kept: Mutex::new(Instant::now()) }))
}
