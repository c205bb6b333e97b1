//! Calls to a cluster: requests go to one member while it responds, and then to the next.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::StreamExt;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::engine::etcd::options::EtcdOptions;
use crate::engine::etcd::transport::trouble::Trouble;
use crate::error::{Error, Failure, Result};
use crate::proto::etcd::etcdserverpb as pb;
use pb::auth_client::AuthClient;
use pb::kv_client::KvClient;
use pb::lease_client::LeaseClient;
use pb::maintenance_client::MaintenanceClient;
use pb::watch_client::WatchClient;

/// How long connecting to a member may take.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);

/// How long a member may take to respond before the next one is used. An election takes one to two
/// seconds.
const RESPONSE_TIME_MAX: Duration = Duration::from_secs(5);

/// The interval and the timeout of the pings that detect a dead connection.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// The first and the maximum delay before a retry.
const BACKOFF_MIN: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_millis(500);

/// The connections to the members of a cluster.
pub(in crate::engine::etcd) struct Cluster {
    pub(in crate::engine::etcd) place: String,
    members: Vec<Channel>,
    current: AtomicUsize,
    user: Option<(String, String)>,
    token: RwLock<Option<MetadataValue<Ascii>>>,
    /// How long a call retries.
    pub(in crate::engine::etcd) timeout: Duration,
}

impl Cluster {
    /// Creates the connections, which are made on first use. Must be called on a runtime.
    pub(in crate::engine::etcd) fn new(options: &EtcdOptions) -> Result<Self> {
        options.check()?;
        let members = options.endpoints.iter().map(|url| member(url, options)).collect::<Result<_>>()?;
        Ok(Self {
            place: options.place(),
            members,
            current: AtomicUsize::new(0),
            user: options.user.clone(),
            token: RwLock::default(),
            timeout: options.timeout,
        })
    }

    /// Sends a transaction once. Before the caller retries, it has to rule out that the transaction
    /// is applied twice.
    pub(in crate::engine::etcd) async fn txn_once(
        &self,
        txn: pb::TxnRequest,
    ) -> Result<pb::TxnResponse, Trouble> {
        self.call_once(txn, &|channel, request| async move { kv(channel).txn(request).await }).await
    }

    /// Sends a transaction, with retries: it must be harmless if applied twice.
    pub(in crate::engine::etcd) async fn txn(&self, txn: pb::TxnRequest) -> Result<pb::TxnResponse, Trouble> {
        self.call(txn, |channel, request| async move { kv(channel).txn(request).await }).await
    }

    pub(in crate::engine::etcd) async fn range(
        &self,
        range: pb::RangeRequest,
    ) -> Result<pb::RangeResponse, Trouble> {
        self.call(range, |channel, request| async move { kv(channel).range(request).await }).await
    }

    pub(in crate::engine::etcd) async fn grant(
        &self,
        grant: pb::LeaseGrantRequest,
    ) -> Result<pb::LeaseGrantResponse, Trouble> {
        let call = |channel, request| async move { LeaseClient::new(channel).lease_grant(request).await };
        self.call(grant, call).await
    }

    pub(in crate::engine::etcd) async fn revoke(&self, id: i64) -> Result<pb::LeaseRevokeResponse, Trouble> {
        let call = |channel, request| async move { LeaseClient::new(channel).lease_revoke(request).await };
        self.call(pb::LeaseRevokeRequest { id }, call).await
    }

    /// Returns the remaining seconds of a lease; negative if it has expired.
    pub(in crate::engine::etcd) async fn time_to_live(&self, id: i64) -> Result<i64, Trouble> {
        let call =
            |channel, request| async move { LeaseClient::new(channel).lease_time_to_live(request).await };
        Ok(self.call(pb::LeaseTimeToLiveRequest { id, keys: false }, call).await?.ttl)
    }

    /// Renews a lease; returns false if it has expired.
    pub(in crate::engine::etcd) async fn keep_alive(&self, id: i64) -> Result<bool, Trouble> {
        let call = |channel, request: Request<pb::LeaseKeepAliveRequest>| async move {
            let (metadata, extensions, message) = request.into_parts();
            let request = Request::from_parts(metadata, extensions, tokio_stream::iter([message]));
            let mut responses = LeaseClient::new(channel).lease_keep_alive(request).await?.into_inner();
            let response = responses.next().await.ok_or_else(|| Status::unavailable("no response"))??;
            Ok(Response::new(response))
        };
        Ok(self.call(pb::LeaseKeepAliveRequest { id }, call).await?.ttl > 0)
    }

    pub(in crate::engine::etcd) async fn status(&self) -> Result<pb::StatusResponse, Trouble> {
        let call = |channel, request| async move { MaintenanceClient::new(channel).status(request).await };
        self.call(pb::StatusRequest {}, call).await
    }

    /// Watches until the connection ends.
    pub(in crate::engine::etcd) async fn watch(
        &self,
        create: pb::WatchCreateRequest,
    ) -> Result<Streaming<pb::WatchResponse>, Trouble> {
        let call = |channel, request: Request<pb::WatchCreateRequest>| async move {
            let (metadata, extensions, create) = request.into_parts();
            let create = pb::watch_request::RequestUnion::CreateRequest(create);
            let create = pb::WatchRequest { request_union: Some(create) };
            // etcd ends the watch when the stream of requests ends.
            let requests = tokio_stream::iter([create]).chain(tokio_stream::pending());
            let mut client = WatchClient::new(channel).max_decoding_message_size(usize::MAX);
            client.watch(Request::from_parts(metadata, extensions, requests)).await
        };
        self.call_once(create, &call).await
    }

    /// Returns the error of a call that changed nothing.
    pub(in crate::engine::etcd) fn error(&self, trouble: Trouble) -> Error {
        let place = self.place.clone();
        match trouble {
            Trouble::Final(reason) => reason.error(&self.place),
            Trouble::Lost(why) => {
                let why = format!(
                    "no majority of its members answered within {:?} ({why}); check that they run and can be reached",
                    self.timeout
                );
                Failure::Unreachable { place, why }.into()
            }
            Trouble::Compacted => {
                let why = "its history was compacted meanwhile; try again, and compact less often if this happens again".to_owned();
                Failure::Storage { place, action: "be read at one revision", why }.into()
            }
            Trouble::Token => Failure::Unreachable {
                place,
                why: "it rejects the authentication token that it just issued".to_owned(),
            }
            .into(),
            Trouble::Lease => {
                Failure::Storage { place, action: "keep a lease", why: "it expired immediately".to_owned() }
                    .into()
            }
            Trouble::Operations | Trouble::Bytes => {
                let why =
                    "its limits on one request are too low; raise them (--max-txn-ops, --max-request-bytes)"
                        .to_owned();
                Failure::Storage { place, action: "accept a request", why }.into()
            }
        }
    }

    /// Gets a token, within the timeout of a call.
    pub(in crate::engine::etcd) async fn log_in(&self) -> Result<(), Trouble> {
        self.renew_token(&mut Backoff::new(self.timeout)).await
    }

    /// Gets a new token.
    pub(in crate::engine::etcd) async fn renew_token(&self, backoff: &mut Backoff) -> Result<(), Trouble> {
        loop {
            match self.authenticate().await {
                Err(Trouble::Lost(why)) => backoff.next(why).await.map_err(Trouble::Lost)?,
                other => return other,
            }
        }
    }

    async fn authenticate(&self) -> Result<(), Trouble> {
        let Some((name, password)) = self.user.clone() else { return Ok(()) };
        // etcd would refuse an expired token before it checks the password.
        *self.token.write() = None;
        let call = |channel, request| async move { AuthClient::new(channel).authenticate(request).await };
        let response = self.call_once(pb::AuthenticateRequest { name, password }, &call).await?;
        let token = response
            .token
            .parse()
            .map_err(|_| Trouble::Lost("its authentication token is not text".to_owned()))?;
        *self.token.write() = Some(token);
        Ok(())
    }

    /// Makes a call, with retries until the timeout.
    async fn call<Q: Clone, A, F: Future<Output = Result<Response<A>, Status>>>(
        &self,
        message: Q,
        call: impl Fn(Channel, Request<Q>) -> F,
    ) -> Result<A, Trouble> {
        let mut backoff = Backoff::new(self.timeout);
        loop {
            match self.call_once(message.clone(), &call).await {
                Err(Trouble::Lost(why)) => backoff.next(why).await.map_err(Trouble::Lost)?,
                Err(Trouble::Token) => self.renew_token(&mut backoff).await?,
                other => return other,
            }
        }
    }

    /// Sends a request to the current member. If it does not respond, later requests go to the next.
    async fn call_once<Q, A, F: Future<Output = Result<Response<A>, Status>>>(
        &self,
        message: Q,
        call: &impl Fn(Channel, Request<Q>) -> F,
    ) -> Result<A, Trouble> {
        let current = self.current.load(Ordering::Relaxed);
        let Some(channel) = self.members.get(current % self.members.len().max(1)).cloned() else {
            return Err(Trouble::Lost("there are no members".to_owned()));
        };
        let mut request = Request::new(message);
        // Lets a member without a leader fail immediately instead of waiting for one.
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        if let Some(token) = self.token.read().clone() {
            request.metadata_mut().insert("token", token);
        }
        let response = timeout(RESPONSE_TIME_MAX, call(channel, request)).await;
        let status = match response {
            Ok(Ok(response)) => return Ok(response.into_inner()),
            Ok(Err(status)) => status,
            Err(_) => {
                Status::new(Code::DeadlineExceeded, format!("no response within {RESPONSE_TIME_MAX:?}"))
            }
        };
        let trouble = Trouble::of(&status);
        if let Trouble::Lost(why) = &trouble {
            tracing::debug!(place = %self.place, %why, "an etcd member did not respond");
            // Another call may already have switched to the next member.
            let _ = self.current.compare_exchange(
                current,
                current.wrapping_add(1),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
        Err(trouble)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("place", &self.place).finish_non_exhaustive()
    }
}

fn member(url: &str, options: &EtcdOptions) -> Result<Channel> {
    let invalid = |error: &dyn fmt::Display| {
        Error::argument(format!(
            "{url:?} is not the address of an etcd member ({error}): use http://HOST:PORT or https://HOST:PORT"
        ))
    };
    let mut endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| invalid(&error))?;
    match endpoint.uri().scheme_str() {
        Some("https") => endpoint = endpoint.tls_config(options.tls()).map_err(|error| invalid(&error))?,
        Some("http") => {}
        _ => return Err(invalid(&"it does not begin with http:// or https://")),
    }
    Ok(endpoint
        .connect_timeout(CONNECT_TIME_MAX)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL)
        .keep_alive_while_idle(true)
        .connect_lazy())
}

fn kv(channel: Channel) -> KvClient<Channel> {
    KvClient::new(channel).max_decoding_message_size(usize::MAX)
}

/// The growing delays between attempts, up to a deadline.
pub(in crate::engine::etcd) struct Backoff {
    deadline: Instant,
    length: Duration,
}

impl Backoff {
    pub(in crate::engine::etcd) fn new(timeout: Duration) -> Self {
        Self { deadline: Instant::now() + timeout, length: BACKOFF_MIN }
    }

    /// Waits before the next attempt; fails with `why` if that would exceed the deadline.
    pub(in crate::engine::etcd) async fn next(&mut self, why: String) -> Result<(), String> {
        if Instant::now() + self.length >= self.deadline {
            return Err(why);
        }
        // The jitter spreads the retries of clients that lost the same member.
        sleep(self.length.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        self.length = (self.length * 2).min(BACKOFF_MAX);
        Ok(())
    }
}
