//! Decides what happens to an item after an attempt or a cancellation.

use super::attempt::{Attempt, CANCELLED, Verdict};
use super::dispatcher::Dispatcher;
use super::in_flight::Waiting;
use crate::run::Ending;
use crate::runner::stop::{Cancel, Shutdown};

impl Dispatcher {
    /// Settles an item; returns its end unless it is retried.
    pub(crate) fn settle(&self, attempt: &Attempt, verdict: Verdict) -> Option<Ending> {
        let mut item = attempt.take_item()?;
        let has_failed = attempt.has_errors() || verdict != Verdict::Done;
        if has_failed {
            self.tell_failure(attempt, &verdict);
        }
        match verdict {
            // Not retried, since a bug of the program does not go away.
            Verdict::Panicked(text) => {
                return Some(item.into_abort(&format!("the worker panicked: {text}")));
            }
            // The timeout is its error; the worker's result is not another one.
            Verdict::Failed(text) if !attempt.is_timed_out() && !attempt.is_cancelled() => {
                item.add_error(text);
            }
            Verdict::Failed(_) | Verdict::Done => {}
        }
        if has_failed && self.shared.stop() == Some(Shutdown::Now) {
            self.lock().is_cut_short = true;
            return Some(item.into_end());
        }
        let retry = &self.options.retry;
        let is_final = attempt.is_cancelled() || !retry.is_left_after(attempt.number());
        if !has_failed || is_final || self.run.is_over() {
            return Some(item.into_end());
        }
        let backoff = retry.backoff(attempt.number());
        let (process, instance, work) = (self.process(), self.run.instance(), attempt.name());
        tracing::debug!(
            process,
            instance,
            work,
            attempt = attempt.number() + 1,
            ?backoff,
            "item waits for a retry"
        );
        let due = self.now().saturating_add(backoff);
        item.note_failed_attempt();
        self.lock().wait_until(due, Waiting { item });
        None
    }

    fn tell_failure(&self, attempt: &Attempt, verdict: &Verdict) {
        let error = match verdict {
            Verdict::Done if attempt.is_timed_out() => "timed out",
            Verdict::Done if attempt.is_cancelled() => CANCELLED,
            Verdict::Done => "it has errors",
            Verdict::Failed(text) | Verdict::Panicked(text) => text,
        };
        let (process, instance, work) = (self.process(), self.run.instance(), attempt.name());
        tracing::debug!(process, instance, work, attempt = attempt.number(), error, "attempt failed");
    }
}

impl Cancel for Dispatcher {
    /// Cancels an item in progress or waiting for a retry.
    fn cancel(&self, work: &str) -> bool {
        let mut in_flight = self.lock();
        if in_flight.attempts().any(|attempt| attempt.name() == work && attempt.cancel()) {
            self.shared.signal.raise();
            return true;
        }
        let waits = |waiting: &Waiting| waiting.item.name() == work;
        let key = in_flight.waiting.iter().find(|(_, waiting)| waits(waiting)).map(|(key, _)| *key);
        let Some(Waiting { mut item }) = key.and_then(|key| in_flight.waiting.remove(&key)) else {
            return false;
        };
        // Keeps the run from ending before this end is stored.
        in_flight.busy += 1;
        drop(in_flight);
        item.add_error(CANCELLED);
        let _ = self.store_ends(vec![item.into_end()]);
        self.lock().busy -= 1;
        self.shared.signal.raise();
        true
    }
}
