//! The address at which a store is served.

use std::fmt;
use std::path::PathBuf;

use hyper::Uri;

use crate::error::{Error, Result};

const PORT: u16 = 80;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// The control socket in this folder.
    Folder(PathBuf),
    Tcp {
        host: String,
        port: u16,
        /// Without a trailing slash.
        prefix: String,
    },
}

impl Address {
    /// Parses `http://HOST[:PORT][/PREFIX]`.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let wrong = |why: &str| Error::argument(format!("the address {url:?} cannot be used: {why}"));
        let uri: Uri = url.parse().map_err(|error| wrong(&format!("{error}; write http://HOST:PORT")))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(wrong(
                    "TLS is not supported; open a tunnel (`ssh -L 8080:localhost:8080 HOST`) and use its address, http://localhost:8080",
                ));
            }
            _ => return Err(wrong("write http://HOST:PORT")),
        }
        if uri.query().is_some() {
            return Err(wrong("it has a query"));
        }
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let Some(authority) = authority else { return Err(wrong("write http://HOST:PORT")) };
        Ok(Self::Tcp {
            host: authority.host().to_owned(),
            port: authority.port_u16().unwrap_or(PORT),
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Returns the `Host` header of requests.
    pub(super) fn host(&self) -> String {
        match self {
            Self::Folder(_) => "localhost".to_owned(),
            Self::Tcp { host, port, .. } => format!("{host}:{port}"),
        }
    }

    pub(super) fn prefix(&self) -> &str {
        match self {
            Self::Folder(_) => "",
            Self::Tcp { prefix, .. } => prefix,
        }
    }
}

/// Formats the address to follow "the connection to".
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "the program that has store {} open", path.display()),
            Self::Tcp { host, port, prefix } => write!(f, "the store at http://{host}:{port}{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed() {
        for (url, host, prefix) in [
            ("http://localhost:8080", "localhost:8080", ""),
            ("http://[::1]:1/", "[::1]:1", ""),
            ("http://state.example.com/admin/", "state.example.com:80", "/admin"),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!((address.host().as_str(), address.prefix()), (host, prefix), "{url}");
        }
        for url in
            ["localhost:8080", "https://a", "http://", "http://u:p@a", "ftp://a", "http://a/?b", "/x", ""]
        {
            assert!(Address::parse(url).unwrap_err().is_invalid(), "{url}");
        }
    }
}
