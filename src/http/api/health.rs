//! Whether the program lives, and whether its store can be used.

use axum::extract::State;
use axum::http::StatusCode;

use crate::http::app::App;
use crate::http::exchange::problem::{Answer, Problem};

/// The program answers.
pub(crate) async fn lives() -> &'static str {
    "ok\n"
}

/// The store can be read, and nothing has stopped it.
pub(crate) async fn is_ready(State(app): State<App>) -> Answer<&'static str> {
    let store = app.store.clone();
    app.calls
        .run(move || match store.check_usable() {
            Ok(()) => Ok("ok\n"),
            Err(error) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("{error:?}"))),
        })
        .await
}
