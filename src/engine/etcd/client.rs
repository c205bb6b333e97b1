//! The state behind every call: the cluster, the store in it, and a small runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use parking_lot::Mutex;
use rustc_hash::FxHashSet;
use tokio::runtime::{Builder, Runtime};
#[cfg(feature = "tokio")]
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::heartbeats::Heartbeats;
use super::keys::{Identity, Keys};
use super::limits::Limits;
use super::options::EtcdOptions;
use super::slots::Slots;
use crate::engine::etcd::transport::cluster::Cluster;
use crate::engine::etcd::transport::trouble::Trouble;
use crate::engine::etcd::transport::txn;
use crate::error::{Error, Failure, Result};
use crate::proto::etcd::etcdserverpb as pb;

/// How long closing may take to revoke leases, for which other programs would have to wait.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);

/// The maximum number of concurrent calls on behalf of tasks of the program.
#[cfg(feature = "tokio")]
const CALLS_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct Client {
    pub(super) core: Arc<Core>,
    /// `None` once the client is closed.
    runtime: Mutex<Option<Runtime>>,
    /// Permits for calls on threads of the runtime.
    #[cfg(feature = "tokio")]
    calls: Arc<Semaphore>,
}

/// The state shared by tasks on the runtime.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) cluster: Arc<Cluster>,
    pub(super) keys: Keys,
    pub(super) identity: Identity,
    /// Identifies this opening of the store.
    pub(super) opening: String,
    pub(super) slots: Slots,
    pub(super) limits: Limits,
    /// The leases of the runs of this program.
    pub(super) leases: Mutex<FxHashSet<i64>>,
    /// The heartbeats of the owners in other programs that this one waits for.
    pub(super) heartbeats: Heartbeats,
    /// The newest revision seen in a response.
    seen: AtomicI64,
}

impl Client {
    pub(super) fn connect(options: &EtcdOptions) -> Result<Self> {
        let runtime = runtime()
            .map_err(|error| Error::io("start the threads that connect to", options.place(), error))?;
        let (keys, opening) = (Keys::new(&options.prefix), Uuid::now_v7().to_string());
        let cluster = {
            let _entered = runtime.enter();
            Cluster::new(options)?
        };
        let create = options.create;
        let key = keys.own("store");
        let connected = wait(&runtime, async move {
            let identity = identity(&cluster, &key, create).await;
            (cluster, identity)
        });
        let Some((cluster, identity)) = connected else { return Err(Failure::Closed.into()) };
        let identity = match identity {
            Ok(identity) => identity?,
            Err(trouble) => {
                // Dropping a runtime blocks, which a task must not.
                runtime.shutdown_background();
                return Err(cluster.error(trouble));
            }
        };
        let cluster = Arc::new(cluster);
        let core = Core {
            slots: Slots::new(cluster.clone(), &keys, &opening),
            cluster,
            keys,
            identity,
            opening,
            limits: Limits::default(),
            leases: Mutex::default(),
            heartbeats: Heartbeats::default(),
            seen: AtomicI64::new(identity.begin()),
        };
        Ok(Self {
            core: Arc::new(core),
            runtime: Mutex::new(Some(runtime)),
            #[cfg(feature = "tokio")]
            calls: Arc::new(Semaphore::new(CALLS_MAX)),
        })
    }

    /// Runs the task on the runtime and waits for it.
    ///
    /// Works within another runtime too, whose threads must not block on this one.
    pub(super) fn wait<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        task: impl FnOnce(Arc<Core>) -> F,
    ) -> Result<T> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let task = task(self.core.clone());
        self.spawn(async move {
            // The receiver is gone once the store is closed.
            let _ = sender.send(task.await);
        })?;
        receiver.recv().map_err(|_| Failure::Closed.into())
    }

    /// Runs the task on the runtime.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        match &*self.runtime.lock() {
            None => Err(Failure::Closed.into()),
            Some(runtime) => {
                runtime.spawn(task);
                Ok(())
            }
        }
    }

    /// Makes a blocking call on a thread of the client's runtime. The number of these threads is
    /// limited: a few keep a cluster busy, and connecting needs threads too.
    #[cfg(feature = "tokio")]
    pub(super) fn make(&self, call: Box<dyn FnOnce() + Send>) -> Result<()> {
        let calls = self.calls.clone();
        self.spawn(async move {
            let Ok(permit) = calls.acquire_owned().await else { return };
            tokio::task::spawn_blocking(move || {
                call();
                drop(permit);
            });
        })
    }

    /// Fails once the client is closed.
    pub(super) fn check_open(&self) -> Result<()> {
        if self.runtime.lock().is_some() { Ok(()) } else { Err(Failure::Closed.into()) }
    }

    /// Closes the connections. First revokes the leases of runs that have not ended, so that no
    /// program has to wait until they expire.
    pub(super) fn close(&self) {
        let Some(runtime) = self.runtime.lock().take() else { return };
        let core = self.core.clone();
        let leases: Vec<i64> = core.leases.lock().drain().collect();
        if !leases.is_empty() {
            wait(&runtime, async move {
                let revoke = async {
                    for lease in leases {
                        // A lease that is not revoked expires.
                        let _ = core.cluster.revoke(lease).await;
                    }
                };
                let _ = tokio::time::timeout(CLOSE_TIME_MAX, revoke).await;
            });
        }
        runtime.shutdown_background();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Dropping a runtime blocks, which a task must not.
        self.close();
    }
}

impl Core {
    pub(super) fn note(&self, revision: i64) {
        self.seen.fetch_max(revision, Ordering::Relaxed);
    }

    pub(super) fn note_header(&self, header: Option<&pb::ResponseHeader>) -> i64 {
        let revision = header.map_or(0, |header| header.revision);
        self.note(revision);
        revision
    }

    pub(super) fn seen(&self) -> i64 {
        self.seen.load(Ordering::Relaxed)
    }
}

pub(super) fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(1).thread_name("procstate-etcd").enable_all().build()
}

pub(super) fn wait<T: Send + 'static>(
    runtime: &Runtime,
    task: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    runtime.spawn(async move {
        let _ = sender.send(task.await);
    });
    receiver.recv().ok()
}

/// Finds the store; creates it if `create` is set.
async fn identity(cluster: &Cluster, key: &bytes::Bytes, create: bool) -> Result<Result<Identity>, Trouble> {
    cluster.log_in().await?;
    let id = Uuid::now_v7().into_bytes();
    let txn = pb::TxnRequest {
        compare: vec![txn::absent(key.clone())],
        success: if create {
            vec![txn::put(key.clone(), Identity::encode(id, 0, key), 0)]
        } else {
            Vec::new()
        },
        failure: vec![txn::range(txn::whole(key.clone()))],
    };
    // A retry is harmless: if the first attempt created the store, the retry finds it.
    let response = cluster.txn(txn).await?;
    let revision = response.header.map_or(0, |header| header.revision);
    if response.succeeded {
        if create {
            return Ok(Ok(Identity::new(id, 0, revision)));
        }
        return Ok(Err(no_store(cluster)));
    }
    let found = txn::found(&response).into_iter().next().and_then(|range| range.kvs.first());
    Ok(match found {
        Some(kv) => Identity::decode(kv, &cluster.place),
        None => Err(no_store(cluster)),
    })
}

fn no_store(cluster: &Cluster) -> Error {
    let text = format!(
        "there is no store in {}: check the prefix. If you want a new store, create it with `procstate init` or by connecting from a program",
        cluster.place
    );
    Failure::Remote { trouble: crate::error::Trouble::NotFound, text }.into()
}
