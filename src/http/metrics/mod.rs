//! Figures for monitoring, as OpenMetrics text.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use parking_lot::Mutex;

use super::exchange::problem::{Answer, Problem};
use crate::Store;

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

impl Metrics {
    /// The figures as text. A caller that comes while they are counted waits for the same
    /// ones.
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
