//! A server with its own thread and runtime.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::net::UnixListener;
use std::time::Duration;
use std::{io, thread};

use axum::Router;
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};

use super::connections::{self, Listener, Site};
use crate::Store;
use crate::http::guard::{self, Transport};
use crate::http::{Options, routes};
use crate::remote::{self, ControlSocket};

/// How long dropping a server waits for open responses.
const DROP_WAIT: Duration = Duration::from_secs(1);

/// Serves a store until it is shut down or dropped.
#[derive(Debug)]
#[must_use = "a server that is dropped stops"]
pub struct Server {
    addresses: Vec<SocketAddr>,
    stop: Option<oneshot::Sender<Duration>>,
    thread: Option<thread::JoinHandle<()>>,
    /// Removed when the server ends.
    _control: Option<ControlSocket>,
}

/// The configuration of a server.
///
/// ```
/// use procstate::Store;
/// use procstate::http::{Options, Server};
/// use std::os::unix::net::UnixListener;
/// use std::time::Duration;
///
/// # let folder = tempfile::tempdir()?;
/// let socket = UnixListener::bind(folder.path().join("admin.sock"))?;
/// let server = Server::builder(&Store::in_memory())
///     .listener(socket)
///     .options(Options::new().read_only(true))
///     .connections_max(100)
///     .start()?;
/// server.shutdown(Duration::from_secs(1));
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use]
pub struct ServerBuilder {
    store: Store,
    options: Options,
    addresses: Vec<io::Result<Vec<SocketAddr>>>,
    sockets: Vec<UnixListener>,
    connections_max: usize,
    control: Option<ControlSocket>,
    more: Router,
}

impl Server {
    /// Returns the configuration of a server for `store`.
    pub fn builder(store: &Store) -> ServerBuilder {
        ServerBuilder {
            store: store.clone(),
            options: Options::new(),
            addresses: Vec::new(),
            sockets: Vec::new(),
            connections_max: 1024,
            control: None,
            more: Router::new(),
        }
    }

    /// Returns the TCP addresses that it listens on, with the actual ports.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Stops accepting connections, lets open responses complete within `time`, and aborts the
    /// rest.
    ///
    /// Blocks meanwhile.
    pub fn shutdown(mut self, time: Duration) {
        self.stop(time);
    }

    fn stop(&mut self, time: Duration) {
        if let Some(stop) = self.stop.take() {
            // The receiver is gone if the runtime has ended by itself.
            let _ = stop.send(time);
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the HTTP server panicked");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop(DROP_WAIT);
    }
}

impl ServerBuilder {
    /// Sets the options.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Listens on this TCP address (`127.0.0.1:8080`; port 0: any).
    ///
    /// May be called several times. An address that other machines can reach requires a
    /// [token](Options::token).
    pub fn listen(mut self, address: impl ToSocketAddrs) -> Self {
        self.addresses.push(address.to_socket_addrs().map(Iterator::collect));
        self
    }

    /// Also serves the control socket `control.sock` in the store's folder, which only its user can
    /// access.
    ///
    /// Programs that open the folder meanwhile, such as the tool `procstate`, [use the store
    /// through it](crate::remote).
    ///
    /// # Errors
    ///
    /// If the store is not in a folder, or the socket cannot be created: a file in its place that
    /// is not a socket, or belongs to another user, is left alone.
    pub fn control_socket(mut self) -> io::Result<Self> {
        let (control, listener) = ControlSocket::bind(&self.store)?;
        self.control = Some(control);
        Ok(self.listener(listener))
    }

    /// Also listens on this Unix socket.
    ///
    /// Clients that may connect to it can do everything that the options allow, without a token.
    pub fn listener(mut self, listener: UnixListener) -> Self {
        self.sockets.push(listener);
        self
    }

    /// Sets how many connections may be open at once; more wait. Default: 1024.
    pub fn connections_max(mut self, connections: usize) -> Self {
        self.connections_max = connections.max(1);
        self
    }

    /// Also serves `routes` behind the same guard.
    #[allow(dead_code, reason = "the seam for the engine over the wire")]
    pub(crate) fn merge(mut self, routes: Router) -> Self {
        self.more = self.more.merge(routes);
        self
    }

    /// Starts the server on a thread of its own.
    ///
    /// # Errors
    ///
    /// If there is nothing to listen on; if it cannot listen on an address, or other machines can
    /// reach it and there is no token.
    pub fn start(self) -> io::Result<Server> {
        let mut bound = Vec::new();
        for candidates in self.addresses {
            bound.push(bind(&candidates?, self.options.token.is_some())?);
        }
        let addresses = bound.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?;
        if bound.is_empty() && self.sockets.is_empty() {
            let text = "the server has nothing to listen on; name an address or a socket";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listeners = match enter(&runtime, bound, self.sockets) {
            Ok(listeners) => listeners,
            Err(error) => {
                // The caller may be a task, which must not block on a runtime.
                runtime.shutdown_background();
                return Err(error);
            }
        };
        let (closing, closes) = watch::channel(false);
        let routes = routes::api(&self.store, &self.options, closes)
            .merge(remote::service(&self.store, self.options.is_read_only))
            .merge(self.more);
        let site = Site {
            network: guard::protect(routes.clone(), self.options.clone(), Transport::Network),
            socket: guard::protect(routes, self.options, Transport::Socket),
            connections_max: self.connections_max,
            closing,
        };
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("procstate-http".to_owned())
            .spawn(move || connections::run(runtime, listeners, site, stopped))?;
        Ok(Server { addresses, stop: Some(stop), thread: Some(thread), _control: self.control })
    }
}

/// Registers listeners with the runtime.
fn enter(
    runtime: &Runtime,
    bound: Vec<TcpListener>,
    sockets: Vec<UnixListener>,
) -> io::Result<Vec<Listener>> {
    let _entered = runtime.enter();
    let mut listeners = Vec::new();
    for listener in bound {
        listener.set_nonblocking(true)?;
        listeners.push(Listener::Tcp(listener.try_into()?));
    }
    for listener in sockets {
        listener.set_nonblocking(true)?;
        listeners.push(Listener::Unix(listener.try_into()?));
    }
    Ok(listeners)
}

/// Listens on the first possible one of an address's forms.
fn bind(addresses: &[SocketAddr], has_token: bool) -> io::Result<TcpListener> {
    let mut last = None;
    for address in addresses {
        if !address.ip().is_loopback() && !has_token {
            let text = format!(
                "other machines can reach {address}, but there is no token to authenticate clients: configure a token, or listen on 127.0.0.1"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        match TcpListener::bind(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => {
                last = Some(io::Error::new(error.kind(), format!("could not listen on {address}: {error}")));
            }
        }
    }
    Err(last.unwrap_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "the address does not resolve to a machine")
    }))
}
