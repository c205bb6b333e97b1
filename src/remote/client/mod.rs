//! The client half of the protocol: an engine that another program has open.

mod archive;
mod engine;
mod feed;
mod line;
mod listening;
mod listing;
mod liveness;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use parking_lot::Mutex;
use prost::Message;
use tokio::runtime::{Builder, Runtime};

use super::address::Address;
use super::protocol::PROTOCOL;
use crate::engine::Feed;
use crate::error::{Error, Failure, Result};
use crate::proto::engine::{Hello, Welcome};
use line::{ANSWER_TIME_MAX, Line, Lost};
use listening::Listening;
pub(super) use liveness::RemoteLiveness;

/// The timeout for the handshake.
const HELLO_TIME_MAX: Duration = Duration::from_secs(10);

/// The engine of a store that another program has open.
#[derive(Debug)]
pub(super) struct RemoteEngine {
    wire: Arc<Wire>,
    feed: Arc<Feed>,
    listening: Mutex<Listening>,
}

/// The runtime and connections of calls.
#[derive(Debug)]
pub(super) struct Wire {
    line: Arc<Line>,
    /// `None` once it is closed.
    runtime: Mutex<Option<Runtime>>,
    /// The newest commit known here.
    seen: AtomicU64,
}

impl RemoteEngine {
    pub(super) fn connect(address: Address, token: Option<String>) -> Result<(Self, RemoteLiveness)> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("procstate-remote")
            .enable_all()
            .build()
            .map_err(|error| Error::io("start the threads that connect to", address.to_string(), error))?;
        let line = Arc::new(Line::new(address, token));
        let wire = Arc::new(Wire { line, runtime: Mutex::new(Some(runtime)), seen: AtomicU64::new(0) });
        let welcome: Welcome =
            wire.call("hello", &Hello {}, HELLO_TIME_MAX)?.map_err(|lost| wire.line.failed(lost))?;
        if welcome.protocol != PROTOCOL {
            let why = format!(
                "it uses version {} of the protocol (procstate {}), but this program uses version {PROTOCOL}; use programs of the same version",
                welcome.protocol, welcome.version
            );
            return Err(Failure::Unreachable { place: wire.line.address.to_string(), why }.into());
        }
        wire.note(welcome.last_seq);
        // This is the only place that sets it.
        let _ = wire.line.opening.set(welcome.opening);
        let liveness = RemoteLiveness { wire: wire.clone() };
        Ok((
            Self { wire, feed: Arc::new(Feed::default()), listening: Mutex::new(Listening::NotYet) },
            liveness,
        ))
    }
}

impl Wire {
    /// Makes a call that returns one message; fails at once if the connection was closed here.
    fn call<A: Message + Default + Send + 'static>(
        &self,
        call: &'static str,
        question: &impl Message,
        patience: Duration,
    ) -> Result<Result<A, Lost>> {
        let (line, question) = (self.line.clone(), question.encode_to_vec().into());
        self.wait(async move { line.call(call, question, patience).await })
    }

    /// Makes a call that changes nothing, and repeats it if the connection was lost.
    fn read<A: Message + Default + Send + 'static>(
        &self,
        call: &'static str,
        question: &impl Message,
    ) -> Result<A> {
        let answer = match self.call(call, question, ANSWER_TIME_MAX)? {
            Err(Lost::After(_)) => self.call(call, question, ANSWER_TIME_MAX)?,
            answer => answer,
        };
        answer.map_err(|lost| self.line.failed(lost))
    }

    /// Runs the task on the runtime and waits for it.
    ///
    /// Works within another runtime too, whose threads must not block on this one.
    fn wait<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> Result<T> {
        let (tell, hear) = mpsc::sync_channel(1);
        match &*self.runtime.lock() {
            None => return Err(Failure::Closed.into()),
            Some(runtime) => runtime.spawn(async move {
                // The receiver is gone once the store is closed.
                let _ = tell.send(task.await);
            }),
        };
        hear.recv().map_err(|_| Failure::Closed.into())
    }

    fn close(&self) {
        if let Some(runtime) = self.runtime.lock().take() {
            runtime.shutdown_background();
        }
    }

    fn note(&self, seq: u64) {
        self.seen.fetch_max(seq, Ordering::Relaxed);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Dropping a runtime blocks, which a task must not.
        self.close();
    }
}
