//! The routes.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::from_fn;
use axum::routing::{get, post};
use tokio::sync::watch;

use super::Options;
use super::api::{actions, health, metrics, openapi, processes, settings, work};
use super::app::App;
use super::dashboard::{self, Dashboard};
use super::events::{self, Hub};
use super::exchange::calls::Calls;
use super::exchange::problem::Problem;
use super::guard::{self, Transport};
use crate::Store;

/// Returns the API of `store`, to be nested into a service under any prefix.
///
/// It needs a tokio runtime with time enabled.
///
/// ```
/// # let store = procstate::Store::in_memory();
/// use procstate::http::{Options, router};
///
/// let admin = router(&store, Options::new());
/// let service: axum::Router = axum::Router::new().nest("/admin", admin);
/// ```
pub fn router(store: &Store, options: Options) -> Router {
    let (_, closes) = watch::channel(false);
    guard::protect(api(store, &options, closes), options, Transport::Network)
}

/// Returns the routes without the guard.
pub(super) fn api(store: &Store, options: &Options, closes: watch::Receiver<bool>) -> Router {
    let app = App {
        store: store.clone(),
        calls: Calls::new(options.blocking_max),
        events: Hub::new(),
        metrics: Arc::default(),
        dashboard: Arc::new(Dashboard::new(options.is_read_only)),
        closes,
    };
    Router::new()
        .route("/healthz", get(health::lives))
        .route("/readyz", get(health::is_ready))
        .route("/metrics", get(metrics::scrape))
        .merge(v1(options.is_read_only))
        .merge(dashboard::routes(&app))
        .fallback(nothing_here)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(options.body_bytes_max))
        .with_state(app)
}

fn v1(is_read_only: bool) -> Router<App> {
    let routes = Router::new()
        .route("/v1/openapi.json", get(openapi::document))
        .route("/v1/stats", get(metrics::stats))
        .route("/v1/events", get(events::listen))
        .route("/v1/processes", get(processes::list))
        .route("/v1/processes/{process}", get(processes::show))
        .route("/v1/processes/{process}/state", get(processes::state))
        .route("/v1/processes/{process}/history", get(processes::history))
        .route("/v1/processes/{process}/settings", get(settings::show).patch(settings::change))
        .route("/v1/processes/{process}/work", get(work::list).post(work::register_all))
        .route(
            "/v1/processes/{process}/work/{work}",
            get(work::show).put(work::register).delete(work::unregister),
        )
        .route("/v1/processes/{process}/release", post(actions::release))
        .route("/v1/processes/{process}/purge", post(actions::purge))
        .route("/v1/processes/{process}/pause", post(actions::pause))
        .route("/v1/processes/{process}/resume", post(actions::resume))
        .route("/v1/processes/{process}/retry", post(actions::retry))
        .route("/v1/processes/{process}/run", post(actions::run_now));
    if is_read_only { routes.route_layer(from_fn(guard::read_only)) } else { routes }
}

async fn nothing_here(uri: Uri) -> Problem {
    let path = uri.path();
    Problem::new(
        StatusCode::NOT_FOUND,
        format!("there is nothing at {path:?}; see /v1/openapi.json for the available paths"),
    )
}

async fn no_such_method(method: Method, uri: Uri) -> Problem {
    let path = uri.path();
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{path:?} does not support {method}"))
}
