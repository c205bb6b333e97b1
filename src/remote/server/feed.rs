//! Streams commits to a subscriber.

use std::future::poll_fn;
use std::sync::Arc;

use axum::response::Response;

use super::super::wire;
use super::Service;
use super::stream::{SIGN_INTERVAL, channel, send};
use crate::engine::Received;
use crate::proto::engine::frame::What;
use crate::proto::engine::{End, Listening};

/// The number of commits buffered for a slow subscriber; later ones are missed.
const CAPACITY: usize = 4096;

pub(super) fn feed(service: &Arc<Service>) -> Response {
    let subscription = service.engine().feed().subscribe(CAPACITY);
    let (chunks, response) = channel();
    tokio::spawn(async move {
        let mut next = Some(What::Listening(Listening {}));
        loop {
            let is_last = matches!(next, Some(What::End(_)));
            if send(&chunks, wire::encode(next).into()).await.is_none() || is_last {
                return;
            }
            let received = poll_fn(|context| subscription.poll(context.waker()));
            // A closed connection is noticed at the next heartbeat.
            next = match tokio::time::timeout(SIGN_INTERVAL, received).await {
                Ok(Received::Commit(commit)) => Some(What::Announced(wire::announced(&commit))),
                Ok(Received::Missed(missed)) => Some(What::Missed(missed)),
                Ok(Received::Closed) => Some(What::End(End {})),
                Ok(Received::Nothing) | Err(_) => None,
            };
        }
    });
    response
}
