//! Settings and schedule of a process.

use std::time::Duration;

use jiff::Timestamp;

use super::Attempt;
use super::process::{Effect, ProcessHandle};
use crate::engine::Batch;
use crate::error::{Error, Result};
use crate::model::{schedule, time};
use crate::proto::{Params, record};

/// What operators set on a process.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// How often a run is due; `None`: whenever nobody holds the process. With a
    /// [`cron`](Settings::cron) expression, which counts then, about how often.
    pub schedule: Option<Duration>,
    /// By how much the slots of the schedule are put off.
    pub offset: Option<Duration>,
    /// The cron expression at whose times a run is due, and its time zone:
    /// `30 2 * * * Europe/Berlin`.
    pub cron: Option<String>,
    /// Parameters for the worker that hold for all work.
    pub params: Params,
    /// The last change of the settings; registering and unregistering work counts.
    pub changed: Option<Timestamp>,
}

impl ProcessHandle {
    /// The settings of the process.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](crate::Error::is_not_found) if the process is not in the
    /// store.
    pub fn settings(&self) -> Result<Settings> {
        self.existing_owner()?;
        let settings = self.read_settings()?.value;
        Ok(Settings {
            offset: schedule::offset(&settings).ok().flatten(),
            cron: schedule::cron(&settings).map(str::to_owned),
            schedule: time::period(&settings.schedule_frequency),
            changed: time::read(&settings.settings_time),
            params: schedule::without_schedule(settings.settings.unwrap_or_default()),
        })
    }

    /// Replaces the parameters. Creates the process if need be.
    ///
    /// A run that is on sees them after its next progress.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](crate::Error::is_invalid) if one is named `schedule.cron` or
    /// `schedule.offset`; if the store cannot be written.
    pub fn set_params(&self, params: Params) -> Result<Effect> {
        self.update_params(|current| current.clone_from(&params))
    }

    /// Changes the parameters by `update`, which may be called more than once.
    /// Creates the process if need be.
    ///
    /// ```
    /// # let store = procstate::Store::in_memory();
    /// let keys = store.process("gckeys")?;
    /// keys.update_params(|params| {
    ///     params.int_params.insert("keysPerAccount".to_owned(), 8);
    /// })?;
    /// assert_eq!(keys.settings()?.params.get_int("keysPerAccount"), Some(8));
    /// # Ok::<(), procstate::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`set_params`](ProcessHandle::set_params).
    pub fn update_params(&self, mut update: impl FnMut(&mut Params)) -> Result<Effect> {
        self.update_settings(|settings| {
            let params = settings.settings.get_or_insert_default();
            // Those of the schedule are not the caller's.
            let mut theirs = params.clone();
            params.string_params.retain(|name, _| schedule::is_reserved(name));
            theirs = schedule::without_schedule(theirs);
            update(&mut theirs);
            if let Some(name) = theirs.string_params.keys().find(|name| schedule::is_reserved(name)) {
                return Err(Error::argument(format!(
                    "the parameter {name} is part of the schedule; set that instead (`set_cron`, `set_schedule`)"
                )));
            }
            theirs.string_params.append(&mut params.string_params);
            *params = theirs;
            Ok(())
        })
    }

    /// Sets how often a run is due; `None`: whenever nobody holds the process.
    /// Creates the process if need be. [`RunnerBuilder::every`](crate::RunnerBuilder::every)
    /// says which slots a period makes.
    ///
    /// # Errors
    ///
    /// If the period is zero or over 292 billion years, or the store cannot be
    /// written.
    pub fn set_schedule(&self, every: Option<Duration>) -> Result<Effect> {
        match every {
            Some(every) => self.set_schedule_with_offset(every, Duration::ZERO),
            None => self.replace_schedule(None, None),
        }
    }

    /// [`set_schedule`](ProcessHandle::set_schedule), with slots that begin `offset`
    /// later: every day, with an offset of two hours, is at 02:00 UTC.
    ///
    /// # Errors
    ///
    /// As [`set_schedule`](ProcessHandle::set_schedule); if the offset is not below the
    /// period.
    pub fn set_schedule_with_offset(&self, every: Duration, offset: Duration) -> Result<Effect> {
        let period = checked_period(every)?;
        if offset >= every {
            return Err(Error::argument(format!(
                "an offset of {offset:?}; it must be below {every:?}, the period"
            )));
        }
        let wire = time::period_to_wire(offset).filter(|_| !offset.is_zero());
        self.replace_schedule(Some(period), wire.map(|wire| (schedule::OFFSET, wire.to_string())))
    }

    /// Has runs due at the times of a cron expression of five fields, on the clock of a
    /// time zone by its IANA name. Creates the process if need be.
    ///
    /// ```
    /// # let store = procstate::Store::in_memory();
    /// store.process("gckeys")?.set_cron("30 2 * * *", "Europe/Berlin")?;
    /// # Ok::<(), procstate::Error>(())
    /// ```
    ///
    /// - A run is due at these times alone: changed settings and new work wait for the
    ///   next, and the first run does too.
    /// - Times that nobody was there for are made up for by one run.
    /// - Where daylight saving leaves a time out, the run comes as much later as the clock
    ///   was put on; of a time that comes twice the first counts: one run each. An
    ///   expression whose hours begin with `*` goes by the hours as they pass.
    /// - It is kept as the parameter `schedule.cron` among the settings, which goes
    ///   through export and import. The schema's `schedule_frequency` is set to the
    ///   shortest time between the next ten runs, for programs that know only that.
    /// - A program without the feature `cron` gets an error when it claims the process.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](crate::Error::is_invalid) if the expression makes no sense or never
    /// comes, or the machine does not know the time zone; if the store cannot be written.
    #[cfg(feature = "cron")]
    pub fn set_cron(&self, expression: &str, time_zone: &str) -> Result<Effect> {
        let text = format!("{} {time_zone}", expression.split_whitespace().collect::<Vec<_>>().join(" "));
        let cron = crate::model::cron::Cron::parse(&text).map_err(Error::argument)?;
        let period = cron.shortest_period(self.store.now()).ok_or_else(|| {
            Error::argument(format!("the cron expression {text:?}: none of its times comes in four years"))
        })?;
        self.replace_schedule(Some(checked_period(period)?), Some((schedule::CRON, text)))
    }

    fn replace_schedule(
        &self,
        frequency: Option<prost_types::Duration>,
        param: Option<(&str, String)>,
    ) -> Result<Effect> {
        self.update_settings(|settings| {
            let params = settings.settings.clone().unwrap_or_default();
            let is_same_cron = param
                .as_ref()
                .is_some_and(|(name, text)| *name == schedule::CRON && params.get_string(name) == Some(text));
            // It differs from day to day around a change of the clocks.
            if is_same_cron && settings.schedule_frequency.is_some() {
                return Ok(());
            }
            settings.schedule_frequency = frequency;
            settings.schedule_set = None;
            let mut params = schedule::without_schedule(params);
            if let Some((name, text)) = &param {
                params.string_params.insert((*name).to_owned(), text.clone());
                let is_cron = *name == schedule::CRON;
                settings.schedule_set = is_cron.then(|| time::to_wire(self.store.now()));
            }
            if settings.settings.is_some() || param.is_some() {
                settings.settings = Some(params);
            }
            Ok(())
        })
    }

    fn update_settings(&self, mut update: impl FnMut(&mut record::Settings) -> Result<()>) -> Result<Effect> {
        self.store.change(self.durability, || {
            let (owner, read) = (self.read_owner()?, self.read_settings()?);
            let mut settings = read.value.clone();
            update(&mut settings)?;
            if read.is_present() && settings == read.value {
                return Ok(Attempt::Done(Effect::Unchanged));
            }
            let batch = self.put_settings(Batch::new(), &read, settings);
            Ok(Attempt::Commit(self.create_in(batch, &owner), Effect::Changed))
        })
    }
}

fn checked_period(every: Duration) -> Result<prost_types::Duration> {
    time::period_to_wire(every).filter(|_| !every.is_zero()).ok_or_else(|| {
        Error::argument(format!("a schedule of {every:?}; it must be above zero and fit 64 bits of seconds"))
    })
}
