//! The options of a router and a server.

use std::time::Duration;

use super::Token;

/// How a store is served.
///
/// By default every client that addresses the host as `localhost`, `127.0.0.1` or `[::1]` may read
/// and change the store, which suits listeners that only this machine can reach. For all others set
/// a [`token`](Options::token).
///
/// ```
/// use procstate::http::{Options, Token};
/// use std::time::Duration;
///
/// let options = Options::new()
///     .token(Token::new("a-secret-of-at-least-16-characters")?)
///     .allow_host("jobs.example.org")
///     .read_only(true)
///     .body_bytes_max(1 << 20)
///     .time_max(Duration::from_secs(10))
///     .blocking_max(8);
/// // Only behind a proxy that checks the Host header.
/// let open = options.clone().allow_any_host();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Options {
    pub(super) token: Option<Token>,
    pub(super) hosts: Vec<String>,
    pub(super) has_any_host: bool,
    pub(super) is_read_only: bool,
    pub(super) body_bytes_max: usize,
    pub(super) time_max: Duration,
    pub(super) blocking_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            token: None,
            hosts: ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).to_vec(),
            has_any_host: false,
            is_read_only: false,
            body_bytes_max: 16 << 20,
            time_max: Duration::from_secs(30),
            blocking_max: 8,
        }
    }
}

impl Options {
    /// Returns the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Requires this bearer token in every request except for `/healthz` and `/readyz`.
    ///
    /// Requests with the token may name any host, since a page of another site does not know it.
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Accepts requests for this host too (`state.example.com`, without a port), even without a
    /// token.
    pub fn allow_host(mut self, host: impl Into<String>) -> Self {
        self.hosts.push(host.into().to_ascii_lowercase());
        self
    }

    /// Accepts requests for any host without a token.
    ///
    /// Only for a router behind something that authenticates clients: otherwise any web page that a
    /// person opens can reach the store through that person's browser (DNS rebinding).
    pub fn allow_any_host(mut self) -> Self {
        self.has_any_host = true;
        self
    }

    /// Refuses every request that would change something.
    pub fn read_only(mut self, is_read_only: bool) -> Self {
        self.is_read_only = is_read_only;
        self
    }

    /// Sets the maximum length of a request body, in bytes. Default: 16 MiB.
    pub fn body_bytes_max(mut self, bytes: usize) -> Self {
        self.body_bytes_max = bytes;
        self
    }

    /// Sets the timeout for the start of a response. Default: 30 s.
    pub fn time_max(mut self, time: Duration) -> Self {
        self.time_max = time;
        self
    }

    /// Sets how many store calls may run concurrently, at least 1; others wait. Default: 8.
    pub fn blocking_max(mut self, calls: usize) -> Self {
        self.blocking_max = calls.max(1);
        self
    }
}
