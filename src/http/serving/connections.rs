//! Accepts and serves connections, within limits.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;

/// The timeout for the header of a request, and for idle connections.
const HEAD_TIME_MAX: Duration = Duration::from_secs(15);

/// How long a client may accept nothing of a response.
const WRITE_TIME_MAX: Duration = Duration::from_secs(30);

/// The maximum size of a request's header and of a connection's buffer.
///
/// A work name of 1 KiB takes 3 KiB in an address, which may contain two names.
const BUFFER_BYTES_MAX: usize = 32 << 10;

const HEADERS_MAX: usize = 64;

/// The pause when accepting fails, because the program has too many open files.
const ACCEPT_WAIT: Duration = Duration::from_millis(100);

/// A source of connections.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The service and its limits.
pub(crate) struct Site {
    pub(crate) network: Router,
    pub(crate) socket: Router,
    pub(crate) connections_max: usize,
    /// Tells streaming responses to end.
    pub(crate) closing: watch::Sender<bool>,
}

/// Serves until `stop` receives the time limit for open responses.
pub(crate) fn run(runtime: Runtime, listeners: Vec<Listener>, site: Site, stop: oneshot::Receiver<Duration>) {
    let time = runtime.block_on(async {
        let graceful = Arc::new(GracefulShutdown::new());
        let permits = Arc::new(Semaphore::new(site.connections_max));
        let mut accepting = JoinSet::new();
        for listener in listeners {
            let service = match listener {
                Listener::Tcp(_) => &site.network,
                Listener::Unix(_) => &site.socket,
            };
            accepting.spawn(accept(listener, service.clone(), permits.clone(), graceful.clone()));
        }
        let time = stop.await.unwrap_or_default();
        accepting.shutdown().await;
        site.closing.send_replace(true);
        if let Some(graceful) = Arc::into_inner(graceful) {
            // Dropping the runtime aborts what is left after that.
            let _ = tokio::time::timeout(time, graceful.shutdown()).await;
        }
        time
    });
    runtime.shutdown_timeout(time);
}

async fn accept(
    listener: Listener,
    service: Router,
    permits: Arc<Semaphore>,
    graceful: Arc<GracefulShutdown>,
) {
    while let Ok(permit) = permits.clone().acquire_owned().await {
        let accepted = match &listener {
            Listener::Tcp(listener) => listener.accept().await.map(|(stream, _)| {
                // Responses are written whole; waiting for acknowledgements would only delay them.
                let _ = stream.set_nodelay(true);
                serve(stream, service.clone(), graceful.watcher(), permit);
            }),
            Listener::Unix(listener) => listener
                .accept()
                .await
                .map(|(stream, _)| serve(stream, service.clone(), graceful.watcher(), permit)),
        };
        if let Err(error) = accepted {
            tracing::warn!(%error, "the HTTP server could not accept a connection");
            tokio::time::sleep(ACCEPT_WAIT).await;
        }
    }
}

/// Serves one connection in a task.
fn serve<S>(stream: S, service: Router, watcher: Watcher, permit: OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIME_MAX));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(service));
    let served = watcher.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = served.await {
            tracing::debug!(%error, "a connection was broken off");
        }
        drop(permit);
    });
}
