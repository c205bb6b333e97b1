//! Extracts names, queries, preconditions and bodies from requests.

use std::fmt;
use std::marker::PhantomData;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap};
use axum::http::request::Parts;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::problem::{Answer, Problem};
use crate::Precondition;

/// The names in the path, each a percent-encoded segment.
#[derive(Debug)]
pub(crate) struct Names<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Names<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(names)) => Ok(Self(names)),
            Err(error) => {
                Err(Problem::bad_request(format!("the path cannot be read: {}", error.body_text())))
            }
        }
    }
}

/// The query. Unknown parameters are errors: a misspelt filter must not list everything.
#[derive(Debug)]
pub(crate) struct ParsedQuery<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for ParsedQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(error) => Err(Problem::bad_request(error.body_text())),
        }
    }
}

/// A JSON body. Unknown members are errors.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Answer<Self> {
        check_kind(request.headers())?;
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|error| Problem::new(error.status(), error.body_text()))?;
        let mut deserializer = serde_json::Deserializer::from_slice(&bytes);
        let read = serde_path_to_error::deserialize(&mut deserializer);
        let Object(body) =
            read.map_err(|error| Problem::bad_request(format!("the body cannot be read: {error}")))?;
        let ended = deserializer.end();
        ended.map_err(|error| Problem::bad_request(format!("the body cannot be read: {error}")))?;
        Ok(Self(body))
    }
}

/// Accepts only JSON objects, since serde also accepts arrays for structs.
#[derive(Debug, Default, Clone)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(PhantomData))
    }
}

struct Members<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Object)
    }
}

/// Requires a JSON content type, which other sites cannot send without a preflight request.
fn check_kind(headers: &HeaderMap) -> Answer<()> {
    const KINDS: [&str; 2] = ["application/json", "application/merge-patch+json"];
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let bare = kind.split(';').next().unwrap_or_default().trim();
    if KINDS.iter().any(|known| known.eq_ignore_ascii_case(bare)) {
        return Ok(());
    }
    let detail = format!("send the body with the header Content-Type: application/json, not {bare:?}");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
}

/// The condition in `If-Match` and `If-None-Match`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Condition(pub(crate) Precondition);

impl<S: Send + Sync> FromRequestParts<S> for Condition {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Answer<Self> {
        condition(&parts.headers).map(Self)
    }
}

fn condition(headers: &HeaderMap) -> Answer<Precondition> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default().trim());
    match (text(header::IF_MATCH), text(header::IF_NONE_MATCH)) {
        (None, None) => Ok(Precondition::None),
        (Some("*"), None) => Ok(Precondition::Present),
        (None, Some("*")) => Ok(Precondition::Absent),
        (Some(tag), None) => version(tag).map(Precondition::Version).ok_or_else(|| {
            Problem::new(
                StatusCode::PRECONDITION_FAILED,
                format!("If-Match: {tag:?} is not the ETag of an answer; nothing was changed"),
            )
        }),
        (Some(_), Some("*")) => Err(Problem::new(
            StatusCode::PRECONDITION_FAILED,
            "If-Match and If-None-Match: * cannot both hold; nothing was changed",
        )),
        _ => Err(Problem::bad_request("If-None-Match supports only *")),
    }
}

/// Returns the version in an entity tag.
fn version(tag: &str) -> Option<u64> {
    tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

/// Returns the entity tag of a version.
pub(crate) fn tag(version: u64) -> String {
    format!("\"{version}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&'static str, &'static str)]) -> Answer<Precondition> {
        let pairs = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        condition(&pairs.collect())
    }

    #[test]
    fn headers_are_preconditions() {
        assert_eq!(of(&[]).unwrap(), Precondition::None);
        assert_eq!(of(&[("if-match", "\"17\"")]).unwrap(), Precondition::Version(17));
        assert_eq!(of(&[("if-match", "*")]).unwrap(), Precondition::Present);
        assert_eq!(of(&[("if-none-match", "*")]).unwrap(), Precondition::Absent);
        for tag in ["17", "\"x\"", "W/\"17\"", "\"1\", \"2\"", "", "\""] {
            of(&[("if-match", tag)]).unwrap_err();
        }
        of(&[("if-none-match", "\"1\"")]).unwrap_err();
        of(&[("if-match", "*"), ("if-none-match", "*")]).unwrap_err();
    }
}
