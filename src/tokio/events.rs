//! The change feed as a stream.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::store::{Event, Watch};

/// A [`Watch`] as a stream of all events until the store is closed.
///
/// It never slows a writer down; a reader that falls behind receives [`Event::Missed`].
///
/// ```
/// use procstate::{Event, Params, Store};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> procstate::Result<()> {
/// let store = Store::in_memory();
/// let mut events = store.watch("gc").into_stream();
/// store.process("gckeys")?.register("project-1", Params::new())?;
/// let Some(Event::Committed { changes, .. }) = events.next().await else { panic!("nothing came") };
/// assert_eq!(changes[0].process, "gckeys");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a stream does nothing unless it is polled"]
pub struct Events {
    watch: Watch,
}

impl Events {
    /// Returns the next event; `None` once the store is closed.
    ///
    /// Never blocks the thread. Cancellation-safe: dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| self.watch.poll(cx.waker())).await
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.watch.poll(cx.waker())
    }
}

impl Watch {
    /// Converts the watch into a stream for tasks (feature `tokio`; needs no runtime).
    pub fn into_stream(self) -> Events {
        Events { watch: self }
    }
}
