//! What every call goes through: the cluster, the store in it, and a small runtime.

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

use super::keys::{Identity, Keys};
use super::limits::Limits;
use super::options::EtcdOptions;
use super::signs::Signs;
use super::slots::Slots;
use crate::engine::etcd::transport::line::Line;
use crate::engine::etcd::transport::trouble::Trouble;
use crate::engine::etcd::transport::txn;
use crate::error::{Error, Failure, Result};
use crate::proto::etcd::etcdserverpb as pb;

/// How long closing takes at most to end what others would have to wait for.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);

/// The maximum number of concurrent calls on behalf of tasks of the program.
#[cfg(feature = "tokio")]
const CALLS_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct Client {
    pub(super) core: Arc<Core>,
    /// `None` once it is closed.
    runtime: Mutex<Option<Runtime>>,
    /// Permits for calls on threads of the runtime.
    #[cfg(feature = "tokio")]
    calls: Arc<Semaphore>,
}

/// What tasks on the runtime share.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) line: Arc<Line>,
    pub(super) keys: Keys,
    pub(super) identity: Identity,
    /// Tells this opening of the store from every other.
    pub(super) opening: String,
    pub(super) slots: Slots,
    pub(super) limits: Limits,
    /// The leases of the runs of this program.
    pub(super) leases: Mutex<FxHashSet<i64>>,
    /// Of the owners in other programs that this one waits for.
    pub(super) signs: Signs,
    /// The newest revision that was heard of.
    seen: AtomicI64,
}

impl Client {
    pub(super) fn connect(options: &EtcdOptions) -> Result<Self> {
        let runtime = runtime()
            .map_err(|error| Error::io("start the threads that connect to", options.place(), error))?;
        let (keys, opening) = (Keys::new(&options.prefix), Uuid::now_v7().to_string());
        let line = {
            let _entered = runtime.enter();
            Line::new(options)?
        };
        let create = options.create;
        let key = keys.own("store");
        let connected = wait(&runtime, async move {
            let identity = identity(&line, &key, create).await;
            (line, identity)
        });
        let Some((line, identity)) = connected else { return Err(Failure::Closed.into()) };
        let identity = match identity {
            Ok(identity) => identity?,
            Err(trouble) => {
                // It waits for nobody, which a task must not.
                runtime.shutdown_background();
                return Err(line.error(trouble));
            }
        };
        let line = Arc::new(line);
        let core = Core {
            slots: Slots::new(line.clone(), &keys, &opening),
            line,
            keys,
            identity,
            opening,
            limits: Limits::default(),
            leases: Mutex::default(),
            signs: Signs::default(),
            seen: AtomicI64::new(identity.begin()),
        };
        Ok(Self {
            core: Arc::new(core),
            runtime: Mutex::new(Some(runtime)),
            #[cfg(feature = "tokio")]
            calls: Arc::new(Semaphore::new(CALLS_MAX)),
        })
    }

    /// Has the runtime do it, and waits: also where the caller is on a runtime itself, which
    /// must not wait in another.
    pub(super) fn wait<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        task: impl FnOnce(Arc<Core>) -> F,
    ) -> Result<T> {
        let (tell, hear) = mpsc::sync_channel(1);
        let task = task(self.core.clone());
        self.spawn(async move {
            // Nobody waits for it once the store is closed.
            let _ = tell.send(task.await);
        })?;
        hear.recv().map_err(|_| Failure::Closed.into())
    }

    /// Has the runtime do it.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        match &*self.runtime.lock() {
            None => Err(Failure::Closed.into()),
            Some(runtime) => {
                runtime.spawn(task);
                Ok(())
            }
        }
    }

    /// Makes a call that waits, on a thread of the client's runtime. The number of these threads is
    /// limited: a few keep a cluster busy, and connecting needs threads too.
    #[cfg(feature = "tokio")]
    pub(super) fn make(&self, call: Box<dyn FnOnce() + Send>) -> Result<()> {
        let calls = self.calls.clone();
        self.spawn(async move {
            let Ok(turn) = calls.acquire_owned().await else { return };
            tokio::task::spawn_blocking(move || {
                call();
                drop(turn);
            });
        })
    }

    /// Fails once it is closed.
    pub(super) fn check_open(&self) -> Result<()> {
        if self.runtime.lock().is_some() { Ok(()) } else { Err(Failure::Closed.into()) }
    }

    /// Lets go of the runs that are still on, so that nobody waits for their leases to run
    /// out, and of the connections.
    pub(super) fn close(&self) {
        let Some(runtime) = self.runtime.lock().take() else { return };
        let core = self.core.clone();
        let leases: Vec<i64> = core.leases.lock().drain().collect();
        if !leases.is_empty() {
            wait(&runtime, async move {
                let revoke = async {
                    for lease in leases {
                        // Or it runs out.
                        let _ = core.line.revoke(lease).await;
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
        // A runtime that is dropped waits, which a task must not.
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
    let (tell, hear) = mpsc::sync_channel(1);
    runtime.spawn(async move {
        let _ = tell.send(task.await);
    });
    hear.recv().ok()
}

/// Finds the store, or creates it.
async fn identity(line: &Line, key: &bytes::Bytes, create: bool) -> Result<Result<Identity>, Trouble> {
    line.log_in().await?;
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
    // To try again does no harm: whoever created it, it is there.
    let answer = line.txn(txn).await?;
    let revision = answer.header.map_or(0, |header| header.revision);
    if answer.succeeded {
        if create {
            return Ok(Ok(Identity::new(id, 0, revision)));
        }
        return Ok(Err(no_store(line)));
    }
    let found = txn::found(&answer).into_iter().next().and_then(|range| range.kvs.first());
    Ok(match found {
        Some(kv) => Identity::decode(kv, &line.place),
        None => Err(no_store(line)),
    })
}

fn no_store(line: &Line) -> Error {
    let text = format!(
        "there is no store in {}: check the prefix. Only if it is to be a new one, create it with `procstate init` or by connecting from a program",
        line.place
    );
    Failure::Remote { trouble: crate::error::Trouble::NotFound, text }.into()
}
