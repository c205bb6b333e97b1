//! Cutting items short: after their time, because somebody asks, or because the runner stops.

use super::{CANCELLED, Dispatcher, TURN, Waiting};
use crate::tokio::dispatch::end::StepResult;
use crate::tokio::dispatch::in_flight::{CancelReason, Stage};
use crate::tokio::dispatch::mailbox::Cancel;
use crate::tokio::dispatch::task::Task;

impl Dispatcher<'_> {
    /// Cancels what has taken too long, and leaves behind what blocks its thread.
    pub(super) fn check_timers(&mut self) -> StepResult {
        let now = self.runner.monotonic();
        while let Some((task, stage)) = self.in_flight.due(now) {
            match (stage, self.runner.options.item_timeout) {
                (Stage::Working, timeout) => {
                    task.add_error(&format!("timed out after {:?}", timeout.unwrap_or_default()));
                    self.in_flight.cancel(task.id, CancelReason::TimedOut, now);
                }
                (Stage::Told, _) => self.in_flight.drop_future(task.id, now),
                (Stage::Dropped, _) => self.abandon(&task)?,
            }
        }
        Ok(())
    }

    fn abandon(&mut self, task: &Task) -> StepResult {
        if !task.abandon() {
            // It has ended at the last moment; the event is on its way.
            return Ok(());
        }
        self.in_flight.remove(task.id);
        let (process, work) = (self.run.process().name(), &*task.name);
        tracing::error!(process, work, "a future blocks its thread and cannot be dropped; it is left behind");
        let Some(item) = task.take_item() else { return Ok(()) };
        Ok(item.abort("the worker blocked its thread and could not be cancelled; it was left behind")?)
    }

    pub(super) fn check_cancels(&mut self) {
        for Cancel { work, answer } in self.context.mailbox.take_cancels() {
            let is_in_hand = self.cancel_attempt(&work) || self.cancel_waiting(&work);
            // Who asked may have gone.
            let _ = answer.send(is_in_hand);
        }
    }

    fn cancel_attempt(&mut self, work: &str) -> bool {
        let task = self.in_flight.tasks().find(|task| *task.name == *work).cloned();
        task.is_some_and(|task| self.in_flight.cancel(task.id, CancelReason::Asked, self.runner.monotonic()))
    }

    fn cancel_waiting(&mut self, work: &str) -> bool {
        let waiting = self.waiting.iter().find(|(_, waiting)| waiting.item.name() == work);
        let waiting = waiting.map(|(key, _)| *key).and_then(|key| self.waiting.remove(&key));
        let Some(Waiting { mut item, .. }) = waiting else { return false };
        item.add_error(CANCELLED);
        self.ends.push(item.into_end());
        true
    }

    pub(super) fn check_stop(&mut self) {
        let now = self.runner.monotonic();
        let is_past = self.stop().is_some_and(|stop| now >= stop.deadline);
        if is_past && !self.is_past_deadline {
            self.is_past_deadline = true;
            self.in_flight.cancel_all(CancelReason::Stopping, now);
        }
    }

    /// Once the runner is to stop, or the run takes no more, no item waits for another
    /// attempt. Answers whether there are more of them.
    pub(super) fn cut_retries(&mut self) -> StepResult<bool> {
        if self.stop().is_none() && !self.run.is_over() && !self.run.takes_no_more() {
            return Ok(false);
        }
        for _ in 0..TURN {
            let Some((_, waiting)) = self.waiting.pop_first() else { return Ok(false) };
            self.is_cut_short = true;
            waiting.item.finish()?;
        }
        Ok(!self.waiting.is_empty())
    }
}
