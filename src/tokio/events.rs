//! The change feed as a stream.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::store::{Event, Watch};

/// A [`Watch`] as a stream: every event until the store is closed. It never slows a writer
/// down; a reader that falls behind hears [`Event::Missed`].
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
    /// The next event; `None` once the store is closed. Cancellation-safe: no event is lost
    /// when it is dropped. Blocks for nothing.
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
    /// The watch as a stream, for tasks (feature `tokio`; it needs no runtime).
    pub fn into_stream(self) -> Events {
        Events { watch: self }
    }
}
