//! The settings and the schedule of a process.

use std::time::Duration;

use jiff::Timestamp;

use super::run_limits::{put_max_failed_items, put_min_interval};
use crate::engine::Batch;
use crate::error::{Error, Result};
use crate::model::{FailureLimit, run_limits, schedule, time};
use crate::proto::{Params, record};
use crate::record::Key;
use crate::store::process::{Effect, ProcessHandle};
use crate::store::{Attempt, Precondition};

/// The operator settings of a process.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// How often a run is due; `None`: whenever the process is not held. With a
    /// [`cron`](Settings::cron) expression, which takes precedence, only an approximation.
    pub schedule: Option<Duration>,
    /// The offset of the schedule's slots.
    pub offset: Option<Duration>,
    /// The cron expression of the schedule with its time zone: `30 2 * * * Europe/Berlin`.
    pub cron: Option<String>,
    /// How many items of a run may fail; `None`: any number, unless the claim or runner sets a
    /// limit.
    pub max_failed_items: Option<FailureLimit>,
    /// The minimum time between the starts of two runs; `None`: none, unless the claim or runner
    /// sets one.
    pub min_interval: Option<Duration>,
    /// Parameters for the worker that apply to all work.
    pub params: Params,
    /// When the settings last changed, which includes registering and unregistering work.
    pub changed: Option<Timestamp>,
    /// The version of their record, for a [`Precondition`]: the sequence number of the last commit
    /// that wrote it; 0 if there is none.
    pub version: u64,
}

impl Settings {
    fn read(record: &record::Settings, version: Option<u64>) -> Self {
        Self {
            offset: schedule::offset(record).ok().flatten(),
            cron: schedule::cron(record).map(str::to_owned),
            schedule: time::period(&record.schedule_frequency),
            changed: time::read(&record.settings_time),
            max_failed_items: run_limits::max_failed_items(record).ok().flatten(),
            min_interval: run_limits::min_interval(record).ok().flatten(),
            params: run_limits::without_reserved(record.settings.clone().unwrap_or_default()),
            version: version.unwrap_or_default(),
        }
    }
}

impl ProcessHandle {
    /// Returns the settings of the process.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](crate::Error::is_not_found) if the process is not in the
    /// store.
    pub fn settings(&self) -> Result<Settings> {
        self.must_exist()?;
        let read = self.read_settings()?;
        Ok(Settings::read(&read.value, read.version))
    }

    /// Changes settings and schedule in one commit, if `precondition` holds for the settings.
    ///
    /// `change` may be called more than once. Creates the process if needed.
    ///
    /// With [`cron`](Settings::cron) set, `schedule` and `offset` are derived from it and ignored
    /// here; for a period instead, set `cron` to `None`. Changes of `changed` and `version` are
    /// ignored.
    ///
    /// ```
    /// # use procstate::{Precondition, Store};
    /// # use std::time::Duration;
    /// # let store = Store::in_memory();
    /// # let keys = store.process("gckeys")?;
    /// # keys.set_schedule(Some(Duration::from_secs(60)))?;
    /// let seen = keys.settings()?;
    /// let hourly = |settings: &mut procstate::Settings| {
    ///     settings.schedule = Some(Duration::from_secs(3600));
    ///     settings.params.int_params.insert("keysPerAccount".to_owned(), 8);
    /// };
    /// keys.change_settings(Precondition::Version(seen.version), hourly)?;
    /// let error = keys.change_settings(Precondition::Version(seen.version), hourly).unwrap_err();
    /// assert!(error.is_precondition_failed());
    /// # Ok::<(), procstate::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`is_precondition_failed`](crate::Error::is_precondition_failed) if it does not hold;
    /// otherwise as the calls that set the parameters and the schedule.
    pub fn change_settings(
        &self,
        precondition: Precondition,
        mut change: impl FnMut(&mut Settings),
    ) -> Result<Effect> {
        self.update_settings_if(precondition, |record| {
            let before = Settings::read(record, None);
            let mut after = before.clone();
            change(&mut after);
            let schedule = |settings: &Settings| (settings.schedule, settings.offset);
            if after.cron != before.cron || (after.cron.is_none() && schedule(&after) != schedule(&before)) {
                let (frequency, param) = self.scheduled(&after)?;
                self.put_schedule(record, frequency, param);
            }
            if after.max_failed_items != before.max_failed_items {
                put_max_failed_items(record, after.max_failed_items)?;
            }
            if after.min_interval != before.min_interval {
                put_min_interval(record, after.min_interval)?;
            }
            if after.params != before.params {
                put_params(record, |params| *params = after.params)?;
            }
            Ok(())
        })
    }

    /// Encodes the schedule of the settings for storage.
    fn scheduled(&self, settings: &Settings) -> Result<Scheduled> {
        if let Some(cron) = &settings.cron {
            return self.by_cron(cron);
        }
        match (settings.schedule, settings.offset.unwrap_or_default()) {
            (Some(every), offset) => by_period(every, offset),
            (None, Duration::ZERO) => Ok((None, None)),
            (None, offset) => Err(Error::argument(format!("an offset of {offset:?} needs a schedule"))),
        }
    }

    /// Replaces the parameters. Creates the process if needed.
    ///
    /// An active run sees them after its next progress.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](crate::Error::is_invalid) if a parameter has the name of another setting:
    /// `schedule.cron`, `schedule.offset`, `run.max_failed_items` or `run.min_interval`; if the
    /// store cannot be written.
    pub fn set_params(&self, params: Params) -> Result<Effect> {
        self.update_params(|current| current.clone_from(&params))
    }

    /// Changes the parameters with `update`, which may be called more than once.
    ///
    /// Creates the process if needed.
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
        self.update_settings(|settings| put_params(settings, &mut update))
    }

    /// Sets how often a run is due; `None`: whenever the process is not held.
    ///
    /// [`RunnerBuilder::every`](crate::RunnerBuilder::every) describes the slots of a period.
    /// Creates the process if needed.
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

    /// Sets a schedule whose slots begin `offset` later: daily with an offset of two hours means
    /// 02:00 UTC.
    ///
    /// See [`set_schedule`](ProcessHandle::set_schedule).
    ///
    /// # Errors
    ///
    /// As [`set_schedule`](ProcessHandle::set_schedule); if the offset is not below the
    /// period.
    pub fn set_schedule_with_offset(&self, every: Duration, offset: Duration) -> Result<Effect> {
        let (frequency, param) = by_period(every, offset)?;
        self.replace_schedule(frequency, param)
    }

    /// Schedules runs by a cron expression of five fields, evaluated in a time zone with an IANA
    /// name.
    ///
    /// Creates the process if needed.
    ///
    /// ```
    /// # let store = procstate::Store::in_memory();
    /// store.process("gckeys")?.set_cron("30 2 * * *", "Europe/Berlin")?;
    /// # Ok::<(), procstate::Error>(())
    /// ```
    ///
    /// - A run is due only at these times: changed settings and new work wait for the next one,
    ///   and so does the first run.
    /// - One run makes up for all missed times.
    /// - A time skipped by daylight saving moves later by the length of the gap; an ambiguous
    ///   time means the first occurrence: one run each. An expression whose hours begin with `*`
    ///   follows elapsed hours.
    /// - It is stored as the settings parameter `schedule.cron`, which exports and imports
    ///   preserve. The schema's `schedule_frequency` is set to the shortest interval between the
    ///   next ten runs, for programs that do not know cron.
    /// - A program without the feature `cron` gets an error when it claims the process.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](crate::Error::is_invalid) if the expression is invalid or has no time within
    /// four years, or the machine does not know the time zone; if the store cannot be written.
    #[cfg(feature = "cron")]
    pub fn set_cron(&self, expression: &str, time_zone: &str) -> Result<Effect> {
        let (frequency, param) = self.by_cron(&format!("{expression} {time_zone}"))?;
        self.replace_schedule(frequency, param)
    }

    #[cfg(feature = "cron")]
    fn by_cron(&self, text: &str) -> Result<Scheduled> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let cron = schedule::cron::Cron::parse(&text).map_err(Error::argument)?;
        let period = cron.shortest_period(self.store.now()).ok_or_else(|| {
            Error::argument(format!("the cron expression {text:?} has no time within the next four years"))
        })?;
        Ok((Some(checked_period(period)?), Some((schedule::CRON, text))))
    }

    #[cfg(not(feature = "cron"))]
    #[allow(clippy::unused_self, reason = "as with the feature")]
    fn by_cron(&self, text: &str) -> Result<Scheduled> {
        Err(Error::argument(format!(
            "the cron expression {text:?}: this program is built without the feature `cron`"
        )))
    }

    fn replace_schedule(
        &self,
        frequency: Option<prost_types::Duration>,
        param: Option<(&'static str, String)>,
    ) -> Result<Effect> {
        self.update_settings(|settings| {
            self.put_schedule(settings, frequency, param.clone());
            Ok(())
        })
    }

    fn put_schedule(
        &self,
        settings: &mut record::Settings,
        frequency: Option<prost_types::Duration>,
        param: Option<(&str, String)>,
    ) {
        let params = settings.settings.clone().unwrap_or_default();
        let is_same_cron = param
            .as_ref()
            .is_some_and(|(name, text)| *name == schedule::CRON && params.get_string(name) == Some(text));
        // The interval differs around a change of daylight saving.
        if is_same_cron && settings.schedule_frequency.is_some() {
            return;
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
    }

    pub(super) fn update_settings(
        &self,
        update: impl FnMut(&mut record::Settings) -> Result<()>,
    ) -> Result<Effect> {
        self.update_settings_if(Precondition::None, update)
    }

    fn update_settings_if(
        &self,
        precondition: Precondition,
        mut update: impl FnMut(&mut record::Settings) -> Result<()>,
    ) -> Result<Effect> {
        self.store.change(self.durability, || {
            let (owner, read) = (self.read_owner()?, self.read_settings()?);
            precondition.check(read.version, || Key::settings(self.name()).describe())?;
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

/// A stored schedule: the field of the schema, and the parameter that extends it.
type Scheduled = (Option<prost_types::Duration>, Option<(&'static str, String)>);

fn by_period(every: Duration, offset: Duration) -> Result<Scheduled> {
    let period = checked_period(every)?;
    if offset >= every {
        return Err(Error::argument(format!("the offset {offset:?} must be below the period, {every:?}")));
    }
    let wire = time::period_to_wire(offset).filter(|_| !offset.is_zero());
    Ok((Some(period), wire.map(|wire| (schedule::OFFSET, wire.to_string()))))
}

/// Changes the parameters with `update`, preserving those that are other settings.
fn put_params(settings: &mut record::Settings, update: impl FnOnce(&mut Params)) -> Result<()> {
    let params = settings.settings.get_or_insert_default();
    let mut theirs = params.clone();
    params.string_params.retain(|name, _| run_limits::is_reserved(name));
    theirs = run_limits::without_reserved(theirs);
    update(&mut theirs);
    if let Some(name) = theirs.string_params.keys().find(|name| run_limits::is_reserved(name)) {
        let what = if schedule::is_reserved(name) {
            "part of the schedule; set that instead (`set_cron`, `set_schedule`)"
        } else {
            "a limit of runs; set that instead (`set_max_failed_items`, `set_min_interval`)"
        };
        return Err(Error::argument(format!("the parameter {name} is {what}")));
    }
    theirs.string_params.append(&mut params.string_params);
    *params = theirs;
    Ok(())
}

fn checked_period(every: Duration) -> Result<prost_types::Duration> {
    time::period_to_wire(every).filter(|_| !every.is_zero()).ok_or_else(|| {
        Error::argument(format!("the period {every:?} must be above zero and fit into 64 bits of seconds"))
    })
}
