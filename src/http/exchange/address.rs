//! Addresses below the prefix at which the router is nested.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, OriginalUri};
use axum::http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The characters allowed unescaped in a path segment (RFC 3986, "unreserved").
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The part of the requested address before this router's paths.
#[derive(Debug, Clone)]
pub(crate) struct Prefix(String);

impl<S: Send + Sync> FromRequestParts<S> for Prefix {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let own = parts.uri.path();
        let whole = parts.extensions.get::<OriginalUri>().map_or(own, |OriginalUri(uri)| uri.path());
        // If nested at `/admin`, the root is requested without a slash.
        let prefix = if own == "/" {
            whole.trim_end_matches('/')
        } else {
            whole.strip_suffix(own).unwrap_or_default()
        };
        Ok(Self(prefix.to_owned()))
    }
}

impl Prefix {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the address of a work item.
    pub(crate) fn work(&self, process: &str, work: &str) -> String {
        format!("{}/work/{}", self.process(process), segment(work))
    }

    /// Returns the address of a process.
    pub(crate) fn process(&self, process: &str) -> String {
        format!("{}/v1/processes/{}", self.0, segment(process))
    }
}

/// Encodes a name as a path segment.
///
/// Clients treat segments of dots as relative, unless the dots are encoded.
fn segment(name: &str) -> String {
    match name {
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => encoded(name),
    }
}

/// Encodes text for a path or a query.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}
