//! Liveness and readiness.

use axum::extract::State;
use axum::http::StatusCode;

use crate::http::app::App;
use crate::http::exchange::problem::{Answer, Problem};

/// Reports that the program answers.
pub(crate) async fn lives() -> &'static str {
    "ok\n"
}

/// Reports whether the store is usable.
pub(crate) async fn is_ready(State(app): State<App>) -> Answer<&'static str> {
    let store = app.store.clone();
    app.calls
        .run(move || match store.check_usable() {
            Ok(()) => Ok("ok\n"),
            Err(error) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("{error:?}"))),
        })
        .await
}
