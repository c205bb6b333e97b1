//! Bodies of requests, which are bounded.

use std::time::Duration;

use axum::body::{Bytes, HttpBody, to_bytes};
use axum::extract::Request;

use super::Service;
use crate::model::limits::COMMIT_BYTES_MAX;
use crate::proto::engine::Problem;
use crate::proto::engine::problem::Kind;

/// No body is longer, but that of a commit.
const BODY_BYTES_MAX: usize = 16 << 10;

/// Nor any of a commit: keys and payloads, and what is said of them.
const COMMIT_BODY_BYTES_MAX: usize = 2 * COMMIT_BYTES_MAX;

/// Bodies that are longer come one after the other.
const LARGE_BODY_BYTES: usize = 1 << 20;

/// How long a body may take.
const BODY_TIME_MAX: Duration = Duration::from_secs(60);

impl Service {
    pub(super) async fn body(&self, request: Request, call: &str) -> Result<Bytes, Problem> {
        let refused = |why: String| Problem::new(Kind::Invalid, why);
        let max = if call == "commit" { COMMIT_BODY_BYTES_MAX } else { BODY_BYTES_MAX };
        let Some(length) = request.body().size_hint().exact() else {
            return Err(refused("the request does not say how long it is".to_owned()));
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
        body.map_err(|_| refused(format!("the request did not come within {BODY_TIME_MAX:?}")))?
            .map_err(|error| refused(format!("the request did not come: {error}")))
    }
}
