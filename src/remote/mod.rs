//! A store that another program has open, used there (feature `http`).
//!
//! A folder belongs to one program at a time. That program can serve it: then others open the
//! store [through it](Remote), as if they had it open themselves, and every call does what it
//! does there. What cannot be done from outside is to run: claims are for the program that
//! has the store open.
//!
//! ```text
//! Store -- typed operations -- engine over the wire ~~ HTTP ~~ service -- engine
//! ```
//!
//! Every change is a batch of preconditions and writes, here as there: what another program
//! wrote meanwhile is noticed, whoever it was. A change whose answer was lost is not tried
//! again: [`is_uncertain`](crate::Error::is_uncertain) tells of it.
//!
//! The program that has the store open serves it by a socket in its folder, `control.sock`,
//! or under an address; see [`http::Server`](crate::http::Server).

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

/// Where a store is that another program has open.
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
/// // Fails, since nobody serves a store there.
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
    /// The store in this folder, by the socket in it.
    pub fn folder(path: impl AsRef<Path>) -> Self {
        Self { address: Address::Folder(path.as_ref().to_owned()), token: None }
    }

    /// The store that is served under this address: `http://HOST[:PORT][/PREFIX]`.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](crate::Error::is_invalid) if it is none.
    pub fn url(url: &str) -> Result<Self> {
        Ok(Self { address: Address::parse(url)?, token: None })
    }

    /// Shows this text as its bearer token; it is made of visible ASCII characters.
    pub(crate) fn bearer(mut self, text: &str) -> Self {
        self.token = Some(text.to_owned());
        self
    }

    /// Opens it there. To [close](Store::close) it closes nothing but the connection.
    ///
    /// # Errors
    ///
    /// [`is_unreachable`](crate::Error::is_unreachable) if nobody serves it there, or not so
    /// that this program can use it: the text says why.
    pub fn open(&self) -> Result<Store> {
        let path = match &self.address {
            Address::Folder(path) => Some(path.clone()),
            Address::Tcp { .. } => None,
        };
        let (engine, liveness) = RemoteEngine::connect(self.address.clone(), self.token.clone())?;
        Ok(Store::over(Arc::new(engine), Arc::new(liveness), path))
    }
}

/// Without its token.
impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("address", &self.address).finish_non_exhaustive()
    }
}
