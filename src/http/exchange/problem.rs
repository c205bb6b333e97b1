//! Errors as `application/problem+json` (RFC 9457) in the library's own words.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::Error;

/// A request that failed.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
}

/// The text of a problem as a response extension, for rendering in another form.
#[derive(Debug, Clone)]
pub(crate) struct Detail(pub(crate) String);

/// A result of a handler.
pub(crate) type Answer<T = Response> = Result<T, Problem>;

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }

    /// The request is invalid.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// The request is not permitted.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        // Includes the causes, on one line.
        Self::new(status(&error), format!("{error:?}"))
    }
}

fn status(error: &Error) -> StatusCode {
    if error.is_not_found() {
        StatusCode::NOT_FOUND
    } else if error.is_invalid() {
        StatusCode::BAD_REQUEST
    } else if error.is_precondition_failed() {
        StatusCode::PRECONDITION_FAILED
    } else if error.is_conflict() || error.is_exists() {
        StatusCode::CONFLICT
    } else if error.is_disk_full() {
        StatusCode::INSUFFICIENT_STORAGE
    } else if error.is_poisoned() || error.is_closed() {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::warn!(status = self.status.as_u16(), detail = self.detail, "a request failed");
        }
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let mut response = (self.status, body.to_string()).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"procstate\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
            // Makes browsers prompt for it.
            let scheme = HeaderValue::from_static("Basic realm=\"procstate\", charset=\"UTF-8\"");
            response.headers_mut().append(header::WWW_AUTHENTICATE, scheme);
        }
        response.extensions_mut().insert(Detail(self.detail));
        response
    }
}
