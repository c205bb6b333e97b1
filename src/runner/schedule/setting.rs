//! The schedule given to a builder.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::store::ProcessHandle;

/// The schedule given to a builder.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scheduled {
    pub(crate) every: Option<Duration>,
    pub(crate) offset: Duration,
    /// A cron expression and a time zone.
    #[cfg(feature = "cron")]
    pub(crate) cron: Option<(String, String)>,
}

impl Scheduled {
    /// Stores the schedule.
    ///
    /// Without one the process must exist.
    pub(crate) fn store(&self, process: &ProcessHandle) -> Result<()> {
        #[cfg(feature = "cron")]
        if let Some((expression, time_zone)) = &self.cron {
            if self.every.is_some() {
                return Err(Error::argument("a runner cannot have both a period and a cron expression"));
            }
            return process.set_cron(expression, time_zone).map(drop);
        }
        match self.every {
            Some(every) => process.set_schedule_with_offset(every, self.offset).map(drop),
            None if !self.offset.is_zero() => {
                Err(Error::argument("a runner with an offset needs a period; use `every`"))
            }
            None => process.settings().map(drop),
        }
    }
}
