//! The server half of the protocol, in the program that has the store open.

mod body;
mod calls;
mod feed;
mod stream;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use prost::Message;
use tokio::sync::Semaphore;

use super::protocol::{OPENING_HEADER, PREFIX, PROTOCOL, PROTOCOL_HEADER};
use crate::engine::{Engine, Liveness};
use crate::error::Error;
use crate::proto::engine::Problem;
use crate::proto::engine::problem::Kind;
use crate::store::Store;

/// The maximum number of concurrent engine calls; others wait.
const CALLS_MAX: usize = 16;

const PROTOBUF: &str = "application/x-protobuf";

/// A store served to other programs.
pub(super) struct Service {
    store: Store,
    is_read_only: bool,
    calls: Arc<Semaphore>,
    /// Limits bodies that take much memory.
    large_bodies: Semaphore,
}

/// Returns the routes of the engine of `store` below `/engine/v1/`.
///
/// Every client that can reach them may read and write everything, or read everything.
pub(crate) fn service(store: &Store, is_read_only: bool) -> Router {
    let service = Arc::new(Service {
        store: store.clone(),
        is_read_only,
        calls: Arc::new(Semaphore::new(CALLS_MAX)),
        large_bodies: Semaphore::new(1),
    });
    Router::new().route(&format!("{PREFIX}{{call}}"), post(answer)).with_state(service)
}

async fn answer(State(service): State<Arc<Service>>, request: Request) -> Response {
    match service.answer(request).await {
        Ok(response) => response,
        Err(problem) => refusal(&problem),
    }
}

impl Service {
    async fn answer(self: &Arc<Self>, request: Request) -> Result<Response, Problem> {
        let call = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        self.check(request.headers(), &call)?;
        let body = self.body(request, &call).await?;
        match call.as_str() {
            "hello" => self.call(body, calls::hello).await,
            "get" => self.call(body, calls::get).await,
            "count" => self.call(body, calls::count).await,
            "commit" => self.call(body, calls::commit).await,
            "sync" => self.call(body, calls::sync).await,
            "stats" => self.call(body, calls::stats).await,
            "life" => self.call(body, calls::life).await,
            "scan" => self.stream(decode(body)?, stream::scan),
            "backup" => self.stream(decode(body)?, stream::backup),
            "log" => self.stream(decode(body)?, stream::log),
            "feed" => Ok(feed::feed(self)),
            _ => Err(Problem::new(Kind::Protocol, format!("this version of procstate has no call {call:?}"))),
        }
    }

    /// Checks that the caller means this opening of the store and uses the same protocol.
    fn check(&self, headers: &HeaderMap, call: &str) -> Result<(), Problem> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let spoken = header(PROTOCOL_HEADER).unwrap_or_default();
        if spoken != PROTOCOL.to_string() {
            let version = env!("CARGO_PKG_VERSION");
            let text = format!(
                "the program that has it open uses version {PROTOCOL} of the protocol (procstate {version}), but this one uses version {spoken}; use programs of the same version"
            );
            return Err(Problem::new(Kind::Protocol, text));
        }
        if header(OPENING_HEADER).is_some_and(|opening| opening != self.liveness().opening()) {
            let text = "it was closed and opened again; connect again";
            return Err(Problem::new(Kind::OtherOpening, text));
        }
        if self.is_read_only && call == "commit" {
            let text = "the store is served read-only; nothing was changed";
            return Err(Problem::new(Kind::ReadOnly, text));
        }
        Ok(())
    }

    /// Answers a call with one message.
    async fn call<Q, A>(
        self: &Arc<Self>,
        body: Bytes,
        call: fn(&Self, Q) -> crate::Result<A>,
    ) -> Result<Response, Problem>
    where
        Q: Message + Default + 'static,
        A: Message + 'static,
    {
        let question: Q = decode(body)?;
        let service = self.clone();
        let answer = self.blocking(move || call(&service, question)).await?;
        Ok(([(CONTENT_TYPE, PROTOBUF)], answer.encode_to_vec()).into_response())
    }

    /// Calls the engine on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> crate::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let gone = |why: &str| Problem::new(Kind::Other, format!("the program could not answer: {why}"));
        let permit = self.calls.clone().acquire_owned().await.map_err(|error| gone(&error.to_string()))?;
        // The caller may disconnect; the call continues, and counts until it ends.
        let called = tokio::task::spawn_blocking(move || {
            let answer = call();
            drop(permit);
            answer
        });
        called.await.map_err(|error| gone(&error.to_string()))?.map_err(Problem::from)
    }

    fn engine(&self) -> &dyn Engine {
        &*self.store.inner.engine
    }

    fn liveness(&self) -> &dyn Liveness {
        &*self.store.inner.liveness
    }
}

fn decode<Q: Message + Default>(body: Bytes) -> Result<Q, Problem> {
    Q::decode(body)
        .map_err(|error| Error::argument(format!("a message that does not decode: {error}")).into())
}

fn refusal(problem: &Problem) -> Response {
    let status = match problem.kind() {
        Kind::Protocol => StatusCode::NOT_IMPLEMENTED,
        Kind::OtherOpening => StatusCode::CONFLICT,
        Kind::ReadOnly => StatusCode::FORBIDDEN,
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
        Kind::Closed => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Corrupt | Kind::Poisoned | Kind::Other => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, [(CONTENT_TYPE, PROTOBUF)], problem.encode_to_vec()).into_response()
}
