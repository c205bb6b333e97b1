//! Interrupts items: after their time limit, on request, or because the runner stops.

use super::{CANCELLED, Dispatcher, TURN, Waiting};
use crate::run::WorkItem;
use crate::tokio::call::call;
use crate::tokio::dispatch::end::StepResult;
use crate::tokio::dispatch::in_flight::{CancelReason, Stage};
use crate::tokio::dispatch::mailbox::Cancel;
use crate::tokio::dispatch::task::Task;

impl Dispatcher<'_> {
    /// Cancels items over their time limit, and abandons futures that block their threads.
    pub(super) async fn check_timers(&mut self) -> StepResult {
        let now = self.runner.monotonic();
        while let Some((task, stage)) = self.in_flight.due(now) {
            match (stage, self.runner.options.item_timeout) {
                (Stage::Working, timeout) => {
                    task.add_error(&format!("timed out after {:?}", timeout.unwrap_or_default()));
                    self.in_flight.cancel(task.id, CancelReason::TimedOut, now);
                }
                (Stage::Told, _) => self.in_flight.drop_future(task.id, now),
                (Stage::Dropped, _) => self.abandon(&task).await?,
            }
        }
        Ok(())
    }

    async fn abandon(&mut self, task: &Task) -> StepResult {
        if !task.abandon() {
            // It has ended at the last moment; its event is on the way.
            return Ok(());
        }
        self.in_flight.remove(task.id);
        let (process, work) = (self.run.process().name(), &*task.name);
        tracing::error!(process, work, "a future blocks its thread and cannot be dropped; it is abandoned");
        let Some(item) = task.take_item() else { return Ok(()) };
        let why = "the worker blocked its thread and could not be cancelled; it was abandoned";
        Ok(call(self.store(), move || item.abort(why)).await?)
    }

    pub(super) fn check_cancels(&mut self) {
        for Cancel { work, answer } in self.context.mailbox.take_cancels() {
            let is_in_hand = self.cancel_attempt(&work) || self.cancel_waiting(&work);
            // The requester may be gone.
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

    /// Cancels waiting retries once the runner is stopping, or the run takes no more items; returns
    /// whether there are more.
    pub(super) async fn cut_retries(&mut self) -> StepResult<bool> {
        if self.stop().is_none() && !self.run.is_over() && !self.run.begins_no_more() {
            return Ok(false);
        }
        let mut cut: Vec<WorkItem> = Vec::new();
        while cut.len() < TURN
            && let Some((_, waiting)) = self.waiting.pop_first()
        {
            cut.push(waiting.item);
        }
        if !cut.is_empty() {
            self.is_cut_short = true;
            call(self.store(), move || cut.into_iter().try_for_each(WorkItem::finish)).await?;
        }
        Ok(!self.waiting.is_empty())
    }
}
