//! Where a cluster is, and how it is spoken to.

use std::fmt;
use std::time::Duration;

use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::error::{Error, Result};

/// Where the keys of a store begin, unless told otherwise.
const PREFIX: &str = "procstate/";

/// A store in etcd, for [`Store::connect`](crate::Store::connect) (feature `etcd`).
///
/// ```no_run
/// use procstate::{EtcdOptions, Store};
///
/// let members = ["http://10.0.0.1:2379", "http://10.0.0.2:2379", "http://10.0.0.3:2379"];
/// let store = Store::connect(EtcdOptions::new(members))?;
/// # Ok::<(), procstate::Error>(())
/// ```
///
/// With TLS, a user of etcd, and more than one store in the cluster:
///
/// ```no_run
/// use std::time::Duration;
///
/// use procstate::{EtcdOptions, Store};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let options = EtcdOptions::new(["https://10.0.0.1:2379", "https://10.0.0.2:2379"])
///     .prefix("billing/")
///     .user("billing", std::env::var("ETCD_PASSWORD")?)
///     .ca_certificate(std::fs::read("ca.pem")?)
///     .client_certificate(std::fs::read("client.pem")?, std::fs::read("client-key.pem")?)
///     .domain("etcd.example.org")
///     .timeout(Duration::from_secs(10))
///     .coalesce(false);
/// let store = Store::connect(options)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct EtcdOptions {
    pub(super) endpoints: Vec<String>,
    pub(super) prefix: String,
    pub(super) user: Option<(String, String)>,
    ca_certificate: Option<Vec<u8>>,
    client_certificate: Option<(Vec<u8>, Vec<u8>)>,
    domain: Option<String>,
    pub(super) timeout: Duration,
    pub(super) create: bool,
    pub(super) coalesce: bool,
}

impl EtcdOptions {
    /// The cluster with these members: `http://HOST:PORT`, or `https://HOST:PORT` for TLS.
    /// Name all of them, so that one may fail.
    pub fn new<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            prefix: PREFIX.to_owned(),
            user: None,
            ca_certificate: None,
            client_certificate: None,
            domain: None,
            timeout: Duration::from_secs(30),
            create: true,
            coalesce: true,
        }
    }

    /// What every key of the store begins with: stores with different prefixes share a
    /// cluster. No prefix may begin with another one. Default: `procstate/`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The user of etcd as which the store is used. It needs read and write access to all
    /// keys with the prefix.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.user = Some((name.into(), password.into()));
        self
    }

    /// The certificate, in PEM, of the authority that vouches for the members. Default:
    /// those that the machine trusts.
    pub fn ca_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca_certificate = Some(pem.into());
        self
    }

    /// A certificate and its key, in PEM, to show to the members.
    pub fn client_certificate(mut self, pem: impl Into<Vec<u8>>, key_pem: impl Into<Vec<u8>>) -> Self {
        self.client_certificate = Some((pem.into(), key_pem.into()));
        self
    }

    /// The name that the members' certificates are for, if it is not that in their addresses.
    pub fn domain(mut self, name: impl Into<String>) -> Self {
        self.domain = Some(name.into());
        self
    }

    /// How long a call goes on asking while no majority of the members answers, before it
    /// fails. Default: 30 s; from 1 s to 5 minutes.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.clamp(Duration::from_secs(1), Duration::from_secs(300));
        self
    }

    /// Whether connecting creates a store where there is none. Default: yes.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Whether progress that a run reports before
    /// [`sync_interval`](crate::StoreBuilder::sync_interval) has passed since it was written
    /// waits for the rest of it, and only the newest is written: unless it is to survive
    /// power loss ([`progress_durability`](crate::ClaimOptions::progress_durability)). The
    /// program's death takes what waits. Default: yes.
    pub fn coalesce(mut self, coalesce: bool) -> Self {
        self.coalesce = coalesce;
        self
    }

    /// The cluster and the store in it, for messages.
    pub(super) fn place(&self) -> String {
        format!("etcd at {} ({:?})", self.endpoints.join(","), self.prefix)
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.endpoints.is_empty() {
            return Err(Error::argument("no member of etcd is named; name all of them"));
        }
        if self.prefix.is_empty() || self.prefix.chars().any(char::is_control) {
            let text = "the prefix of the keys must be text, and not empty: another store, or another program, may use the same etcd";
            return Err(Error::argument(text));
        }
        Ok(())
    }

    pub(super) fn tls(&self) -> ClientTlsConfig {
        let mut tls = match &self.ca_certificate {
            Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        if let Some((pem, key)) = &self.client_certificate {
            tls = tls.identity(Identity::from_pem(pem, key));
        }
        if let Some(domain) = &self.domain {
            tls = tls.domain_name(domain);
        }
        tls
    }
}

/// Without its secrets.
impl fmt::Debug for EtcdOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdOptions")
            .field("endpoints", &self.endpoints)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
