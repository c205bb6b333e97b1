//! The schedule that a builder of runners is told, and stores.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::store::ProcessHandle;

/// What was said of the schedule of a process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scheduled {
    pub(crate) every: Option<Duration>,
    pub(crate) offset: Duration,
    /// An expression and a time zone.
    #[cfg(feature = "cron")]
    pub(crate) cron: Option<(String, String)>,
}

impl Scheduled {
    /// Stores the schedule. If none was said the process must be there.
    pub(crate) fn store(&self, process: &ProcessHandle) -> Result<()> {
        #[cfg(feature = "cron")]
        if let Some((expression, time_zone)) = &self.cron {
            if self.every.is_some() {
                return Err(Error::argument("a runner with both a period and a cron expression"));
            }
            return process.set_cron(expression, time_zone).map(drop);
        }
        match self.every {
            Some(every) => process.set_schedule_with_offset(every, self.offset).map(drop),
            None if !self.offset.is_zero() => {
                Err(Error::argument("a runner with an offset and no period; say `every`"))
            }
            None => process.settings().map(drop),
        }
    }
}
