//! What is served where.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode, Uri};
use axum::routing::get;
use tokio::sync::watch;

use super::calls::Calls;
use super::guard::{self, Door};
use super::problem::Problem;
use super::{Options, health};
use crate::Store;

/// What the handlers share.
#[derive(Clone)]
pub(super) struct App {
    pub(super) store: Store,
    pub(super) calls: Calls,
    /// Turns true when answers without end are to end.
    pub(super) closes: watch::Receiver<bool>,
}

/// The API of `store`, to be nested into a service under any prefix. It needs a tokio
/// runtime with time.
///
/// ```
/// # let store = procstate::Store::in_memory();
/// use procstate::http::{Options, router};
///
/// let admin = router(&store, Options::new());
/// let service: axum::Router = axum::Router::new().nest("/admin", admin);
/// ```
#[must_use]
pub fn router(store: &Store, options: Options) -> Router {
    let (_, closes) = watch::channel(false);
    guard::protect(api(store, &options, closes), options, Door::Network)
}

/// The same without its guard.
pub(super) fn api(store: &Store, options: &Options, closes: watch::Receiver<bool>) -> Router {
    let app = App { store: store.clone(), calls: Calls::new(options.blocking_max), closes };
    Router::new()
        .route("/healthz", get(health::lives))
        .route("/readyz", get(health::is_ready))
        .fallback(nothing_here)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(options.body_bytes_max))
        .with_state(app)
}

async fn nothing_here(uri: Uri) -> Problem {
    let path = uri.path();
    Problem::new(
        StatusCode::NOT_FOUND,
        format!("there is nothing at {path:?}; /v1/openapi.json lists what there is"),
    )
}

async fn no_such_method(method: Method, uri: Uri) -> Problem {
    let path = uri.path();
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{method} does nothing at {path:?}"))
}
