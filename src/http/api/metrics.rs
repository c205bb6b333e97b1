//! Metrics for monitoring and for programs.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::http::app::App;
use crate::http::exchange::answer::{json, value};
use crate::http::exchange::problem::Answer;

pub(crate) async fn scrape(State(app): State<App>) -> Answer {
    let (store, metrics) = (app.store.clone(), app.metrics.clone());
    let text = app.calls.run(move || metrics.text(&store)).await?;
    const KIND: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, KIND)], text).into_response())
}

pub(crate) async fn stats(State(app): State<App>) -> Answer {
    let store = app.store.clone();
    app.calls.run(move || Ok(json(value(&store.stats()?)?.to_string()))).await
}
