//! Reads bodies of requests within limits.

use std::time::Duration;

use axum::body::{Bytes, HttpBody, to_bytes};
use axum::extract::Request;

use super::Service;
use crate::model::limits::COMMIT_BYTES_MAX;
use crate::proto::engine::Problem;
use crate::proto::engine::problem::Kind;

/// The maximum length of a body, except for commits.
const BODY_BYTES_MAX: usize = 16 << 10;

/// The maximum length of a commit's body: keys, payloads, and their encoding.
const COMMIT_BODY_BYTES_MAX: usize = 2 * COMMIT_BYTES_MAX;

/// Larger bodies are read one at a time.
const LARGE_BODY_BYTES: usize = 1 << 20;

/// The timeout for receiving a body.
const BODY_TIME_MAX: Duration = Duration::from_secs(60);

impl Service {
    pub(super) async fn body(&self, request: Request, call: &str) -> Result<Bytes, Problem> {
        let refused = |why: String| Problem::new(Kind::Invalid, why);
        let max = if call == "commit" { COMMIT_BODY_BYTES_MAX } else { BODY_BYTES_MAX };
        let Some(length) = request.body().size_hint().exact() else {
            return Err(refused("the request has no length".to_owned()));
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > max {
            return Err(refused(format!("the request takes {length} bytes; the limit is {max}")));
        }
        let turn = (length > LARGE_BODY_BYTES).then(|| self.large_bodies.acquire());
        let _turn = match turn {
            Some(turn) => turn.await.ok(),
            None => None,
        };
        let body = tokio::time::timeout(BODY_TIME_MAX, to_bytes(request.into_body(), max)).await;
        body.map_err(|_| refused(format!("the request was not received within {BODY_TIME_MAX:?}")))?
            .map_err(|error| refused(format!("the request was not received: {error}")))
    }
}
