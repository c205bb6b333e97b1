//! Access to a store that another program has open (feature `http`).
//!
//! A folder belongs to one program at a time. That program can serve it; others then open the store
//! [through it](Remote) and call it as if they had it open themselves. Only claims, and so runs,
//! are reserved to the program that has the store open.
//!
//! ```text
//! Store -- typed operations -- engine over the wire ~~ HTTP ~~ service -- engine
//! ```
//!
//! Every change is a batch of preconditions and writes, so that concurrent writes of any program
//! are detected. A change whose answer was lost is not retried:
//! [`is_uncertain`](crate::Error::is_uncertain) reports it.
//!
//! The program that has the store open serves it on a socket in its folder, `control.sock`, or at
//! an address; see [`http::Server`](crate::http::Server).

mod address;
mod client;
mod problem;
mod protocol;
mod server;
mod socket;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use server::service;
pub(crate) use socket::ControlSocket;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use address::Address;
use client::RemoteEngine;

use crate::error::Result;
use crate::store::Store;

/// The location of a store that another program has open.
///
/// ```
/// use procstate::Store;
/// use procstate::http::Server;
/// use procstate::remote::Remote;
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path().join("state");
/// let store = Store::open(&folder)?;
/// let server = Server::builder(&store).control_socket()?.start()?;
/// // In another program:
/// let remote = Remote::folder(&folder).open()?;
/// remote.process("nightly")?.register("a", procstate::Params::new())?;
/// assert_eq!(store.processes()?, ["nightly"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// ```
/// use procstate::http::Token;
/// use procstate::remote::Remote;
///
/// let token = Token::new("a-secret-of-at-least-16-characters")?;
/// let remote = Remote::url("http://127.0.0.1:8080")?.token(&token);
/// // Fails because no store is served there.
/// assert!(Remote::url("http://127.0.0.1:1")?.token(&token).open().unwrap_err().is_unreachable());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Remote {
    address: Address,
    token: Option<String>,
}

impl Remote {
    /// Refers to the store in this folder, through the socket in it.
    pub fn folder(path: impl AsRef<Path>) -> Self {
        Self { address: Address::Folder(path.as_ref().to_owned()), token: None }
    }

    /// Refers to the store served at this address: `http://HOST[:PORT][/PREFIX]`.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](crate::Error::is_invalid) if the address is malformed.
    pub fn url(url: &str) -> Result<Self> {
        Ok(Self { address: Address::parse(url)?, token: None })
    }

    /// Sets the bearer token, which consists of visible ASCII characters.
    pub(crate) fn bearer(mut self, text: &str) -> Self {
        self.token = Some(text.to_owned());
        self
    }

    /// Connects to the store.
    ///
    /// [Closing](Store::close) it closes only the connection.
    ///
    /// # Errors
    ///
    /// [`is_unreachable`](crate::Error::is_unreachable) if no store is served there, or by an
    /// incompatible program: the text tells the reason.
    pub fn open(&self) -> Result<Store> {
        let path = match &self.address {
            Address::Folder(path) => Some(path.clone()),
            Address::Tcp { .. } => None,
        };
        let (engine, liveness) = RemoteEngine::connect(self.address.clone(), self.token.clone())?;
        Ok(Store::over(Arc::new(engine), Arc::new(liveness), path))
    }
}

/// Omits the token.
impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("address", &self.address).finish_non_exhaustive()
    }
}
