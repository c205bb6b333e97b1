//! Answers frame by frame. The engine writes the whole answer at once, into memory or, if it is
//! large, into an unnamed temporary file, so that a slow client never blocks it.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use tempfile::SpooledTempFile;
use tokio::sync::mpsc::{self, Sender};

use super::super::wire;
use super::{PROTOBUF, Service};
use crate::archive::Target;
use crate::error::{Error, Result};
use crate::proto::engine::frame::What;
use crate::proto::engine::{self as proto, Problem};

/// How much of an answer is kept in memory.
const MEMORY_BYTES: usize = 256 << 10;

/// The size of a chunk.
const CHUNK_BYTES: usize = 64 << 10;

/// The maximum number of chunks in flight per client.
const CHUNKS_AHEAD: usize = 4;

/// How long a client may accept nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// The interval of heartbeats to a waiting client.
pub(super) const SIGN_INTERVAL: Duration = Duration::from_secs(10);

/// A buffer of frames.
type Spool = SpooledTempFile;

pub(super) fn scan(service: &Service, scan: &proto::Scan, spool: &mut Spool) -> Result<()> {
    let max = if scan.max == 0 { usize::MAX } else { usize::try_from(scan.max).unwrap_or(usize::MAX) };
    let range = wire::range(scan.start.clone(), scan.end.clone());
    let mut written = Ok(());
    service.engine().scan_first(&range, max, &mut |record| {
        written = write(spool, What::Record(wire::record_ref(record)));
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    written
}

pub(super) fn log(service: &Service, log: &proto::Log, spool: &mut Spool) -> Result<()> {
    service.engine().browse_log(log.after, &mut |found| write(spool, wire::found(found)))
}

pub(super) fn backup(service: &Service, _: &proto::Backup, spool: &mut Spool) -> Result<()> {
    let folder = std::env::temp_dir();
    let folder = tempfile::Builder::new()
        .prefix("procstate-")
        .tempdir_in(&folder)
        .map_err(|error| Error::io("create a temporary folder in", &folder, error).before_writing())?;
    let path = folder.path().join("backup");
    service.engine().backup(&Target::new(&path)).map_err(Error::before_writing)?;
    let mut file = File::open(&path).map_err(|error| Error::io("open", &path, error))?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = file.read(&mut chunk).map_err(|error| Error::io("read", &path, error))?;
        if length == 0 {
            return Ok(());
        }
        write(spool, What::Chunk(Bytes::copy_from_slice(chunk.get(..length).unwrap_or_default())))?;
    }
}

fn write(spool: &mut Spool, what: What) -> Result<()> {
    let written = spool.write_all(&wire::encode(Some(what)));
    written
        .map_err(|error| Error::io("write a temporary file in", std::env::temp_dir(), error).before_writing())
}

impl Service {
    /// Answers with what `fill` writes, and whether it is complete.
    pub(super) fn stream<Q: Send + 'static>(
        self: &Arc<Self>,
        question: Q,
        fill: fn(&Self, &Q, &mut Spool) -> Result<()>,
    ) -> std::result::Result<Response, Problem> {
        let (chunks, response) = channel();
        let service = self.clone();
        tokio::spawn(async move {
            let filling = service.clone();
            let filled = service.blocking(move || {
                let mut spool = Spool::new(MEMORY_BYTES);
                fill(&filling, &question, &mut spool)?;
                let rewound = spool.rewind();
                rewound
                    .map_err(|error| Error::io("read a temporary file in", std::env::temp_dir(), error))?;
                Ok(spool)
            });
            let end = match waiting(&chunks, filled).await {
                Some(Ok(spool)) => match send_all(&chunks, spool).await {
                    Some(end) => end,
                    None => return,
                },
                Some(Err(problem)) => What::Problem(problem),
                None => return,
            };
            let _ = send(&chunks, wire::encode(Some(end)).into()).await;
        });
        Ok(response)
    }
}

/// Waits for an answer, and sends heartbeats meanwhile; `None` if the client is gone.
async fn waiting<T>(chunks: &Sender<Bytes>, answer: impl Future<Output = T>) -> Option<T> {
    let mut answer = std::pin::pin!(answer);
    loop {
        match tokio::time::timeout(SIGN_INTERVAL, &mut answer).await {
            Ok(answer) => return Some(answer),
            Err(_) => send(chunks, wire::encode(None).into()).await?,
        }
    }
}

/// Sends the whole `spool` and returns the final frame; `None` if the client is gone.
async fn send_all(chunks: &Sender<Bytes>, mut spool: Spool) -> Option<What> {
    loop {
        let read = tokio::task::spawn_blocking(move || {
            let mut chunk = vec![0; CHUNK_BYTES];
            let read = spool.read(&mut chunk);
            chunk.truncate(*read.as_ref().unwrap_or(&0));
            read.map(|_| (spool, chunk))
        });
        let (rest, chunk) = match read.await {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => {
                let error = Error::io("read a temporary file in", std::env::temp_dir(), error);
                return Some(What::Problem(error.into()));
            }
            Err(_) => return None,
        };
        if chunk.is_empty() {
            return Some(What::End(proto::End {}));
        }
        send(chunks, chunk.into()).await?;
        spool = rest;
    }
}

/// Returns the body of an answer and the sender of its parts.
pub(super) fn channel() -> (Sender<Bytes>, Response) {
    let (chunks, receiver) = mpsc::channel(CHUNKS_AHEAD);
    let body = Body::from_stream(Chunks(receiver));
    (chunks, ([(CONTENT_TYPE, PROTOBUF)], body).into_response())
}

/// Sends a part of an answer; `None` if the client is gone.
pub(super) async fn send(chunks: &Sender<Bytes>, chunk: Bytes) -> Option<()> {
    tokio::time::timeout(PATIENCE, chunks.send(chunk)).await.ok()?.ok()
}

struct Chunks(mpsc::Receiver<Bytes>);

impl Stream for Chunks {
    type Item = std::result::Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|chunk| chunk.map(Ok))
    }
}
