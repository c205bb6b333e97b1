//! Metrics in the OpenMetrics format.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use parking_lot::Mutex;

use super::exchange::problem::{Answer, Problem};
use crate::Store;

mod figures;

/// How long counts are reused, as a multiple of the time they took, so that frequent scrapes do not
/// slow down a large store.
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

impl Metrics {
    /// Returns the metrics.
    ///
    /// Callers that arrive during a count share its result.
    pub(super) fn text(&self, store: &Store) -> Answer<String> {
        let mut last = self.last.lock();
        if let Some(scrape) = last.as_ref().filter(|scrape| Instant::now() < scrape.until) {
            return Ok(scrape.text.clone());
        }
        let begun = Instant::now();
        let text = figures::text(store).map_err(|error| {
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("the figures could not be written: {error}"),
            )
        })?;
        let took = begun.elapsed();
        let reuse = if took < Duration::from_millis(50) { Duration::ZERO } else { took * REUSE };
        *last = Some(Scrape { text: text.clone(), until: Instant::now() + reuse });
        Ok(text)
    }
}
