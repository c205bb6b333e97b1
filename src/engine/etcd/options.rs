//! The address of a cluster, and how to connect to it.

use std::fmt;
use std::time::Duration;

use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::error::{Error, Result};

/// The default prefix of the keys of a store.
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
    /// Sets the members of the cluster: `http://HOST:PORT`, or `https://HOST:PORT` for TLS. List all
    /// members, so that the store can be used while some of them are down.
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

    /// Sets the prefix of all keys of the store. Stores with different prefixes can share a cluster,
    /// but no prefix may begin with another one. Default: `procstate/`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets the etcd user and its password. The user needs read and write access to all keys with the
    /// prefix.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.user = Some((name.into(), password.into()));
        self
    }

    /// Sets the certificate, in PEM, of the authority that signed the members' certificates. Default:
    /// the authorities that the machine trusts.
    pub fn ca_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca_certificate = Some(pem.into());
        self
    }

    /// Sets the client certificate and its key, in PEM, with which to authenticate to the members.
    pub fn client_certificate(mut self, pem: impl Into<Vec<u8>>, key_pem: impl Into<Vec<u8>>) -> Self {
        self.client_certificate = Some((pem.into(), key_pem.into()));
        self
    }

    /// Sets the name in the members' certificates, if it differs from the host in their addresses.
    pub fn domain(mut self, name: impl Into<String>) -> Self {
        self.domain = Some(name.into());
        self
    }

    /// Sets how long a call retries while no majority of the members responds, before it fails.
    /// Default: 30 s; from 1 s to 5 minutes.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.clamp(Duration::from_secs(1), Duration::from_secs(300));
        self
    }

    /// Sets whether connecting creates the store if it does not exist. Default: yes.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Sets whether a run writes its progress at most once per
    /// [`sync_interval`](crate::StoreBuilder::sync_interval). If it reports more often, only the
    /// newest report of each interval is written; if the program dies, a report that waits is lost.
    /// Does not apply to progress that must survive power loss
    /// ([`progress_durability`](crate::ClaimOptions::progress_durability)). Default: yes.
    pub fn coalesce(mut self, coalesce: bool) -> Self {
        self.coalesce = coalesce;
        self
    }

    /// Describes the cluster and the store in it, for messages.
    pub(super) fn place(&self) -> String {
        format!("etcd at {} ({:?})", self.endpoints.join(","), self.prefix)
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.endpoints.is_empty() {
            return Err(Error::argument("the address of an etcd member is required; list all members"));
        }
        if self.prefix.is_empty() || self.prefix.chars().any(char::is_control) {
            let text = "the prefix of the keys must be non-empty text without control characters, because another store or program may use the same etcd";
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

/// Omits secrets.
impl fmt::Debug for EtcdOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdOptions")
            .field("endpoints", &self.endpoints)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
