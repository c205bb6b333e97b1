//! Calls to the members of a cluster: one is asked as long as it answers, and then the next.

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

/// How long a member may take to let us in.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);

/// How long one member may take to answer, before another one is asked. An election takes
/// one to two seconds.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// How soon a connection is found dead on which nothing comes.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// How long to wait before the next member is asked, at first and at most.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// The way to a cluster.
pub(in crate::engine::etcd) struct Line {
    pub(in crate::engine::etcd) place: String,
    members: Vec<Channel>,
    current: AtomicUsize,
    user: Option<(String, String)>,
    token: RwLock<Option<MetadataValue<Ascii>>>,
    /// How long a call goes on asking.
    pub(in crate::engine::etcd) patience: Duration,
}

impl Line {
    /// Connects to nobody yet. Must be called on a runtime.
    pub(in crate::engine::etcd) fn new(options: &EtcdOptions) -> Result<Self> {
        options.check()?;
        let members = options.endpoints.iter().map(|url| member(url, options)).collect::<Result<_>>()?;
        Ok(Self {
            place: options.place(),
            members,
            current: AtomicUsize::new(0),
            user: options.user.clone(),
            token: RwLock::default(),
            patience: options.timeout,
        })
    }

    /// Asks for a transaction once: whoever asks again must know what the first did.
    pub(in crate::engine::etcd) async fn txn_once(
        &self,
        txn: pb::TxnRequest,
    ) -> Result<pb::TxnResponse, Trouble> {
        self.ask_once(txn, &|channel, request| async move { kv(channel).txn(request).await }).await
    }

    /// One that does no harm if it is made twice.
    pub(in crate::engine::etcd) async fn txn(&self, txn: pb::TxnRequest) -> Result<pb::TxnResponse, Trouble> {
        self.ask(txn, |channel, request| async move { kv(channel).txn(request).await }).await
    }

    pub(in crate::engine::etcd) async fn range(
        &self,
        range: pb::RangeRequest,
    ) -> Result<pb::RangeResponse, Trouble> {
        self.ask(range, |channel, request| async move { kv(channel).range(request).await }).await
    }

    pub(in crate::engine::etcd) async fn grant(
        &self,
        grant: pb::LeaseGrantRequest,
    ) -> Result<pb::LeaseGrantResponse, Trouble> {
        let ask = |channel, request| async move { LeaseClient::new(channel).lease_grant(request).await };
        self.ask(grant, ask).await
    }

    pub(in crate::engine::etcd) async fn revoke(&self, id: i64) -> Result<pb::LeaseRevokeResponse, Trouble> {
        let ask = |channel, request| async move { LeaseClient::new(channel).lease_revoke(request).await };
        self.ask(pb::LeaseRevokeRequest { id }, ask).await
    }

    /// How many seconds a lease has left; below 0 if it has run out.
    pub(in crate::engine::etcd) async fn time_to_live(&self, id: i64) -> Result<i64, Trouble> {
        let ask =
            |channel, request| async move { LeaseClient::new(channel).lease_time_to_live(request).await };
        Ok(self.ask(pb::LeaseTimeToLiveRequest { id, keys: false }, ask).await?.ttl)
    }

    /// Renews a lease; answers whether it was there still.
    pub(in crate::engine::etcd) async fn keep_alive(&self, id: i64) -> Result<bool, Trouble> {
        let ask = |channel, request: Request<pb::LeaseKeepAliveRequest>| async move {
            let (metadata, extensions, message) = request.into_parts();
            let request = Request::from_parts(metadata, extensions, tokio_stream::iter([message]));
            let mut answers = LeaseClient::new(channel).lease_keep_alive(request).await?.into_inner();
            let answer = answers.next().await.ok_or_else(|| Status::unavailable("no answer came"))??;
            Ok(Response::new(answer))
        };
        Ok(self.ask(pb::LeaseKeepAliveRequest { id }, ask).await?.ttl > 0)
    }

    pub(in crate::engine::etcd) async fn status(&self) -> Result<pb::StatusResponse, Trouble> {
        let ask = |channel, request| async move { MaintenanceClient::new(channel).status(request).await };
        self.ask(pb::StatusRequest {}, ask).await
    }

    /// Watches until the connection ends.
    pub(in crate::engine::etcd) async fn watch(
        &self,
        create: pb::WatchCreateRequest,
    ) -> Result<Streaming<pb::WatchResponse>, Trouble> {
        let ask = |channel, request: Request<pb::WatchCreateRequest>| async move {
            let (metadata, extensions, create) = request.into_parts();
            let create = pb::watch_request::RequestUnion::CreateRequest(create);
            let create = pb::WatchRequest { request_union: Some(create) };
            // The watch is on for as long as there may be more requests.
            let requests = tokio_stream::iter([create]).chain(tokio_stream::pending());
            let mut client = WatchClient::new(channel).max_decoding_message_size(usize::MAX);
            client.watch(Request::from_parts(metadata, extensions, requests)).await
        };
        self.ask_once(create, &ask).await
    }

    /// What a call comes to that changes nothing.
    pub(in crate::engine::etcd) fn error(&self, trouble: Trouble) -> Error {
        let place = self.place.clone();
        match trouble {
            Trouble::Final(reason) => reason.error(&self.place),
            Trouble::Lost(why) => {
                let why = format!(
                    "no majority of its members answered within {:?} ({why}); see that they run and can be reached",
                    self.patience
                );
                Failure::Unreachable { place, why }.into()
            }
            Trouble::Compacted => {
                let why = "its history was compacted meanwhile; try again, and compact less often if it comes to this again".to_owned();
                Failure::Storage { place, action: "be read as of one moment", why }.into()
            }
            Trouble::Token => {
                Failure::Unreachable { place, why: "it takes back the token that it gave".to_owned() }.into()
            }
            Trouble::Lease => {
                Failure::Storage { place, action: "keep a lease", why: "it ran out at once".to_owned() }
                    .into()
            }
            Trouble::Operations | Trouble::Bytes => {
                let why = "it takes less in one request than any cluster is known to (--max-txn-ops, --max-request-bytes)".to_owned();
                Failure::Storage { place, action: "take a request", why }.into()
            }
        }
    }

    /// Gets a token, however long that takes a call.
    pub(in crate::engine::etcd) async fn log_in(&self) -> Result<(), Trouble> {
        self.renew_token(&mut Pause::new(self.patience)).await
    }

    /// Gets another token.
    pub(in crate::engine::etcd) async fn renew_token(&self, pause: &mut Pause) -> Result<(), Trouble> {
        loop {
            match self.authenticate().await {
                Err(Trouble::Lost(why)) => pause.next(why).await.map_err(Trouble::Lost)?,
                other => return other,
            }
        }
    }

    async fn authenticate(&self) -> Result<(), Trouble> {
        let Some((name, password)) = self.user.clone() else { return Ok(()) };
        // An old one would be refused before the password is looked at.
        *self.token.write() = None;
        let ask = |channel, request| async move { AuthClient::new(channel).authenticate(request).await };
        let answer = self.ask_once(pb::AuthenticateRequest { name, password }, &ask).await?;
        let token = answer.token.parse().map_err(|_| Trouble::Lost("its token is no text".to_owned()))?;
        *self.token.write() = Some(token);
        Ok(())
    }

    /// Asks for as long as a call may take.
    async fn ask<Q: Clone, A, F: Future<Output = Result<Response<A>, Status>>>(
        &self,
        question: Q,
        call: impl Fn(Channel, Request<Q>) -> F,
    ) -> Result<A, Trouble> {
        let mut pause = Pause::new(self.patience);
        loop {
            match self.ask_once(question.clone(), &call).await {
                Err(Trouble::Lost(why)) => pause.next(why).await.map_err(Trouble::Lost)?,
                Err(Trouble::Token) => self.renew_token(&mut pause).await?,
                other => return other,
            }
        }
    }

    /// Asks one member, and if there is no answer has the next one asked from then on.
    async fn ask_once<Q, A, F: Future<Output = Result<Response<A>, Status>>>(
        &self,
        question: Q,
        call: &impl Fn(Channel, Request<Q>) -> F,
    ) -> Result<A, Trouble> {
        let current = self.current.load(Ordering::Relaxed);
        let Some(channel) = self.members.get(current % self.members.len().max(1)).cloned() else {
            return Err(Trouble::Lost("there are no members".to_owned()));
        };
        let mut request = Request::new(question);
        // A member that is cut off from the others says so, instead of waiting for them.
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        if let Some(token) = self.token.read().clone() {
            request.metadata_mut().insert("token", token);
        }
        let answer = timeout(ANSWER_TIME_MAX, call(channel, request)).await;
        let status = match answer {
            Ok(Ok(answer)) => return Ok(answer.into_inner()),
            Ok(Err(status)) => status,
            Err(_) => Status::new(Code::DeadlineExceeded, format!("no answer within {ANSWER_TIME_MAX:?}")),
        };
        let trouble = Trouble::of(&status);
        if let Trouble::Lost(why) = &trouble {
            tracing::debug!(place = %self.place, %why, "a member of etcd did not answer");
            // Unless somebody else has gone on already.
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

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("place", &self.place).finish_non_exhaustive()
    }
}

fn member(url: &str, options: &EtcdOptions) -> Result<Channel> {
    let invalid = |error: &dyn fmt::Display| {
        Error::argument(format!(
            "{url:?} is no address of a member of etcd ({error}): http://HOST:PORT or https://HOST:PORT"
        ))
    };
    let mut endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| invalid(&error))?;
    match endpoint.uri().scheme_str() {
        Some("https") => endpoint = endpoint.tls_config(options.tls()).map_err(|error| invalid(&error))?,
        Some("http") => {}
        _ => return Err(invalid(&"it names no protocol")),
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

/// The time between attempts, longer each time, until there is no more.
pub(in crate::engine::etcd) struct Pause {
    deadline: Instant,
    length: Duration,
}

impl Pause {
    pub(in crate::engine::etcd) fn new(patience: Duration) -> Self {
        Self { deadline: Instant::now() + patience, length: PAUSE_MIN }
    }

    /// Waits, and hands `why` back when it is time to give up.
    pub(in crate::engine::etcd) async fn next(&mut self, why: String) -> Result<(), String> {
        if Instant::now() + self.length >= self.deadline {
            return Err(why);
        }
        // Those that lost the same member do not all come at once.
        sleep(self.length.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        self.length = (self.length * 2).min(PAUSE_MAX);
        Ok(())
    }
}
