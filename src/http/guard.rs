//! Access control by hosts, origins and tokens; default security headers.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::Options;
use super::exchange::problem::{Answer, Problem};

/// The transport of the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// A transport that web pages can use.
    Network,
    /// A Unix socket: the file system controls access, and browsers cannot use it.
    Socket,
}

/// The default headers of every response.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The paths that need neither a token nor a known host.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

struct Guard {
    options: Options,
    transport: Transport,
}

/// Wraps `router` in the guard.
pub(super) fn protect(router: Router, options: Options, transport: Transport) -> Router {
    router.layer(from_fn_with_state(Arc::new(Guard { options, transport }), guarded))
}

async fn guarded(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut response = match guard.check(&request) {
        Ok(()) => within(guard.options.time_max, next.run(request)).await,
        Err(problem) => problem.into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

async fn within(time: Duration, answer: impl Future<Output = Response>) -> Response {
    tokio::time::timeout(time, answer).await.unwrap_or_else(|_| {
        let detail = format!("there was no answer within {time:?}; the request may still take effect");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response()
    })
}

impl Guard {
    fn check(&self, request: &Request) -> Answer<()> {
        if self.transport == Transport::Socket {
            return Ok(());
        }
        let (uri, headers) = (request.uri(), request.headers());
        if !is_safe(request.method()) {
            refuse_other_sites(uri, headers)?;
        }
        if OPEN.contains(&uri.path()) {
            return Ok(());
        }
        match &self.options.token {
            Some(token) => match presented(headers) {
                Some(text) if token.is(&text) => Ok(()),
                Some(_) => Err(unauthorized("the token is wrong for this server")),
                None => Err(unauthorized(
                    "send the header Authorization: Bearer TOKEN; in a browser, give the token as the password",
                )),
            },
            None => self.check_host(host(uri, headers)),
        }
    }

    /// Refuses unknown hosts.
    ///
    /// Another site can resolve its name to this machine (DNS rebinding), but cannot change the
    /// name in the request.
    fn check_host(&self, host: Option<&str>) -> Answer<()> {
        if self.options.has_any_host {
            return Ok(());
        }
        let Some(host) = host else { return Err(Problem::bad_request("the request names no host")) };
        let name = without_port(host);
        if self.options.hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(name)) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            format!(
                "the request is for the host {name:?}, which this server does not accept; use localhost, or configure the server to allow that host or to require a token"
            ),
        ))
    }
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, detail)
}

pub(super) fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Refuses changes requested by pages of other sites.
fn refuse_other_sites(uri: &Uri, headers: &HeaderMap) -> Answer<()> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let is_own = match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            authority.is_some() && authority == host(uri, headers)
        }
        // Not a browser, or one that sends neither header.
        (None, None) => true,
    };
    if is_own {
        return Ok(());
    }
    Err(Problem::forbidden(
        "the request came from a page of another site; only pages of this server may change anything",
    ))
}

fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let named = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    named.or_else(|| uri.authority().map(|authority| authority.as_str()))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Returns the token of a request: a bearer token, or the password of basic authentication, which
/// is how a person gives it to a browser.
fn presented(headers: &HeaderMap) -> Option<Cow<'_, [u8]>> {
    let (scheme, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Cow::Borrowed(rest.trim().as_bytes()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = BASE64_STANDARD.decode(rest.trim()).ok()?;
    let colon = text.iter().position(|byte| *byte == b':')?;
    text.get(colon + 1..).map(|password| Cow::Owned(password.to_vec()))
}

/// Refuses requests that change the store.
pub(super) async fn read_only(request: Request, next: Next) -> Response {
    if is_safe(request.method()) {
        return next.run(request).await;
    }
    Problem::forbidden("the store is served read-only; nothing was changed").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_accepted_as_bearer_or_password() {
        let of = |text: &str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, text.parse().unwrap())]);
            presented(&headers).map(|token| String::from_utf8(token.into_owned()).unwrap())
        };
        assert_eq!(of("Bearer secret").as_deref(), Some("secret"));
        assert_eq!(of("bearer  secret ").as_deref(), Some("secret"));
        // me:sec:ret
        assert_eq!(of("Basic bWU6c2VjOnJldA==").as_deref(), Some("sec:ret"));
        for text in ["secret", "Basic secret", "Basic bWU=", "Digest secret", ""] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn hosts_are_parsed_without_their_port() {
        for (host, name) in
            [("a:80", "a"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("a", "a"), ("a:b", "a:b"), ("", "")]
        {
            assert_eq!(without_port(host), name);
        }
    }
}
