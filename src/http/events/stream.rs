//! The event stream of a client.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::stream::{Stream, StreamExt, unfold};
use tokio::sync::watch;
use tokio::time::timeout;

use super::block;
use super::gather::Hub;
use super::ring::Place;

/// The keep-alive interval.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A client and its position.
pub(super) struct Client {
    hub: Arc<Hub>,
    moves: watch::Receiver<u64>,
    prefix: String,
    next: u64,
    /// The first event to send.
    first: Option<Bytes>,
}

impl Client {
    /// Creates a client that has received all events up to `last`.
    pub(super) fn new(hub: &Arc<Hub>, last: Option<u64>, prefix: String) -> Self {
        // Subscribes before it looks, so that no block is missed.
        let moves = hub.moves();
        let (seq, place) = hub.with(|state| {
            let ring = &state.ring;
            (ring.seq(), last.map_or(Place::At(ring.end()), |last| ring.after(last)))
        });
        let (next, first) = match (place, last) {
            // The event id must not skip the events that follow.
            (Place::At(next), Some(last)) => (next, block::ready(last)),
            (Place::At(next), None) => (next, block::ready(seq)),
            (Place::Lost(next), _) => (next, block::missed(seq)),
        };
        Self { hub: hub.clone(), moves, prefix, next, first: Some(first) }
    }

    /// Returns the events until the store is closed or `closes` becomes true.
    pub(super) fn into_stream(
        self,
        closes: watch::Receiver<bool>,
    ) -> impl Stream<Item = Result<Bytes, Infallible>> {
        let events = unfold(self, |mut client| async move {
            let event = client.next().await?;
            Some((Ok(event), client))
        });
        events.take_until(closing(closes))
    }

    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            self.moves.borrow_and_update();
            if let Some(event) = self.waiting() {
                return Some(event);
            }
            if !self.hub.is_on() {
                return None;
            }
            match timeout(KEEP_ALIVE, self.moves.changed()).await {
                Ok(moved) => moved.ok()?,
                Err(_) => return Some(Bytes::from_static(b": keep-alive\n\n")),
            }
        }
    }

    /// Returns the next event, if it is available.
    fn waiting(&mut self) -> Option<Bytes> {
        loop {
            let (found, seq) = self.hub.with(|state| (state.ring.get(self.next), state.ring.seq()));
            match found {
                Ok(block) => {
                    let block = block?;
                    self.next += 1;
                    if let Some(event) = block.event(&self.prefix) {
                        return Some(event);
                    }
                }
                Err(Place::At(next) | Place::Lost(next)) => {
                    self.next = next;
                    return Some(block::missed(seq));
                }
            }
        }
    }
}

async fn closing(mut closes: watch::Receiver<bool>) {
    if closes.wait_for(|is_closing| *is_closing).await.is_err() {
        // Without a sender it never closes.
        std::future::pending().await
    }
}
