//! Stays resident, and makes one run after the other. The store is open only during a run, so that
//! other programs can use it.

use std::time::Duration;

use procstate::proto::State;
use procstate::{Clock, SystemClock, Timestamp};

use super::schedule;
use super::session::{FOREVER, Pass, Session, paused};
use crate::commands::serve;
use crate::failure::{CommandStatus, Failure};
use crate::terminal::output::say;

/// The pause after a failure.
const TROUBLE_WAIT: Duration = Duration::from_secs(30);

/// The polling interval of the clock, which may be set, and stops while the system sleeps.
const CLOCK_INTERVAL: Duration = Duration::from_secs(10);

/// When to check again.
enum Next {
    End(CommandStatus),
    In(Duration),
    At(Timestamp),
}

impl Session<'_> {
    /// Stays resident, and runs on schedule.
    ///
    /// The store is open only during a run.
    pub(super) fn stay(&self) -> Result<CommandStatus, Failure> {
        let mut is_first = true;
        let mut planned: Option<Timestamp> = None;
        loop {
            let next = match self.look(is_first, planned) {
                Ok(next) => next,
                // A store that is missing at the start will not appear.
                Err(failure) if is_first => return Err(failure),
                Err(failure) => {
                    say(&format!("procstate: {failure}; trying again in {}s", TROUBLE_WAIT.as_secs()));
                    Next::In(TROUBLE_WAIT)
                }
            };
            is_first = false;
            let is_interrupted = match next {
                Next::End(found) => return Ok(found),
                Next::In(wait) => self.interrupts.sleep(wait),
                Next::At(at) => {
                    planned = Some(at);
                    self.sleep_until(at)
                }
            };
            if is_interrupted {
                return Ok(CommandStatus::Success);
            }
        }
    }

    /// Sleeps in steps, because the clock may be set or the system suspended.
    fn sleep_until(&self, at: Timestamp) -> bool {
        loop {
            let left = schedule::time_until(at);
            if self.interrupts.sleep(left.min(CLOCK_INTERVAL)) {
                return true;
            }
            if left <= CLOCK_INTERVAL {
                return false;
            }
        }
    }

    /// Makes a run if one is due; returns when to check again.
    fn look(&self, is_first: bool, planned: Option<Timestamp>) -> Result<Next, Failure> {
        let Some(store) = self.open(Some(FOREVER))? else { return Ok(Next::End(CommandStatus::Success)) };
        let server = serve::beside(&store);
        let process = store.process(&self.args.name)?;
        if let Some(every) = self.args.when.every.filter(|_| is_first) {
            // A claim would create a missing process, and wait with nothing to do.
            process.settings()?;
            process.set_schedule(Some(every))?;
        }
        let now = SystemClock::new().now();
        let is_time = match &self.args.when.cron {
            None => true,
            // An unfinished run continues at once.
            Some(_) if is_first => process.summary()?.state == State::Active,
            Some(_) => planned.is_none_or(|planned| planned <= now),
        };
        let pass = if !is_time || paused(&process)?.is_some() {
            Pass::NotNow
        } else {
            self.pass(&store, &process, self.args.when.cron.is_some())?
        };
        drop(server);
        store.close()?;
        if self.interrupts.any() {
            return Ok(Next::End(if let Pass::Ran(found) = pass { found } else { CommandStatus::Success }));
        }
        Ok(match (&self.args.when.cron, pass) {
            (Some(crontab), _) => Next::At(schedule::next(crontab, SystemClock::new().now())?),
            (None, Pass::NotDue(at)) => Next::At(at),
            // The next check determines when the next run is due.
            (None, Pass::Ran(_)) => Next::In(Duration::from_secs(1)),
            (None, Pass::NotNow) => Next::In(TROUBLE_WAIT),
        })
    }
}
