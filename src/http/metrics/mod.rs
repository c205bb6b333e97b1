//! Figures for monitoring, as OpenMetrics text.

use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use parking_lot::Mutex;

use super::exchange::answer::{json, value};
use super::exchange::problem::{Answer, Problem};
use super::routes::App;

mod figures;

/// How much longer than it took to count them, counts are answered again: reading every item
/// of a large store once a scrape must not slow it down.
const REUSE: u32 = 10;

/// The last scrape.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    last: Mutex<Option<Scrape>>,
}

#[derive(Debug)]
struct Scrape {
    text: String,
    until: Instant,
}

pub(super) async fn scrape(State(app): State<App>) -> Answer {
    let (store, metrics) = (app.store.clone(), app.metrics.clone());
    let text = app
        .calls
        .run(move || {
            // Who comes meanwhile waits for the same figures.
            let mut last = metrics.last.lock();
            if let Some(scrape) = last.as_ref().filter(|scrape| Instant::now() < scrape.until) {
                return Ok(scrape.text.clone());
            }
            let begun = Instant::now();
            let text = figures::text(&store).map_err(|error| {
                Problem::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    format!("the figures could not be written: {error}"),
                )
            })?;
            let took = begun.elapsed();
            let reuse = if took < Duration::from_millis(50) { Duration::ZERO } else { took * REUSE };
            *last = Some(Scrape { text: text.clone(), until: Instant::now() + reuse });
            Ok(text)
        })
        .await?;
    const KIND: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, KIND)], text).into_response())
}

pub(super) async fn stats(State(app): State<App>) -> Answer {
    let store = app.store.clone();
    app.calls.run(move || Ok(json(value(&store.stats()?)?.to_string()))).await
}
