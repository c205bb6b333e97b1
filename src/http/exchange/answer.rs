//! Responses.

use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json as json_of};

use super::input::tag;
use super::problem::{Answer, Problem};
use crate::Effect;
use crate::interchange::{self, Message};

/// Returns a JSON response.
pub(crate) fn json(text: impl Into<String>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text.into()).into_response()
}

/// Returns a JSON response with the version as its ETag.
pub(crate) fn json_at(version: Option<u64>, text: impl Into<String>) -> Response {
    match version {
        Some(version) => ([(header::ETAG, tag(version))], json(text)).into_response(),
        None => json(text),
    }
}

/// Formats a message as canonical JSON.
pub(crate) fn canonical<M: Message>(message: &M) -> Answer<String> {
    // Stored data that came in as binary may have no JSON form; the request is not at fault.
    interchange::to_json(message).map_err(|error| Problem::new(StatusCode::NOT_ACCEPTABLE, error.to_string()))
}

/// Converts a message to a JSON value for a larger response.
pub(crate) fn canonical_value<M: Message>(message: &M) -> Answer<Value> {
    serde_json::from_str(&canonical(message)?).map_err(|error| unwritten(&error))
}

/// Serializes a type of the library.
pub(crate) fn value(of: &impl serde::Serialize) -> Answer<Value> {
    serde_json::to_value(of).map_err(|error| unwritten(&error))
}

fn unwritten(error: &serde_json::Error) -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the answer could not be written: {error}"))
}

/// Reports whether the client prefers protobuf to JSON.
pub(crate) fn prefers_protobuf(headers: &HeaderMap) -> bool {
    const KINDS: [&str; 3] =
        ["application/x-protobuf", "application/protobuf", "application/vnd.google.protobuf"];
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    let mut kinds = accepted.flat_map(|accept| accept.split(',')).map(|range| {
        let mut parts = range.split(';');
        let kind = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let quality = parts.find_map(|part| part.trim().strip_prefix("q=")?.parse().ok());
        (kind, quality.unwrap_or(1.0_f32))
    });
    let (mut protobuf, mut json) = (0.0, 0.0);
    for (kind, quality) in &mut kinds {
        if KINDS.contains(&kind.as_str()) {
            protobuf = quality.max(protobuf);
        } else if ["application/json", "application/*", "*/*"].contains(&kind.as_str()) {
            json = quality.max(json);
        }
    }
    protobuf > 0.0 && (protobuf >= json)
}

/// Returns whether a call changed anything.
pub(crate) fn effect(effect: Effect) -> Response {
    json(json_of!({ "changed": effect == Effect::Changed }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_selects_the_format() {
        let of = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            prefers_protobuf(&headers)
        };
        assert!(!prefers_protobuf(&HeaderMap::new()));
        for accept in ["application/x-protobuf", "text/html, application/protobuf;q=0.5, */*;q=0.1"] {
            assert!(of(accept), "{accept}");
        }
        for accept in ["*/*", "application/json, application/x-protobuf;q=0.5", "application/x-protobuf;q=0"]
        {
            assert!(!of(accept), "{accept}");
        }
    }
}
